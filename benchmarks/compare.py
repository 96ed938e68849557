"""The same submissions, right, wrong, crashing and hanging, graded by prep and by what others use.

    python benchmarks/compare.py [conv2d] [residual-block] [--runs 3] [--count 100] [--quick] [--readme README.md]
                                 [--otter VENV/bin/otter] [--nbgrader VENV/bin/nbgrader]

conv2d (NumPy) is graded by all, residual-block (Torch) by prep and pytest. prep runs its hidden suite, with two
workers. pytest runs the same suite, a process each: one after another, as a loop in the shell would, and two at a time,
as a careful teacher would, each with one thread (Torch's own would fight for the cores, and take 2.7 times as long).
otter-grader and nbgrader run eight assertions in their own formats: otter a process each, two at a time, nbgrader in
one process, as it does. What hangs is ended after
LIMIT_S, from outside where the grader has no limit of its own; it is graded apart and once, since its cost is that of
the limit. Install the last two into environments of their own; without one, its row is left out. --readme replaces
the tables between the markers there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
WORKERS = 2
LIMIT_S = 10.0
MARKERS = ("<!-- benchmarks/compare.py {} -->", "<!-- end of {} -->")
ENTRIES = {"conv2d": "def conv2d(x, w, b=None, stride=1, padding=0):\n    ",
           "residual-block": "import torch\nclass BasicBlock(torch.nn.Module):\n"
                             "    def __init__(self, in_channels, out_channels, stride=1):\n        "}
"""each needs one statement more"""
CRASHING = ["os._exit(3)", "__import__('ctypes').string_at(0)", "sys.setrecursionlimit(100); (f := lambda: f())()"]
HANGING = ["[1 for _ in iter(int, 1)]", "__import__('time').sleep(1e6)"]
NOTEBOOK = {"metadata": {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"},
                         "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


@dataclass(frozen=True)
class Row:
    """Seconds are wall clock over the whole lot by the number of submissions."""

    name: str
    seconds: float
    hanging_s: float
    passed: int


Grader = Callable[[str, dict[str, str], Path], int]
"""(problem, sources by student, an empty folder) -> how many passed"""


def submissions(slug: str, count: int) -> tuple[dict[str, str], dict[str, str]]:
    """40 % right, 50 % wrong, 6 % that crash; and 4 % that hang. Each text is different."""
    answers = {kind: [p.read_text(encoding="utf-8") for p in sorted((ROOT / "solutions" / slug / kind).glob("*.py"))]
               for kind in ("accepted", "rejected")}
    crashing, hanging = ([f"import os, sys\n{ENTRIES[slug]}{statement}\n" for statement in statements]
                         for statements in (CRASHING, HANGING))

    def hand_in(*shares: tuple[list[str], int]) -> dict[str, str]:
        found: dict[str, str] = {}
        for sources, share in shares:
            for i in range(max(1, count * share // 100)):
                found[f"student{len(found):03}"] = f"{sources[i % len(sources)]}\n# {len(found)}\n"
        return found

    return (hand_in((answers["accepted"], 40), (answers["rejected"], 50), (crashing, 6)),
            hand_in((hanging, 4)))


def prep(slug: str, sources: dict[str, str], folder: Path) -> int:
    (folder / "in").mkdir()
    for name, source in sources.items():
        (folder / "in" / f"{name}.py").write_text(source, encoding="utf-8")
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "batch.py"), "--child", slug, str(folder / "in"),
                    str(folder / "out"), str(WORKERS), "local"], check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | {"PYTHONPATH": str(ROOT)})
    from grader.batch.store import read

    with read(folder / "out") as store:
        return store.statuses().get("accepted", 0)


def pytest(at_a_time: int, **environment: str) -> Grader:
    def grade(slug: str, sources: dict[str, str], folder: Path) -> int:
        def one(item: tuple[str, str]) -> bool:
            file = folder / f"{item[0]}.py"
            file.write_text(item[1], encoding="utf-8")
            return ended_well([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                               f"problems/{slug}/test_hidden.py", "--attempt", str(file), "--in-process"], ROOT,
                              **environment)

        with ThreadPoolExecutor(at_a_time) as pool:
            return sum(pool.map(one, sources.items()))

    return grade


def otter(command: Path) -> Grader:
    def grade(_: str, sources: dict[str, str], folder: Path) -> int:
        tests = folder / "tests"
        tests.mkdir()
        for i, code in enumerate(assertions()):
            doctest = "".join(f">>> {line}\n" for line in code.splitlines())
            case = {"name": f"q{i}", "points": 1, "suites": [{
                "cases": [{"code": doctest, "hidden": False, "locked": False}], "scored": True, "setup": "",
                "teardown": "", "type": "doctest"}]}
            (tests / f"q{i}.py").write_text(f"OK_FORMAT = True\ntest = {case!r}\n")
        subprocess.run([command, "generate", "-t", tests, "-o", folder / "autograder.zip", "--no-environment"],
                       cwd=folder, check=True, capture_output=True)

        def one(item: tuple[str, str]) -> bool:
            own = folder / item[0]
            own.mkdir()
            (own / "conv2d.ipynb").write_text(notebook([("code", "import numpy as np", None),
                                                        ("code", item[1], None)]))
            if not ended_well([str(command), "run", "-a", str(folder / "autograder.zip"), "-o", str(own),
                               str(own / "conv2d.ipynb")], own):
                return False
            results = json.loads((own / "results.json").read_text())["tests"]
            return all(test.get("score") == test.get("max_score") for test in results)

        with ThreadPoolExecutor(WORKERS) as pool:
            return sum(pool.map(one, sources.items()))

    return grade


def nbgrader(command: Path) -> Grader:
    def grade(_: str, sources: dict[str, str], folder: Path) -> int:
        (folder / "nbgrader_config.py").write_text(
            f"c = get_config()\nc.ExecutePreprocessor.timeout = {LIMIT_S:.0f}\nc.CourseDirectory.course_id = 'bench'\n"
            f"c.ClearSolutions.code_stub = {{'python': 'raise NotImplementedError'}}\n")

        def cells(source: str) -> str:
            return notebook([("code", "import numpy as np", None), ("code", source, ("answer", True, 0)),
                             *(("code", code, (f"test{i}", False, 1)) for i, code in enumerate(assertions()))])

        place(folder / "source" / "ps1", cells("### BEGIN SOLUTION\npass\n### END SOLUTION"))
        environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"}
        subprocess.run([command, "generate_assignment", "ps1"], cwd=folder, check=True, capture_output=True,
                       env=environment)
        for name, source in sources.items():
            place(folder / "submitted" / name / "ps1", cells(source))
        subprocess.run([command, "autograde", "ps1"], cwd=folder, check=False, capture_output=True, env=environment)
        subprocess.run([command, "export", "--to", "grades.csv"], cwd=folder, check=True, capture_output=True,
                       env=environment)
        import csv

        with (folder / "grades.csv").open() as file:
            return sum(float(row["raw_score"] or 0) == float(row["max_score"]) for row in csv.DictReader(file))

    return grade


def place(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "conv2d.ipynb").write_text(text)


def notebook(cells: list[tuple[str, str, tuple[str, bool, int] | None]]) -> str:
    """Cells of (type, source, nbgrader's (id, is the solution, points))."""
    made = []
    for i, (kind, source, grading) in enumerate(cells):
        metadata = {"nbgrader": {"schema_version": 3, "grade_id": grading[0], "solution": grading[1],
                                 "grade": bool(grading[2]), "locked": bool(grading[2]), "task": False,
                                 **({"points": grading[2]} if grading[2] else {})}} if grading else {}
        made.append({"cell_type": kind, "id": f"cell{i}", "metadata": metadata, "source": source, "outputs": [],
                     "execution_count": None})
    return json.dumps(NOTEBOOK | {"cells": made})


def assertions() -> list[str]:
    """Eight tests as others would write them: literal inputs, the reference's results, a tolerance."""
    import numpy as np

    from grader.suite import load_module

    reference = load_module("reference", ROOT / "solutions/conv2d/solution.py")
    rng = np.random.default_rng(0)
    found = []
    for n, c, height, width, f, kernel, bias, stride, padding in (
            (1, 1, 4, 4, 1, (3, 3), False, 1, 0), (2, 1, 4, 5, 1, (2, 3), False, 1, 0),
            (1, 3, 5, 4, 2, (3, 3), False, 1, 0), (1, 2, 5, 6, 2, (3, 2), True, 1, 0),
            (1, 1, 6, 5, 1, (3, 3), False, 2, 0), (1, 1, 4, 5, 1, (3, 3), False, 1, 1),
            (2, 2, 7, 6, 3, (3, 3), True, 2, 1), (1, 2, 3, 3, 1, (3, 3), True, 1, 2)):
        x, w = rng.integers(-4, 5, (n, c, height, width)) * 1.0, rng.integers(-4, 5, (f, c, *kernel)) * 1.0
        b = rng.integers(-4, 5, f) * 1.0 if bias else None
        expected = reference.conv2d(x, w, b, stride=stride, padding=padding)
        shown = [f"np.array({a.tolist()})" if a is not None else "None" for a in (x, w, b, expected)]
        found.append(f"got = conv2d({shown[0]}, {shown[1]}, {shown[2]}, stride={stride}, padding={padding})\n"
                     f"assert got.shape == {expected.shape} and np.allclose(got, {shown[3]})")
    return found


def ended_well(command: list[str], folder: Path, **environment: str) -> bool:
    """Whether a command ends with 0 within the limit; it is killed with its children where it does not end."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL, start_new_session=True, env=os.environ | environment)
    try:
        return process.wait(timeout=LIMIT_S) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def table(slug: str, rows: list[Row], right: int, count: int, hanging: int, runs: int) -> str:
    ours = rows[0].seconds
    lines = [f"| {slug}: grader | seconds a submission | times prep's | passed ({right} are right) | "
             "seconds a hanging one |",
             "|---|--:|--:|--:|--:|"]
    lines += [f"| {row.name} | {row.seconds:.3f} | {row.seconds / ours:.1f} | {row.passed} | {row.hanging_s:.1f} |"
              for row in rows]
    lines.append(f"\n{count} submissions of {slug} (40 % right, 50 % wrong, 6 % crash), median of {runs} "
                 f"run{'s' * (runs > 1)}, and {hanging} that hang, {os.cpu_count()} cores, "
                 f"Python {platform.python_version()}.")
    return "\n".join(lines)


def timed(grade: Grader, slug: str, sources: dict[str, str]) -> tuple[float, int]:
    """Seconds a submission, and how many passed."""
    folder = Path(tempfile.mkdtemp(prefix="prep-compare-"))
    try:
        begin = time.perf_counter()
        passed = grade(slug, sources, folder)
        return (time.perf_counter() - begin) / len(sources), passed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(slug: str, graders: dict[str, Grader], count: int, runs: int) -> str:
    """The table of one problem."""
    ending, hanging = submissions(slug, count)
    took: dict[str, list[float]] = {name: [] for name in graders}
    passed: dict[str, int] = {}
    for _ in range(runs):  # they take turns, so that a slow minute of the machine hits all alike
        for name, grade in graders.items():
            seconds, passed[name] = timed(grade, slug, ending)
            took[name].append(seconds)
            print(f"{slug}, {name}: {seconds:.3f} s a submission, {passed[name]} passed", file=sys.stderr, flush=True)
    rows = [Row(name, statistics.median(took[name]), timed(grade, slug, hanging)[0], passed[name])
            for name, grade in graders.items()]
    return table(slug, rows, max(1, count * 40 // 100), len(ending), len(hanging), runs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("slugs", nargs="*", metavar="SLUG", default=list(ENTRIES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="20 submissions, one run")
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--otter", type=Path)
    parser.add_argument("--nbgrader", type=Path)
    options = parser.parse_args()
    runs, count = (1, 20) if options.quick else (options.runs, options.count)
    for slug in options.slugs:
        graders: dict[str, Grader] = {
            "prep batch, bubblewrap": prep, "pytest, one process after another": pytest(1),
            "pytest, two processes at a time": pytest(WORKERS, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")}
        if slug == "conv2d":
            for name, path, make in (("otter-grader", options.otter, otter), ("nbgrader", options.nbgrader, nbgrader)):
                if path and path.exists():
                    graders[name] = make(path.absolute())
                else:
                    print(f"{name} is left out: --{name.partition('-')[0]} PATH", file=sys.stderr)
        text = compare(slug, graders, count, runs)
        print(f"{text}\n", flush=True)
        if options.readme:
            write(options.readme, slug, text)


def write(readme: Path, slug: str, text: str) -> None:
    """Put the table of a problem between its markers."""
    opening, closing = (marker.format(slug) for marker in MARKERS)
    head, begins, rest = readme.read_text(encoding="utf-8").partition(opening)
    _, ends, tail = rest.partition(closing)
    if not begins or not ends:
        sys.exit(f"{readme} has no lines {opening} and {closing}")
    readme.write_text(f"{head}{opening}\n{text}\n{closing}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
