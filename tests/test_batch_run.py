"""Batches with real processes: hostile answers, dying workers, kill -9 at any moment, Ctrl-C. Nothing is graded twice,
nothing is lost, no process stays."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader.batch import local, run, submissions
from grader.batch.local import LocalPool
from grader.batch.store import read
from grader.batch.submissions import Assignment
from grader.batch.work import Task, Terms
from grader.errors import PrepError
from grader.problem import Problem
from grader.verdict import Status
from grader.warm import WarmJudge

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = run.Options(trust_submissions=True, workers=2)
SUITE = """
    import os, signal, time
    import numpy as np
    from grader import check

    def test_doubles(attempt):
        got = attempt.f(3.0)
        if got == "kill the judge": os.kill(os.getpid(), signal.SIGKILL)
        if got == "hang the judge": time.sleep(600)
        check.close(got, 6.0)

    def test_arrays(attempt, reference):
        check.agrees(attempt.f, reference.f, np.arange(3.0))
"""
RIGHT = "def f(x):\n    return 2 * x\n"
ANSWERS = {
    "right": RIGHT,
    "copied": RIGHT,
    "wrong": "def f(x):\n    return x + 3\n",
    "very_wrong": "def f(x):\n    return x\n",
    "raises": "def f(x):\n    raise KeyError(x)\n",
    "syntax": "def f(x:\n",
    "exits": "import os\ndef f(x):\n    os._exit(0)\n",
    "loops": "def f(x):\n    while True: pass\n",
    "loops_when_loaded": "while True: pass\n",
    "eats_memory": "def f(x):\n    return len(bytearray(1 << 31))\n",
    "prints": "def f(x):\n    while True: print('x' * 1000)\n",
    "starter": "def f(x):\n    raise NotImplementedError\n",
    "deep": "x = " + "(" * 5000 + ")" * 5000 + "\n",
    "minus": "x = " + "-" * 50000 + "1\n",
    "opens": "def f(x):\n    return open('/etc/passwd').read()\n",
}
EXPECTED = {
    "right": "accepted", "copied": "accepted", "wrong": "wrong-answer", "very_wrong": "wrong-answer",
    "raises": "runtime-error", "syntax": "runtime-error", "loops": "time-limit", "loops_when_loaded": "time-limit",
    "eats_memory": "memory-limit", "prints": "output-limit", "starter": "not-started", "deep": "runtime-error",
    "opens": "rule-violation",
}


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(suite=SUITE, solution=RIGHT, limits={"call_s": 0.5, "load_s": 0.5, "memory_mb": 256})


def hand_in(folder: Path, answers: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, source in answers.items():
        (folder / f"{name}.py").write_text(source)
    return folder


def assign(problem: Problem, folder: Path) -> Assignment:
    files = sorted(folder.glob("*.py"))
    return Assignment(problem, tuple(submissions.Submission(path.stem, path, folder) for path in files))


def judged(out: Path) -> list[tuple[Any, ...]]:
    """All that must be the same in every run."""
    with read(out) as store:
        return [(r.student, r.verdict.status, r.verdict.score, r.verdict.message, [
            (case.name, case.status, case.message, case.counterexample) for case in r.verdict.cases])
            for r in store.results()]


def graded_at(out: Path) -> dict[str, str]:
    with read(out) as store:
        return dict(store._db.execute("SELECT key, graded_at FROM answers WHERE status IS NOT NULL"))


def test_a_hostile_mix(toy: Problem, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "in", ANSWERS)
    (folder / "binary.py").write_bytes(b"\0\1")
    seen: list[run.Progress] = []
    outcome = run.grade([assign(toy, folder)], tmp_path / "out", OPTIONS, on_progress=seen.append)
    results = judged(tmp_path / "out")
    assert [row[0] for row in results] == sorted([*ANSWERS, "binary"])
    assert {row[0]: str(row[1]) for row in results}.items() >= EXPECTED.items() | {("binary", "runtime-error")}
    assert "accepted" not in {row[0]: str(row[1]) for row in results if row[0] not in ("right", "copied")}.values()
    assert outcome.total == len(results) == seen[-1].done == seen[-1].total
    assert outcome.gradings == len(results) - 2, "the copy and the binary file need none"
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert seen[0].done == 1 and outcome.exit_code == 0 and outcome.isolation

    # the same again grades nothing
    before = graded_at(tmp_path / "out")
    again = run.grade([assign(toy, folder)], tmp_path / "out", OPTIONS)
    assert again.gradings == 0 and again.reused == again.total and graded_at(tmp_path / "out") == before

    # one file changes, one comes, one goes
    (folder / "wrong.py").write_text(RIGHT + "\n")
    (folder / "new.py").write_text("def f(x):\n    return -x\n")
    (folder / "exits.py").unlink()
    later = run.grade([assign(toy, folder)], tmp_path / "out", OPTIONS)
    assert later.gradings == 2 and later.total == again.total
    statuses = {row[0]: str(row[1]) for row in judged(tmp_path / "out")}
    assert statuses["wrong"] == "accepted" and statuses["new"] == "wrong-answer" and "exits" not in statuses

    # a problem that changes is graded anew
    toy.suite.write_text(toy.suite.read_text() + "\ndef test_more(attempt):\n    check.close(attempt.f(1.0), 2.0)\n")
    fast = {name: ANSWERS[name] for name in ("right", "wrong", "raises")}
    assert run.grade([assign(toy, hand_in(tmp_path / "few", fast))], tmp_path / "out", OPTIONS).gradings == 3
    assert len(judged(tmp_path / "out")[0][4]) == 3


def test_results_are_those_of_single_gradings(toy: Problem, tmp_path: Path) -> None:
    answers = {name: ANSWERS[name] for name in ("right", "wrong", "raises", "syntax", "starter", "exits")}
    run.grade([assign(toy, hand_in(tmp_path / "in", answers))], tmp_path / "out", OPTIONS)
    with WarmJudge(run.required_isolation(trusted=True)) as judge:
        for student, status, score, message, _ in judged(tmp_path / "out"):
            single = judge.grade(toy, answers[student])
            assert (status, score, message) == (single.status, single.score, single.message)


def test_a_shorter_time_limit(toy: Problem, tmp_path: Path) -> None:
    slow = {"slow": "import time\ndef f(x):\n    time.sleep(0.3)\n    return 2 * x\n"}
    folder = hand_in(tmp_path / "in", slow)
    assert run.grade([assign(toy, folder)], tmp_path / "out", OPTIONS).statuses == {"accepted": 1}
    hurried = run.Options(trust_submissions=True, workers=1, timeout_s=0.1)
    assert run.grade([assign(toy, folder)], tmp_path / "out", hurried).statuses == {"time-limit": 1}


# Workers that die or hang


def pool_run(problem: Problem, answers: dict[str, str], **options: Any) -> dict[str, Any]:
    tasks = [Task(name, problem, source) for name, source in answers.items()]
    with LocalPool(Terms("process"), 2, **options) as pool:
        found = dict(pool.run(tasks))
        children = psutil.Process().children(recursive=True)
    assert len(found) == len(answers)
    gone(children)
    return found


def gone(processes: list[psutil.Process]) -> None:
    """Wait for them to be gone; multiprocessing's own resource tracker may stay as long as this process."""
    left = [p for p in processes if not tracker(p)]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def tracker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "resource_tracker" in " ".join(process.cmdline())
    return True


