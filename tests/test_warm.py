"""The warm judge says what the cold one says, seals what it forks, and survives what happens to it."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.attempt import launch
from grader.bank import Bank
from grader.judge import grade
from grader.problem import Problem
from grader.verdict import Status
from grader.warm import WarmJudge

SUITE = """
    from grader import check

    def test_a(attempt, reference):
        check.equal(attempt.f(1), reference.f(1))

    def test_b(attempt):
        check.equal(attempt.f("b"), "b")
"""
RIGHT = "def f(x): return x\n"


@pytest.fixture
def warm(isolation: str) -> Iterator[WarmJudge]:
    with WarmJudge(isolation) as judge:
        yield judge


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(entry=["f(x)"], suite=SUITE, solution=RIGHT, limits={"call_s": 1.0, "memory_mb": 128})


def test_it_agrees_with_the_cold_judge(warm: WarmJudge) -> None:
    problem = Bank().get("two-layer-backprop")
    for path in sorted((problem.solution_folder / "rejected").glob("*.py"))[:8]:
        cold, quick = grade(problem, path.read_text(), isolation="process"), warm.grade(problem, path.read_text())
        assert quick.status is cold.status and quick.score == cold.score
        assert [(c.name, c.status, c.message, c.counterexample) for c in quick.cases if "saved" not in (
            c.counterexample or "")] == [(c.name, c.status, c.message, c.counterexample) for c in cold.cases
                                         if "saved" not in (c.counterexample or "")]


def test_every_attempt_starts_afresh(warm: WarmJudge, toy: Problem) -> None:
    leaves = ("import math, pathlib, random\nimport numpy as np\n"
              "seen = getattr(math, 'seen', 0)\nmath.seen = np.seen = 1\n"
              "found = pathlib.Path('left').exists()\npathlib.Path('left').write_text('x')\n"
              "print(seen, found, random.random(), np.random.rand(), flush=True)\n"
              "def f(x): return x\n")
    outputs = set()
    for _ in range(3):
        verdict = warm.grade(toy, leaves)
        assert verdict.accepted, verdict
        outputs.add(verdict.cases[0].output or verdict.output)
    assert len(outputs) == 1 and outputs.pop().startswith("0 False ")


def test_limits_hold(warm: WarmJudge, toy: Problem) -> None:
    for source, status in (("def f(x):\n    while True: pass", Status.TIME_LIMIT),
                           ("def f(x): return bytes(1 << 30) * 2", Status.MEMORY_LIMIT),
                           ("import os\ndef f(x): os._exit(7)", Status.RUNTIME_ERROR),
                           ("import os\ndef f(x): os.abort()", Status.RUNTIME_ERROR),
                           ("def f(x):\n    while True: print('x' * 10000)", Status.OUTPUT_LIMIT),
                           ("import os\ndef f(x): os.fork()", Status.RULE_VIOLATION),
                           (RIGHT, Status.ACCEPTED)):
        verdict = warm.grade(toy, source)
        assert verdict.status is status, verdict
    assert "exit code 7" in warm.grade(toy, "import os\ndef f(x): os._exit(7)").message
    assert "crashed the interpreter" in warm.grade(toy, "import os\ndef f(x): os.abort()").message


def test_a_changed_suite_is_loaded_again(warm: WarmJudge, toy: Problem) -> None:
    assert warm.grade(toy, RIGHT).accepted
    toy.suite.write_text(textwrap.dedent(SUITE) + "\ndef test_c(attempt):\n    check.equal(attempt.f(2), 3)\n")
    assert warm.grade(toy, RIGHT).status is Status.WRONG_ANSWER
    toy.suite.write_text("import nothing_like_this\n")
    assert warm.grade(toy, RIGHT).status is Status.JUDGE_ERROR
    toy.suite.write_text(textwrap.dedent(SUITE))
    assert warm.grade(toy, RIGHT).accepted


def test_a_dead_zygote_is_replaced(warm: WarmJudge, toy: Problem) -> None:
    assert warm.grade(toy, RIGHT).accepted
    for zygote in warm._zygotes.values():
        os.kill(zygote._popen.pid, signal.SIGKILL)
        zygote._popen.wait()
    assert warm.grade(toy, RIGHT).accepted


def standby(warm: WarmJudge) -> launch.Process:
    [zygote] = warm._zygotes.values()
    assert zygote._standby is not None
    return zygote._standby


def test_a_prepared_attempt_is_used_once(warm: WarmJudge, toy: Problem) -> None:
    warm.prepare(toy)
    first = standby(warm)
    warm.prepare(toy)
    assert standby(warm) is first  # one is enough
    time.sleep(2 * toy.limits.call_s)  # waiting is on nobody's clock
    assert warm.grade(toy, RIGHT).accepted and first.closed
    warm.prepare(toy)
    assert standby(warm) is not first and warm.grade(toy, "def f(x): return 2").status is Status.WRONG_ANSWER


def test_a_prepared_attempt_that_died_or_has_other_limits_is_not_used(warm: WarmJudge, toy: Problem) -> None:
    warm.prepare(toy)
    dead = standby(warm)
    os.kill(launch._tree(dead.popen.pid)[-1], signal.SIGKILL)
    while dead.connected:
        time.sleep(0.01)
    assert warm.grade(toy, RIGHT).accepted and dead.closed
    warm.prepare(toy)
    other = dataclasses.replace(toy, limits=dataclasses.replace(toy.limits, memory_mb=64))
    verdict = warm.grade(other, "def f(x): return bytearray(100 << 20) and x")
    assert verdict.status is Status.MEMORY_LIMIT, verdict  # 100 MB would be within the first limit


def test_nothing_is_left_behind(warm: WarmJudge, toy: Problem) -> None:
    me = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before, fds = set(me.read_text().split()), len(os.listdir("/proc/self/fd"))
    for source in (RIGHT, "def f(x):\n    while True: pass", RIGHT, "import os\ndef f(x): os._exit(0)"):
        warm.grade(toy, source)
    zygotes = {str(zygote._popen.pid) for zygote in warm._zygotes.values()}
    assert set(me.read_text().split()) - before == zygotes
    warm.prepare(toy)
    folder = standby(warm).folder
    warm.close()
    assert not os.path.exists(folder)
    assert set(me.read_text().split()) <= before
    assert len(os.listdir("/proc/self/fd")) <= fds


SPY = """
    import os, pathlib
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    print(os.getpid(), os.getppid(), os.getuid(), status["CapEff"].strip(), status["CapPrm"].strip(),
          status["NoNewPrivs"].strip(), os.getcwd(), sorted(os.environ))
    def f(x): return x
