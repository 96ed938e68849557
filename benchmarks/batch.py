"""`prep batch` at work: submissions a second, cost of each as their number grows, peak memory of all processes.

    python benchmarks/batch.py [--slug conv2d] [--sizes 100 500 2000] [--workers 2] [--executor local|ray] [--quick]
                               [--plot FILE.svg]

The submissions are the accepted and rejected answers of the bank, each with a comment of its own, so that none is
graded for another. Memory is the sum of proportional set sizes (shared pages are counted once), sampled twice a
second. Exit code 1 where conv2d falls below 20 a second, or memory grows with the number of submissions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMISED_RATE = 20.0
PROMISED_GROWTH = 1.15
"""peak memory of the largest batch over that of the smallest"""


@dataclass(frozen=True)
class Measured:
    """One batch. Seconds are wall clock, start of the first process to end of the last."""

    submissions: int
    seconds: float
    first_s: float
    """until the first verdict: start of the interpreter, of the workers and their libraries"""
    peak_mb: float

    @property
    def rate(self) -> float:
        """Submissions a second once the workers are up."""
        return (self.submissions - 1) / (self.seconds - self.first_s)


def hand_in(folder: Path, slug: str, count: int) -> Path:
    """`count` different submissions, as many of each answer of the bank."""
    answers = sorted(path for kind in ("accepted", "rejected")
                     for path in (ROOT / "solutions" / slug / kind).glob("*.py"))
    folder.mkdir(parents=True)
    for i in range(count):
        # a stride that is no divisor, so that a small batch has the same mix as a large one
        source = answers[i * 7 % len(answers) if len(answers) % 7 else i % len(answers)].read_text(encoding="utf-8")
        (folder / f"student{i:05}.py").write_text(f"{source}\n# student {i}\n", encoding="utf-8")
    return folder


def measure(slug: str, count: int, workers: int, executor: str) -> Measured:
    with tempfile.TemporaryDirectory(prefix="prep-bench-") as temporary:
        folder = hand_in(Path(temporary, "in"), slug, count)
        begin = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", slug, str(folder), str(Path(temporary, "out")), str(workers),
             executor],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert child.stdout
        os.set_blocking(child.stdout.fileno(), False)
        first, peak, said = 0.0, 0.0, ""
        while child.poll() is None:
            with contextlib.suppress(TypeError):  # nothing to read
                said += child.stdout.read() or ""
            first = first or (time.perf_counter() - begin if said else 0.0)
            if first:
                peak = max(peak, tree_mb(child.pid))
            time.sleep(0.5 if first else 0.05)  # looking costs the batch some of its time
        took = time.perf_counter() - begin
        if child.returncode:
            sys.exit(f"the batch ended with {child.returncode}")
        return Measured(count, took, first, peak)


def tree_mb(pid: int) -> float:
    """Proportional set size of a process and its descendants; those of other users are seen by root only."""
    import psutil

    total = 0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(OSError, StopIteration):
                text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                total += int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])
    return total / 1024


def child(slug: str, folder: str, out: str, workers: str, executor: str) -> None:
    """The batch that is measured; prints a line at the first verdict."""
    from grader.bank import Bank
    from grader.batch import run, submissions

    told = False

    def tell(progress: run.Progress) -> None:
        nonlocal told
        if progress.done and not told:
            print("first", flush=True)
            told = True

    run.grade([submissions.find(Bank(), slug, [folder])], Path(out),
              run.Options(executor=executor, workers=int(workers), trust_submissions=True), on_progress=tell)


def plot(rows: list[Measured], title: str) -> str:
    """Peak memory and milliseconds per submission over the number of submissions, as SVG."""
    width, height, left, bottom = 320, 180, 50, 30
    panels = []
    for number, (label, values) in enumerate((("peak memory, MB", [row.peak_mb for row in rows]),
                                              ("ms a submission", [1000 / row.rate for row in rows]))):
        most_x, most_y = max(row.submissions for row in rows), max(values) * 1.15
        points = [(left + (width - left - 20) * row.submissions / most_x,
                   height - bottom - (height - bottom - 30) * value / most_y) for row, value in zip(rows, values)]
        marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/><text x="{x:.1f}" y="{y - 7:.1f}" '
                        f'text-anchor="middle">{value:.0f}</text><text x="{x:.1f}" y="{height - 12}" '
                        f'text-anchor="middle">{row.submissions}</text>'
                        for row, value, (x, y) in zip(rows, values, points))
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        panels.append(f'<g transform="translate({number * width} 0)"><text x="{left}" y="16">{label}</text>'
                      f'<path d="M{left} 24V{height - bottom}H{width - 10}" fill="none" stroke="#888"/>'
                      f'<polyline points="{line}" fill="none" stroke="#3563c9" stroke-width="2"/>{marks}</g>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width} {height}" font-family="sans-serif" '
            f'font-size="11" fill="#777"><title>{title}</title>{"".join(panels)}</svg>\n')


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slug", default="conv2d")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--executor", default="local", choices=("local", "ray"))
    parser.add_argument("--quick", action="store_true", help="20 and 60 submissions, nothing promised")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{options.slug}, {options.executor}, {options.workers} workers, {os.cpu_count()} cores, "
          f"Python {platform.python_version()}\n")
    print(f"{'submissions':>11}{'seconds':>10}{'first after':>13}{'a second':>10}{'ms each':>9}{'peak MB':>9}")
    for size in [20, 60] if options.quick else options.sizes:
        row = measure(options.slug, size, options.workers, options.executor)
        rows.append(row)
        print(f"{size:>11}{row.seconds:>10.1f}{row.first_s:>11.1f} s{row.rate:>10.1f}{1000 / row.rate:>9.0f}"
              f"{row.peak_mb:>9.0f}", flush=True)
    if options.plot:
        options.plot.write_text(plot(rows, f"prep batch {options.slug}, {options.workers} workers"), encoding="utf-8")
    if options.quick:
        return
    slow = options.slug == "conv2d" and max(row.rate for row in rows) < PROMISED_RATE
    grows = rows[-1].peak_mb > PROMISED_GROWTH * rows[0].peak_mb
    if slow or grows:
        sys.exit(" and ".join(["slower than promised"] * slow + ["memory grows"] * grows))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