def test_a_worker_that_dies_takes_one_answer_with_it(toy: Problem) -> None:
    answers = {f"good{i}": RIGHT + f"# {i}\n" for i in range(6)} | {"evil": "def f(x): return 'kill the judge'\n"}
    found = pool_run(toy, answers)
    assert found["evil"].status is Status.JUDGE_ERROR
    assert "killed by SIGKILL" in found["evil"].traceback and "tried 2 times" in found["evil"].traceback
    assert all(found[name].accepted for name in answers if name != "evil")


def test_a_worker_that_hangs_is_killed(toy: Problem) -> None:
    found = pool_run(toy, {"evil": "def f(x): return 'hang the judge'\n", "good": RIGHT}, limit_s=3.0)
    assert found["evil"].status is Status.JUDGE_ERROR and "did not end in time" in found["evil"].traceback
    assert found["good"].accepted


def test_workers_that_cannot_start(toy: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "START_S", 0.0)
    with pytest.raises(PrepError, match="end before they begin"):
        pool_run(toy, {"good": RIGHT})


def test_our_faults_are_told_and_tried_again(toy: Problem, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "in", {"evil": "def f(x): return 'kill the judge'\n"})
    for _ in range(2):
        outcome = run.grade([assign(toy, folder)], tmp_path / "out", OPTIONS)
        assert outcome.exit_code == 3 and outcome.gradings == 1 and outcome.statuses == {"judge-error": 1}


# Kills

