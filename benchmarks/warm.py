"""From saving a file to reading the verdict: `prep watch` on a terminal, against a cold `prep grade` of the answer.

    python benchmarks/warm.py [--runs 20] [--cold-runs 5]

A save is a rename over the watched file; the clock stops when the headline is on the terminal. "judge" is the part of
that which the judge took by its own account; the rest is noticing the save, letting it settle, and drawing. "tier" is
when an answer was timed as well, where speed is the point. Exit code 1 where a median is above what is promised.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import platform
import pty
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET_S = {"conv2d": 0.100, "residual-block": 0.150}
PROMISED_S = {"conv2d": 0.200, "residual-block": 0.300}
HEADLINE, TIER = b"ACCEPTED", b"Speed:"
FACTS = re.compile(rb"isolation: [a-z]+; +([\d.]+) (ms|s)")


class Watched:
    """`prep watch` on a pseudo-terminal of 40 lines by 80 columns, with all that it wrote and when."""

    def __init__(self, slug: str, file: Path, env: dict[str, str]) -> None:
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self._process = subprocess.Popen([sys.executable, "-m", "grader", "watch", slug, str(file)], cwd=ROOT, env=env,
                                         stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self._written: list[tuple[float, bytes]] = []
        self._more = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._terminal, 1 << 16):
                with self._more:
                    self._written.append((time.perf_counter(), chunk))
                    self._more.notify_all()

    def since(self, begin: float) -> bytes:
        return b"".join(chunk for at, chunk in list(self._written) if at >= begin)

    def wait_for(self, words: bytes, begin: float, timeout_s: float = 120.0) -> float:
        """When `words` were written, in seconds after `begin`."""
        with self._more:  # to look every other millisecond would take a core from what is measured
            while time.perf_counter() < begin + timeout_s:
                text = b""
                for at, chunk in self._written:
                    if at >= begin:
                        text += chunk
                        if words in text:
                            return at - begin
                self._more.wait(1.0)
        sys.exit(f"{words!r} was not written in {timeout_s:g} s:\n{b''.join(c for _, c in self._written).decode()}")

    def rest(self) -> None:
        """Until nothing was written for a while: the record is kept, the screen is drawn."""
        while not self._written or time.perf_counter() - self._written[-1][0] < 0.3:
            time.sleep(0.02)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=20)
        os.close(self._terminal)


def warm(slug: str, answer: str, file: Path, env: dict[str, str], runs: int,
         timed: bool) -> tuple[float, float, float, float]:
    """Start to first verdict (one run); medians: save to verdict, the judge's part of it, save to tier."""
    file.write_text(answer)
    begin = time.perf_counter()
    watched = Watched(slug, file, env)
    try:
        first = watched.wait_for(HEADLINE, begin)
        verdicts, judges, tiers = [], [], []
        for run in range(runs + 2):
            watched.rest()
            new = file.with_name("new")
            new.write_text(f"{answer}# save {run}\n")
            saved = time.perf_counter()
            new.replace(file)
            verdicts.append(watched.wait_for(HEADLINE, saved))
            watched.wait_for(b" quit", saved)
            value, unit = FACTS.findall(watched.since(saved))[0]
            judges.append(float(value) / (1000 if unit == b"ms" else 1))
            tiers.append(watched.wait_for(TIER, saved) if timed else verdicts[-1])
    finally:
        watched.close()
    return first, statistics.median(verdicts[2:]), statistics.median(judges[2:]), statistics.median(tiers[2:])


def cold(slug: str, file: Path, env: dict[str, str], runs: int) -> float:
    """Median of `prep grade` from its start to its end."""
    took = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "grader", "grade", slug, str(file)], cwd=ROOT, env=env, check=True,
                       stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - begin)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--cold-runs", type=int, default=5)
    chosen = parser.parse_args()
    from grader.attempt import launch
    from grader.bank import Bank

    levels = ["process", "bubblewrap"] if launch.probe()[0] == "bubblewrap" else ["process"]
    too_slow = []
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
          f"median of {chosen.runs} saves and {chosen.cold_runs} cold grades\n")
    print(f"{'':<30}{'first':>9}{'verdict':>10}{'judge':>9}{'target':>9}{'tier':>9}{'cold':>9}{'cold/warm':>11}")
    for slug in TARGET_S:
        problem = Bank().get(slug)
        answer = problem.solution.read_text(encoding="utf-8")
        for level in levels:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "attempt.py"
                env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
                env |= {"PREP_STATE_DIR": f"{folder}/state", "PYTHONPATH": str(ROOT), "PREP_ISOLATION": level,
                        "TERM": "xterm-256color"}
                first, verdict, judge, tier = warm(slug, answer, file, env, chosen.runs, problem.speed is not None)
                grade = cold(slug, file, env, chosen.cold_runs)
            last = f"{tier * 1e3:>6.0f} ms" if problem.speed else f"{'-':>9}"
            print(f"{slug + ', ' + level:<30}{first:>7.2f} s{verdict * 1e3:>7.0f} ms{judge * 1e3:>6.0f} ms"
                  f"{TARGET_S[slug] * 1e3:>6.0f} ms{last}{grade:>7.2f} s{grade / verdict:>11.1f}", flush=True)
            too_slow += [f"{slug}, {level}"] * (verdict > PROMISED_S[slug])
    if too_slow:
        sys.exit(f"slower than promised: {'; '.join(too_slow)}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
