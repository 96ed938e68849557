"""How long a verdict takes, against plain pytest on the same suite, in one run on one machine.

    python benchmarks/grade.py [--runs 10]

Prints medians and ratios; the commands take turns, so that a slow minute of the machine hits all of them alike.
Exit code 1 where a ratio is above what the project promises.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMISED = {"conv2d": 1.3, "residual-block": 1.3, "help": 1.5}


def seconds(command: list[str], env: dict[str, str]) -> float:
    """Wall-clock seconds of one run that has to succeed."""
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took


def compare(ours: list[str], theirs: list[str], runs: int, env: dict[str, str]) -> tuple[float, float]:
    """Medians of two commands that take turns, after one run of each to warm the disk's cache."""
    seconds(ours, env), seconds(theirs, env)
    pairs = [(seconds(ours, env), seconds(theirs, env)) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def round_trip() -> None:
    """Cost of one call that sends an array and gets it back."""
    import numpy as np

    from grader.attempt.proxy import launch
    from grader.bank import Bank

    source = ROOT.joinpath("solutions/conv2d/solution.py").read_text() + "\n\ndef echo(x):\n    return x\n"
    attempt = launch(Bank().get("conv2d"), source)
    print(f"\n{'array there and back':<28}{'median':>12}   ({attempt.isolation})")
    for label, size, times in (("1 kB", 1_000, 500), ("1 MB", 1_000_000, 50), ("100 MB", 100_000_000, 5)):
        x = np.zeros(size // 8)
        took = []
        for _ in range(times + 2):
            attempt.begin_case(0)  # forget earlier calls' arrays, as between tests
            begin = time.perf_counter()
            attempt.echo(x)
            took.append(time.perf_counter() - begin)
        print(f"{label:<28}{statistics.median(took[2:]) * 1e6:>9,.0f} µs")
    attempt.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    python = sys.executable
    too_slow = []
    with tempfile.TemporaryDirectory() as state:
        env = os.environ | {"PREP_STATE_DIR": state, "PYTHONPATH": str(ROOT)}
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {runs}\n")
        print(f"{'':<28}{'prep':>10}{'other':>10}{'ratio':>8}")
        for slug in ("conv2d", "residual-block"):
            answer = f"solutions/{slug}/solution.py"
            ours, theirs = compare(
                [python, "-m", "grader", "grade", slug, answer],
                [python, "-m", "pytest", "-q", f"problems/{slug}/test_hidden.py", "--attempt", answer, "--in-process"],
                runs, env)
            print(f"{'grade ' + slug + ' / pytest':<28}{ours:>8.3f} s{theirs:>8.3f} s{ours / theirs:>8.2f}")
            too_slow += [slug] * (ours / theirs > PROMISED[slug])
        ours, theirs = compare([python, "-m", "grader", "--help"], [python, "-c", "import typer, rich"], runs, env)
        print(f"{'--help / import typer, rich':<28}{ours:>8.3f} s{theirs:>8.3f} s{ours / theirs:>8.2f}")
        too_slow += ["help"] * (ours / theirs > PROMISED["help"])
    round_trip()
    if too_slow:
        sys.exit(f"slower than promised: {', '.join(too_slow)}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