DRIVER = """
import signal, sys
from pathlib import Path
from grader.bank import Bank
from grader.batch import run, submissions
if __name__ == "__main__":
    out, folder = sys.argv[1:]
    found = submissions.find(Bank(), "toy", [folder])
    try:
        run.grade([found], Path(out), run.Options(trust_submissions=True, workers=2),
                  on_progress=lambda progress: print(progress.done, flush=True))
    except KeyboardInterrupt as error:
        print(error, flush=True)
        sys.exit(130)
    print("complete", flush=True)
"""


@pytest.fixture
def batch(toy: Problem, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """batch() starts a batch over tmp_path/in into tmp_path/out in a process group of its own."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "scratch").mkdir()

    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "out"), str(tmp_path / "in")], stdout=subprocess.PIPE,
            text=True, env=os.environ | {"PREP_BANK": str(tmp_path / "bank"), "PYTHONPATH": str(ROOT),
                                  "TMPDIR": str(tmp_path / "scratch")}, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def lines_until(process: subprocess.Popen[str], done: int) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.strip().isdigit() and int(line) >= done:
            return


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def many(folder: Path) -> Path:
    answers = {f"right{i:02}": RIGHT + f"# {i}\n" for i in range(12)}
    answers |= {f"wrong{i:02}": f"def f(x):\n    return x + {i}\n" for i in range(12)}
    return hand_in(folder, answers | {"loops": ANSWERS["loops"], "exits": ANSWERS["exits"]})


@pytest.fixture
def undisturbed(toy: Problem, tmp_path: Path) -> list[tuple[Any, ...]]:
    run.grade([assign(toy, many(tmp_path / "in"))], tmp_path / "undisturbed", OPTIONS)
    return judged(tmp_path / "undisturbed")


def test_resumes_after_the_batch_was_killed(batch: Callable[..., subprocess.Popen[str]], tmp_path: Path,
                                            undisturbed: list[tuple[Any, ...]]) -> None:
    first = batch()
    lines_until(first, 5)
    started = family(first)
    first.kill()
    first.wait()
    gone(started)
    deadline = time.monotonic() + 10
    while list(tmp_path.glob("scratch/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(tmp_path.glob("scratch/*")), "folders were left behind"
    kept = graded_at(tmp_path / "out")
    assert 5 <= len(kept) < 26
    second = batch()
    told, _ = second.communicate(timeout=60)
    counts = [int(line) for line in told.splitlines() if line.isdigit()]
    assert counts[0] == len(kept) and counts[-1] == 26 and told.endswith("complete\n")
    assert graded_at(tmp_path / "out").items() >= kept.items(), "something was graded twice"
    assert judged(tmp_path / "out") == undisturbed


def test_ctrl_c_stops_cleanly(batch: Callable[..., subprocess.Popen[str]], tmp_path: Path,
                              undisturbed: list[tuple[Any, ...]]) -> None:
    first = batch()
    lines_until(first, 3)
    started = family(first)
    os.killpg(first.pid, signal.SIGINT)
    told, _ = first.communicate(timeout=30)
    assert first.returncode == 130 and "of 26 submissions are graded" in told and "Traceback" not in told
    gone(started)
    batch().communicate(timeout=60)
    assert judged(tmp_path / "out") == undisturbed


def test_random_kills_change_nothing(batch: Callable[..., subprocess.Popen[str]], tmp_path: Path,
                                     undisturbed: list[tuple[Any, ...]]) -> None:
    """benchmarks/kill.py does this fifty times."""
    chance = random.Random(3)
    for victim in ("worker", "batch", "worker", "attempt"):
        process = batch()
        assert process.stdout
        process.stdout.readline()
        started: list[psutil.Process] = []
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and process.poll() is None and not started:
            time.sleep(chance.uniform(0.2, 1.0))
            workers = [p for p in family(process) if not tracker(p)]
            candidates = {"worker": [p for p in workers if is_worker(p)], "batch": [psutil.Process(process.pid)],
                          "attempt": [p for p in workers if not is_worker(p)]}[victim]
            started = candidates and family(process)
            for target in chance.sample(candidates, min(1, len(candidates))):
                with contextlib.suppress(psutil.Error):
                    target.kill()
        process.communicate(timeout=60)
        gone(started)
    batch().communicate(timeout=60)
    assert strip_kills(judged(tmp_path / "out"), undisturbed) == undisturbed


def strip_kills(results: list[tuple[Any, ...]], truth: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """An attempt that somebody killed says so; it may be any one answer."""
    killed = [i for i, row in enumerate(results) if "killed by the system" in row[3]]
    assert len(killed) <= 1
    return [truth[i] if i in killed else row for i, row in enumerate(results)]


def is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "spawn_main" in " ".join(process.cmdline())
    return False

