import inspect
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader import author, problem, suite
from grader.author import Check, Progress, VerifyReport, render_text, verify
from grader.check import CheckFailure
from grader.errors import PrepError
from grader.problem import Problem
from grader.scaffold import new
from grader.verdict import PASSED, Case, Status, Verdict

UNFINISHED = {"nothing left of the template", "at least 2 in accepted/", "at least 5 in rejected/"}
ROOT = Path(__file__).resolve().parent.parent


def load(root: Path, slug: str = "centre-rows") -> Problem:
    return problem.load(root / "problems" / slug, root / "solutions" / slug)


def failed(report: VerifyReport) -> set[str]:
    return {check.name for check in report.checks if not check.ok}


def check_of(report: VerifyReport, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def grade_here(problem: Problem, source: str, *, filename: str, fail_fast: bool) -> Verdict:
    """A small stand-in for the judge: calls the suite's tests in this process, in milliseconds."""
    import numpy as np

    if problem.uses_torch:
        import torch

        torch.set_num_threads(1)
    if source == problem.starter.read_text(encoding="utf-8"):
        return Verdict(problem.slug, Status.NOT_STARTED)
    path = problem.folder.parent / "attempt_under_test.py"
    path.write_text(source, encoding="utf-8")
    try:
        fixtures = {"attempt": suite.LocalAttempt(path, None), "reference": suite.load_reference(problem),
                    "rng": np.random.default_rng(0)}
    except Exception as error:
        return Verdict(problem.slug, Status.RUNTIME_ERROR, repr(error))
    cases = []
    for name, test in vars(suite.load_module("hidden_suite", problem.suite)).items():
        if not name.startswith("test_"):
            continue
        message = ""
        try:
            test(**{key: fixtures[key] for key in inspect.signature(test).parameters})
        except CheckFailure as failure:
            message = failure.message
        except Exception as error:
            message = repr(error)
        status = Status.WRONG_ANSWER if message else PASSED
        cases.append(Case(name, status, float(not message), 1.0, message=message))
        if message and fail_fast:
            break
    accepted = all(case.status == PASSED for case in cases)
    return Verdict(problem.slug, Status.ACCEPTED if accepted else Status.WRONG_ANSWER, cases=tuple(cases))


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A bank with one finished problem, centre-rows."""
    root = tmp_path / "bank"
    for path in new("centre-rows", "function", root):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line.partition(" REPLACE:")[0] + "\n" if line.startswith("# ") and " REPLACE:" in line[2:] else line
                for line in lines if not line.startswith(("# REPLACE:", "<!-- REPLACE:"))]
        path.write_text("".join(kept), encoding="utf-8")
    solutions = root / "solutions" / "centre-rows"
    (solutions / "accepted" / "transposed.py").write_text("def centre_rows(x):\n    return (x.T - x.mean(1)).T\n")
    for name, result in {"adds": "x + x.mean(axis=1, keepdims=True)", "one_mean": "x - x.mean()"}.items():
        (solutions / "rejected" / f"{name}.py").write_text(
            "# expect: wrong-answer test_rows_not_columns\n"
            f"# Wrong: {name}.\ndef centre_rows(x):\n    return {result}\n")
    return root


@pytest.fixture
def no_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of pytest less, where the examples are not the point."""
    monkeypatch.setattr(author, "_examples", lambda problem: [])


# With the real judge.

@pytest.mark.parametrize("kind", ["function", "debug"])
def test_a_new_problem_lacks_only_what_its_author_must_write(kind: str, tmp_path: Path) -> None:
    new("centre-rows", kind, tmp_path)
    report = verify(load(tmp_path))
    assert failed(report) == UNFINISHED
    assert report.mutation is not None and report.mutation.score == 1.0 and len(report.mutation.equivalent) == 1


def test_a_new_training_problem_lacks_only_what_its_author_must_write(tmp_path: Path) -> None:
    new("digits", "training", tmp_path)
    report = verify(load(tmp_path, "digits"), jobs=2)
    assert failed(report) == UNFINISHED, render_text(report)
    assert report.mutation is None


def test_a_finished_problem_is_ok(bank: Path) -> None:
    events: list[Progress] = []
    report = verify(load(bank), on_event=events.append, jobs=2)
    assert report.ok, render_text(report)
    assert render_text(report).startswith("ok  centre-rows: 19 checks, ")
    assert "prep verify" not in render_text(report)
    assert [event.stage for event in events if event.done == 0] == ["solution", "answers", "control", "mutants"]
    assert all(any(e.stage == stage and e.done == e.total for e in events) for stage in {e.stage for e in events})


# With the stand-in.

def test_a_new_torch_problem_lacks_only_what_its_author_must_write(tmp_path: Path) -> None:
    new("two-clouds", "module", tmp_path)
    report = verify(load(tmp_path, "two-clouds"), grade=grade_here)
    assert failed(report) == UNFINISHED
    assert report.mutation is not None and report.mutation.score == 1.0


def test_a_new_problem_is_explained_step_by_step(tmp_path: Path, no_examples: None) -> None:
    new("centre-rows", "function", tmp_path)
    text = render_text(verify(load(tmp_path), grade=grade_here))
    assert text.startswith("FAIL  centre-rows: 3 of ")
    for file in ("problem.toml:1", "prompt.md:1", "starter.py:1", "test_hidden.py:1", "solution.py:1", "notes.md:1"):
        assert f"{file}  " in text
    assert "`# expect: wrong-answer TEST`" in text
    assert text.endswith("Then again:  prep verify centre-rows")
    assert "\x1b" not in text


Change = Callable[[Path, Path], Any]
"""(problems/centre-rows, solutions/centre-rows) -> spoils something"""


def write(text: str, *parts: str) -> Change:
    def change(problems: Path, solutions: Path) -> None:
        path = {"problems": problems, "solutions": solutions}[parts[0]].joinpath(*parts[1:])
        path.write_text(text, encoding="utf-8")
    return change


def edit(before: str, after: str, *parts: str) -> Change:
    def change(problems: Path, solutions: Path) -> None:
        path = {"problems": problems, "solutions": solutions}[parts[0]].joinpath(*parts[1:])
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
    return change


ONE_MEAN = "# Wrong: one mean.\ndef centre_rows(x):\n    return x - x.mean()\n"


@pytest.mark.parametrize(("change", "name", "said"), [
    (lambda problems, solutions: (problems / "prompt.md").unlink(), "files", "prompt.md: what an interviewer"),
    (write("  \n", "solutions", "notes.md"), "files", "notes.md"),
    (edit("### Why is a variance", "### Why is the variance", "solutions", "notes.md"),
     "follow-ups answered in notes.md", "### Why is a variance computed"),
    (edit("\ndef test_", "\nREPLACE: more\ndef test_", "problems", "test_examples.py"),
     "nothing left of the template", "more"),
    (edit("axis=1", "axis=0", "solutions", "solution.py"), "solution", "wrong-answer in test_rows_not_columns"),
    (write("def centre_rows(x):\n    return x - x.mean(1)[:, None]\n", "problems", "starter.py"),
     "starter solves nothing", "raise NotImplementedError"),
    (write("def centre_rows(x):\n    return x - x.mean()\n", "solutions", "accepted", "wrong.py"),
     "accepted/wrong.py", "wrong-answer in test_rows_not_columns"),
    (lambda problems, solutions: (solutions / "accepted" / "loops.py").unlink(), "at least 2 in accepted/", "1 found"),
    (lambda problems, solutions: shutil.rmtree(solutions / "rejected"), "at least 5 in rejected/", "0 found"),
    (write(ONE_MEAN, "solutions", "rejected", "bad.py"), "rejected/bad.py", "wrong-answer test_rows_not_columns"),
    (write(f"# expect: wrong-answer\n{ONE_MEAN}", "solutions", "rejected", "bad.py"), "rejected/bad.py",
     "Open it with `# expect: STATUS TEST`"),
    (write(f"# expect: accepted test_any_shape\n{ONE_MEAN}", "solutions", "rejected", "bad.py"), "rejected/bad.py",
     "STATUS is one of wrong-answer, rule-violation"),
    (write("# expect: wrong-answer test_rows_not_columns\n" + ONE_MEAN.partition("\n")[2],
           "solutions", "rejected", "bad.py"), "rejected/bad.py", "comment on its second line"),
    (write(f"# expect: wrong-answer test_rows_not_colums\n{ONE_MEAN}", "solutions", "rejected", "bad.py"),
     "rejected/bad.py", "Did you mean test_rows_not_columns?"),
    (write(f"# expect: wrong-answer test_any_shape\n{ONE_MEAN}", "solutions", "rejected", "bad.py"),
     "rejected/bad.py", "expected wrong-answer test_any_shape, got wrong-answer in test_rows_not_columns"),
    (write(f"# expect: time-limit\n{ONE_MEAN}", "solutions", "rejected", "bad.py"),
     "rejected/bad.py", "expected time-limit, got wrong-answer"),
    (write("# expect: wrong-answer test_any_shape\n# Is right.\ndef centre_rows(x):\n"
           "    return x - x.mean(axis=1)[:, None]\n", "solutions", "rejected", "bad.py"),
     "rejected/bad.py", "that this answer fails: Is right."),
    (edit("axis=-1", "axis=0", "problems", "problem.toml"), "equivalent mutant", "the suite kills it"),
    (edit("axis=-1", "axis=7", "problems", "problem.toml"), "equivalent mutant", "no mutant turns"),
])
def test_each_fault_is_named_with_its_remedy(change: Change, name: str, said: str, bank: Path,
                                             no_examples: None) -> None:
    change(bank / "problems" / "centre-rows", bank / "solutions" / "centre-rows")
    report = verify(load(bank), grade=grade_here)
    assert name in failed(report)
    check = next(check for check in report.checks if check.name == name and not check.ok)
    assert said in f"{check.detail}\n{check.fix}"
    assert check.fix and check.fix in render_text(report).replace("\n        ", "\n")


def test_a_survivor_is_shown_and_ready_to_be_listed(bank: Path, no_examples: None) -> None:
    toml = bank / "problems" / "centre-rows" / "problem.toml"
    toml.write_text(toml.read_text(encoding="utf-8").partition("[[equivalent_mutants]]")[0], encoding="utf-8")
    report = verify(load(bank), grade=grade_here)
    assert failed(report) == {"mutants"}
    assert report.mutation is not None and report.mutation.score == pytest.approx(5 / 6)
    text = render_text(report)
    assert "  survivor  solution.py:2 (axis)\n    - return x - x.mean(axis=1, keepdims=True)\n" in text
    row = text[text.index("[[equivalent_mutants]]"):].partition("  survivor")[0]
    toml.write_text(toml.read_text(encoding="utf-8") + "\n".join(line.strip() for line in row.splitlines()),
                    encoding="utf-8")
    again = verify(load(bank), grade=grade_here)
    assert again.ok and again.mutation is not None and len(again.mutation.equivalent) == 1


def test_a_parametrised_case_goes_by_either_name() -> None:
    assert author._is_test("test_size[2-3]", "test_size[2-3]")
    assert author._is_test("test_size[2-3]", "test_size")
    assert not author._is_test("test_size[2-3]", "test_size[2-4]")
    assert not author._is_test("test_sizes", "test_size")


def test_without_mutants(bank: Path, no_examples: None) -> None:
    report = verify(load(bank), mutants=False, grade=grade_here)
    assert report.ok and report.mutation is None


def test_mutants_run_under_tight_limits_which_the_solution_must_keep(bank: Path, no_examples: None) -> None:
    def slow(problem: Problem, source: str, *, filename: str, fail_fast: bool) -> Verdict:
        if problem.limits.call_s <= 2.0 and problem.limits.total_s <= 10.0:
            assert fail_fast and problem.speed is None
            return Verdict(problem.slug, Status.TIME_LIMIT, "a call took more than 2 s")
        return grade_here(problem, source, filename=filename, fail_fast=fail_fast)

    report = verify(load(bank), grade=slow)
    assert failed(report) == {"mutants"} and report.mutation is None
    assert "less than 10 s" in check_of(report, "mutants").fix


def test_kills_by_the_time_limit_are_counted(bank: Path, no_examples: None) -> None:
    def impatient(problem: Problem, source: str, *, filename: str, fail_fast: bool) -> Verdict:
        verdict = grade_here(problem, source, filename=filename, fail_fast=fail_fast)
        return replace(verdict, status=Status.TIME_LIMIT) if fail_fast and not verdict.accepted else verdict

    report = verify(load(bank), grade=impatient)
    assert report.ok and report.mutation is not None and report.mutation.by_time_limit == report.mutation.killed == 5
    assert "5 of 5 killed (100.0%), 5 of them by the time limit" in check_of(report, "mutants").detail


def test_a_judge_error_kills_no_mutant(bank: Path, no_examples: None) -> None:
    def broken(problem: Problem, source: str, *, filename: str, fail_fast: bool) -> Verdict:
        if "x + x.mean" in source and fail_fast:
            return Verdict(problem.slug, Status.JUDGE_ERROR, "the test itself broke")
        return grade_here(problem, source, filename=filename, fail_fast=fail_fast)

    report = verify(load(bank), grade=broken)
    assert report.mutation is not None and report.mutation.killed == 4
    assert any("x + x.mean" in name for name in failed(report))
    assert "mutants" in failed(report)  # 4 of 5


def test_a_suite_that_changes_from_run_to_run_is_found(bank: Path, no_examples: None) -> None:
    runs = iter(range(1000))

    def fickle(problem: Problem, source: str, *, filename: str, fail_fast: bool) -> Verdict:
        verdict = grade_here(problem, source, filename=filename, fail_fast=fail_fast)
        return replace(verdict, cases=(*verdict.cases, Case(f"test_random[{next(runs)}]", PASSED, 1.0, 1.0)))

    report = verify(load(bank), grade=fickle)
    assert "test_random[0], test_random[1]" in check_of(report, "suite is deterministic").detail


def test_the_starter_of_a_debug_problem_must_have_a_bug(tmp_path: Path, no_examples: None) -> None:
    new("centre-rows", "debug", tmp_path)
    starter = tmp_path / "problems" / "centre-rows" / "starter.py"
    starter.write_text(starter.read_text(encoding="utf-8").replace("axis=0", "axis=1, keepdims=True"), encoding="utf-8")
    report = verify(load(tmp_path), mutants=False, grade=grade_here)
    assert "starter has a bug that the suite finds" in failed(report)


@pytest.mark.parametrize(("change", "name", "said"), [
    (edit("-2.0, 0.0, 2.0", "-2.0, 0.0, 3.0", "problems", "test_examples.py"),
     "examples pass on the solution", "FAILED test_examples.py::test_rows_not_columns"),
    (edit("def test_", "def check_", "problems", "test_examples.py"), "examples fail on the starter", "no tests ran"),
    (edit("import numpy", "from grader import check\nimport numpy", "problems", "test_examples.py"),
     "examples", "imports grader"),
])
def test_examples_must_tell_the_solution_from_the_starter(change: Change, name: str, said: str, bank: Path) -> None:
    change(bank / "problems" / "centre-rows", bank / "solutions" / "centre-rows")
    report = verify(load(bank), mutants=False, grade=grade_here)
    assert name in failed(report)
    assert said in check_of(report, name).detail


# new

@pytest.mark.parametrize("slug", ["", "Conv2d", "a b", "../up", "a--b", "-a", "a-", "3d-conv", "é", "a/b", "a_b"])
def test_bad_slugs_are_refused(slug: str, tmp_path: Path) -> None:
    with pytest.raises(PrepError) as caught:
        new(slug, "function", tmp_path)
    assert "prep new" in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PrepError, match="No kind 'quiz'"):
        new("a", "quiz", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("area", ["problems", "solutions"])
def test_nothing_that_exists_is_touched(area: str, tmp_path: Path) -> None:
    (tmp_path / area / "a").mkdir(parents=True)
    with pytest.raises(PrepError, match="exists already"):
        new("a", "function", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [area, "a"]


@pytest.mark.parametrize("kind", problem.KINDS)
@pytest.mark.parametrize("slug", ["lambda", "batch-norm", "resnet18"])
def test_every_template_loads(kind: str, slug: str, tmp_path: Path) -> None:
    written = new(slug, kind, tmp_path)
    loaded = load(tmp_path, slug)
    assert loaded.kind == kind and len(loaded.hints) == 3
    assert {loaded.prompt, loaded.starter, loaded.suite, loaded.examples, loaded.solution, loaded.notes} <= set(written)
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert "NAME" not in text and "REPLACE:" in text
        if path.suffix == ".py":
            compile(text, path.name, "exec", dont_inherit=True)
    assert all(folder.name == slug for folder in (loaded.folder, loaded.solution_folder))


# The worker processes.

class Bomb:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_a_worker_that_dies_is_an_error_with_a_remedy() -> None:
    with pytest.raises(PrepError, match="A grading process died"), author._graders(None, 1) as run:
        list(run([Bomb()]))  # type: ignore[list-item]


@pytest.fixture
def orphan_maker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "parent.py"
    script.write_text("import time\nfrom grader import author\n"
                      "if __name__ == '__main__':\n    with author._graders(None, 1) as run:\n"
                      "        run([None])\n        time.sleep(60)\n", encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)},
                               stderr=subprocess.DEVNULL, text=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_workers_end_with_a_parent_that_was_killed(orphan_maker: subprocess.Popen[str]) -> None:
    parent = psutil.Process(orphan_maker.pid)
    workers: list[psutil.Process] = []
    deadline = time.monotonic() + 30
    while not workers and time.monotonic() < deadline:
        workers = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
        time.sleep(0.05)
    assert workers
    time.sleep(1.0)  # the worker's imports
    os.kill(orphan_maker.pid, signal.SIGKILL)
    orphan_maker.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
