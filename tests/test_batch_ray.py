"""The executor `ray` on a real cluster: two nodes, one of which is killed in the middle."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader.batch import run, work
from grader.batch.cluster import Bundle, Unfit, grade_remotely
from grader.batch.store import read
from grader.batch.submissions import Assignment, Submission
from grader.batch.work import Terms, problem_files
from grader.errors import PrepError
from grader.problem import Problem

ROOT = Path(__file__).resolve().parent.parent
RAY = Path(sys.executable).with_name("ray")
PORT = 26379
TOKEN = secrets.token_hex(32)
"""of the clusters made here, which nobody else on this machine may send tasks to"""
SUITE = """
    import os, signal
    from grader import check

    def test_doubles(attempt):
        got = attempt.f(3.0)
        if got == "kill the judge": os.kill(os.getpid(), signal.SIGKILL)
        check.close(got, 6.0)
"""
RIGHT = "def f(x):\n    return 2 * x\n"
SLOW = "import time\ndef f(x):\n    time.sleep(0.2)\n    return 2 * x\n"

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None,
                               reason="RAY IS NOT INSTALLED, its executor was not tested: pip install 'prep[cluster]'")


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(suite=SUITE, solution=RIGHT, limits={"call_s": 0.5, "load_s": 0.5})


def assign(problem: Problem, folder: Path, answers: dict[str, str]) -> Assignment:
    folder.mkdir(exist_ok=True)
    for name, source in answers.items():
        (folder / f"{name}.py").write_text(source)
    return Assignment(problem, tuple(Submission(name, folder / f"{name}.py", folder) for name in sorted(answers)))


def judged(out: Path) -> list[tuple[Any, ...]]:
    with read(out) as store:
        return [(r.student, r.verdict.status, r.verdict.score, r.verdict.message, [
            (case.name, case.status, case.message, case.counterexample) for case in r.verdict.cases])
            for r in store.results()]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # nodes need prep
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        yield


@needs_ray
def test_the_same_results_in_the_same_order(toy: Problem, tmp_path: Path) -> None:
    assignment = assign(toy, tmp_path / "in", {
        "right": RIGHT, "wrong": "def f(x):\n    return x + 1\n", "raises": "def f(x):\n    raise KeyError(x)\n",
        "loops": "def f(x):\n    while True: pass\n", "syntax": "def f(x:\n", "exits": "import os\nos._exit(0)\n",
        "evil": "def f(x): return 'kill the judge'\n"})
    ours = run.grade([assignment], tmp_path / "local", run.Options(workers=2, trust_submissions=True))
    theirs = run.grade([assignment], tmp_path / "ray",
                       run.Options(executor="ray", workers=2, trust_submissions=True))
    assert ours.statuses == theirs.statuses and theirs.exit_code == 3
    assert judged(tmp_path / "ray") == judged(tmp_path / "local")


@pytest.fixture
def two_nodes() -> Iterator[list[int]]:
    """A head without cores to grade on and two nodes with one each; yields the process ids of the two."""
    # every process of this cluster, and of no other, has this folder on its command line; sockets need a short path
    folder = tempfile.mkdtemp(prefix="ray-")

    def ours() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(folder in word for word in process.info["cmdline"] or []):
                found += [process, *process.children(recursive=True)]
        return found

    def start(*arguments: str) -> int:
        known = {p.pid for p in ours()}
        subprocess.run([RAY, "start", "--disable-usage-stats", *arguments], check=True, capture_output=True, timeout=90)
        (raylet,) = {p.pid for p in ours() if p.name() == "raylet"} - known
        return raylet

    try:
        start("--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}")
        yield [start(f"--address=127.0.0.1:{PORT}", "--num-cpus=1") for _ in range(2)]
    finally:
        for process in ours():
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@needs_ray
def test_a_node_dies_in_the_middle(two_nodes: list[int], toy: Problem, tmp_path: Path) -> None:
    answers = {f"slow{i:02}": f"{SLOW}# {i}\n" for i in range(20)}
    answers |= {f"wrong{i:02}": f"def f(x):\n    return x + {i}\n" for i in range(4, 14)}
    assignment = assign(toy, tmp_path / "in", answers)
    run.grade([assignment], tmp_path / "local", run.Options(workers=2, trust_submissions=True))
    killed = threading.Event()

    def kill_one(progress: run.Progress) -> None:
        if progress.done >= 8 and not killed.is_set():
            os.kill(two_nodes[0], signal.SIGKILL)
            killed.set()

    outcome = run.grade([assignment], tmp_path / "ray", run.Options(
        executor="ray", address=f"127.0.0.1:{PORT}", trust_submissions=True), on_progress=kill_one)
    assert killed.is_set() and outcome.statuses == {"accepted": 20, "wrong-answer": 10}
    assert judged(tmp_path / "ray") == judged(tmp_path / "local")


@needs_ray
def test_a_cluster_that_is_not_there(toy: Problem, tmp_path: Path) -> None:
    with pytest.raises(PrepError, match=r"Ray cannot be reached at 127\.0\.0\.1:1: .*refused"):
        run.grade([assign(toy, tmp_path / "in", {"right": RIGHT})], tmp_path / "out",
                  run.Options(executor="ray", address="127.0.0.1:1", trust_submissions=True))


def test_a_node_with_another_prep_is_refused(toy: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle("toy", problem_files(toy), toy.limits, "0.0.1+abc")
    with pytest.raises(Unfit, match=r"this batch needs 0.0.1\+abc"):
        grade_remotely(bundle, Terms("process"), RIGHT)


def test_a_problem_travels_whole(toy: Problem, tmp_path: Path) -> None:
    bundle = Bundle("toy", problem_files(toy), toy.limits, work.judge_version())
    shutil.rmtree(toy.folder)
    (tmp_path / "task").write_bytes(pickle.dumps((bundle, Terms("process"), RIGHT)))
    code = ("import pickle, sys; from grader.batch.cluster import grade_remotely\n"
            "print(grade_remotely(*pickle.loads(open(sys.argv[1], 'rb').read())).status)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "task")], capture_output=True, text=True)
    assert done.stdout == "accepted\n", done.stderr


def test_without_ray_the_fix_is_told(toy: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assignment = assign(toy, tmp_path / "in", {"right": RIGHT})
    with pytest.raises(PrepError, match="not installed") as caught:
        run.grade([assignment], tmp_path / "out", run.Options(executor="ray", trust_submissions=True))
    assert caught.value.fix == "pip install 'prep[cluster]'"
    with pytest.raises(PrepError, match="No executor 'slurm'"):
        run.grade([assignment], tmp_path / "out", run.Options(executor="slurm", trust_submissions=True))