"""


def test_a_forked_attempt_is_sealed(isolation: str, toy: Problem) -> None:
    with WarmJudge(isolation) as warm:
        verdicts = [warm.grade(toy, textwrap.dedent(SPY)) for _ in range(2)]
    assert all(verdict.accepted and verdict.isolation == isolation for verdict in verdicts), verdicts
    if isolation != "bubblewrap":  # no more is claimed of the others
        return
    for verdict in verdicts:
        pid, parent, uid, effective, permitted, no_new, folder, names = verdict.cases[0].output.split(None, 7)
        assert (pid, parent, folder, no_new) == ("1", "0", "/attempt", "1")
        assert int(uid) != 0 and int(effective, 16) == int(permitted, 16) == 0
        assert "PREP" not in names and "HOME" in names


@pytest.mark.parametrize("answered", [False, True], ids=["before-the-answer", "without-taking-it"])
def test_a_judge_that_leaves_is_no_fault_of_the_zygote(isolation: str, toy: Problem, answered: bool,
                                                       capfd: pytest.CaptureFixture[str]) -> None:
    zygote = launch.Zygote(toy, isolation=isolation)
    try:
        zygote._control.send(b'{"wait": 1}')
        if answered:
            assert select.select([zygote._control], [], [], 30)[0]
        zygote._control.close()
        assert zygote._popen.wait(30) == 0
        assert zygote.last_words == ""
    finally:
        zygote.close()
    assert capfd.readouterr().err == ""


def one_of_each_zygote() -> list[str]:
    """A problem for each set of libraries that zygotes import."""
    return sorted({launch.zygote_key(problem): problem.slug for problem in Bank().all()}.values())


@pytest.mark.parametrize("slug", one_of_each_zygote())
def test_zygotes_of_all_kinds_of_problems_fork(isolation: str, slug: str, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    problem = Bank().get(slug)
    zygote = launch.Zygote(problem, isolation=isolation)
    try:
        for _ in range(2):
            verdict = grade(problem, "raise ValueError('as far as this')", isolation=isolation, zygote=zygote)
            assert verdict.status is Status.RUNTIME_ERROR and "as far as this" in verdict.message, verdict
            assert zygote.alive and zygote.last_words == ""
    finally:
        zygote.close()
    assert list(tmp_path.iterdir()) == []


def test_a_training_problem_is_graded(isolation: str) -> None:
    if isolation != launch.probe()[0]:
        pytest.skip("trained once, with the isolation that learners get")
    problem = Bank().get("cnn-mnist")
    with WarmJudge(isolation) as judge:
        verdict = judge.grade(problem, problem.solution.read_text())
    assert verdict.accepted and verdict.isolation == isolation, verdict


def test_where_no_zygote_starts_an_answer_has_a_process_of_its_own(warm: WarmJudge, toy: Problem,
                                                                   monkeypatch: pytest.MonkeyPatch,
                                                                   capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(launch, "preload", lambda problem: ["no_such_library"])
    zygote = launch.Zygote(toy, isolation=warm.isolation)
    try:
        with pytest.raises(OSError, match=r"gone: Traceback(?s:.)*No module named 'no_such_library'"):
            zygote.prepare(toy)
        assert not zygote.alive
    finally:
        zygote.close()
    warm.prepare(toy)
    verdict = warm.grade(toy, RIGHT)
    assert verdict.accepted and verdict.isolation == warm.isolation, verdict
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_libraries_that_break_are_no_fault_of_the_answer(isolation: str, toy: Problem, start: str,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "preload", lambda problem: [""])  # a ValueError, where a missing module is let pass
    if start == "cold":
        verdict = grade(toy, RIGHT, isolation=isolation)
    else:
        with WarmJudge(isolation) as warm:
            verdict = warm.grade(toy, RIGHT)
    assert verdict.status is Status.JUDGE_ERROR, verdict


def half_a_sandbox(leader_stays: bool) -> tuple[subprocess.Popen[str], int]:
    """What is left of bwrap where it is killed as it starts, or (leader_stays) what is there before."""
    code = ("import subprocess, sys, time\n"
            "child = subprocess.Popen(['bwrap', '-c', 'import time; time.sleep(300)', sys.argv[1]],\n"
            "                         executable=sys.executable, stdout=subprocess.DEVNULL)\n"
            "print(child.pid, flush=True)\n") + "time.sleep(300)\n" * leader_stays
    leader = subprocess.Popen([sys.executable, "-c", code, str(launch.HERE)], start_new_session=True, text=True,
                              stdout=subprocess.PIPE)
    assert leader.stdout is not None
    with leader.stdout:
        pid = int(leader.stdout.readline())
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and str(launch.HERE) not in Path(f"/proc/{pid}/cmdline").read_text():
        time.sleep(0.01)  # between fork and exec it is its parent's copy
    if not leader_stays:
        leader.wait(30)
    return leader, pid


def ends(pid: int) -> bool:
    """Whether it ends within a while; nobody may have waited for it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is for Linux")
def test_half_a_sandbox_of_a_killed_judge_is_swept() -> None:
    stray = half_a_sandbox(leader_stays=False)[1]
    leader, waiting = half_a_sandbox(leader_stays=True)
    try:
        assert stray in launch._strays() and waiting not in launch._strays()
        launch._sweep.cache_clear()
        launch._sweep()
        assert ends(stray) and leader.poll() is None and waiting not in launch._strays()
    finally:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()


def test_a_zygote_ends_with_both_halves_of_its_sandbox(toy: Problem) -> None:
    zygote = launch.Zygote(toy, isolation="process")
    own = zygote._popen
    leader, waiting = half_a_sandbox(leader_stays=True)
    zygote._popen = leader  # type: ignore[assignment]
    leader.kill()
    zygote.close()
    own.kill()
    own.wait()
    assert ends(waiting)
