"""kill -9 at random moments, many times: the batch goes on, and its results are those of an undisturbed run.

    python benchmarks/kill.py [--kills 50] [--submissions 200] [--seed 0] [--victims batch worker zygote]

The victims are the batch itself, its workers and their zygotes. The last run is left alone; then every verdict must
equal that of an undisturbed run, nothing may have been graded after it was kept, and no process may be left. Attempts
are no victims: one that is killed has ended, and its verdict says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
KINDS = ("batch", "worker", "zygote")


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(ROOT / "benchmarks" / "batch.py"), "--child", "conv2d", str(folder),
                             str(out), "2", "local"], stdout=subprocess.DEVNULL, text=True,
                            env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)


def family(pid: int) -> list[tuple[str, Any]]:
    """(kind, process) of a batch and all that it started."""
    import psutil

    found: list[tuple[str, Any]] = []
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        found.append(("batch", top))
        for worker in top.children():
            if "spawn_main" not in " ".join(worker.cmdline()):
                continue
            found.append(("worker", worker))
            for process in worker.children():  # bwrap, with the zygote below it, or the zygote itself
                with contextlib.suppress(psutil.Error):
                    zygotes = [process, *(process.children() if process.name() == "bwrap" else [])]
                    found += [("zygote", zygote) for zygote in zygotes]
                    below = process.children(recursive=True)
                    found += [("attempt", attempt) for attempt in below if attempt not in zygotes]
    return found


def results(out: Path) -> dict[str, tuple[Any, ...]]:
    from grader.batch.store import read

    with read(out) as store:
        return {r.student: (r.verdict.status, r.verdict.score, r.verdict.message, [
            (case.name, case.status, case.message, case.counterexample) for case in r.verdict.cases])
            for r in store.results()}


def kept(out: Path) -> dict[str, str]:
    """When each answer was graded."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"{(out / 'results.sqlite').as_uri()}?mode=ro", uri=True)) as db:
        try:
            return dict(db.execute("SELECT key, graded_at FROM answers WHERE status NOT NULL "
                                   "AND status != 'judge-error'"))
        except sqlite3.OperationalError:  # killed before the tables were made
            return {}


def of_prep(process: Any) -> bool:
    """Whether it is a sandbox, an attempt or a zygote."""
    import psutil

    try:
        return any(str(ROOT / "grader" / "attempt") in word for word in process.cmdline())
    except psutil.Error:
        return False


def main() -> None:
    import psutil
    from batch import hand_in

    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    chance, killed, strangers = random.Random(options.seed), Counter[str](), list(psutil.process_iter())
    with tempfile.TemporaryDirectory(prefix="prep-kill-") as temporary:
        folder, out, calm = hand_in(Path(temporary, "in"), "conv2d", options.submissions), Path(temporary, "out"), \
            Path(temporary, "calm")
        if start(folder, calm).wait():
            sys.exit("the undisturbed run failed")
        everyone: list[Any] = []
        process, before, regraded = start(folder, out), dict[str, str](), 0
        while sum(killed.values()) < options.kills:
            time.sleep(chance.uniform(0.05, 2.0))
            if process.poll() is not None:
                before = kept(out) if out.exists() else {}
                if len(before) == options.submissions:  # done too soon: one more round, from nothing
                    for file in out.iterdir():
                        file.unlink()
                    before = {}
                process = start(folder, out)
                continue
            candidates = family(process.pid)
            kind = chance.choice(options.victims)
            victims = [victim for name, victim in candidates if name == kind]
            if not victims:
                continue
            everyone += [p for _, p in candidates if p not in everyone]
            with contextlib.suppress(psutil.Error):
                chance.choice(victims).kill()
                killed[kind] += 1
            if kind == "batch":
                process.wait()
                now = kept(out) if (out / "results.sqlite").exists() else {}
                regraded += sum(now.get(key) != at for key, at in before.items())
                before = now
                process = start(folder, out)
        process.wait()
        if start(folder, out).wait():
            sys.exit("the last run failed")
        truth, found = results(calm), results(out)
        wrong = [name for name, row in found.items() if row != truth[name]]
        _, alive = psutil.wait_procs(everyone, timeout=10)
        alive += [p for p in psutil.process_iter() if p not in [*alive, *strangers] and of_prep(p)]  # never seen
        alive = [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
        print(f"killed: {', '.join(f'{count} x {kind}' for kind, count in sorted(killed.items()))}")
        print(f"{len(found)} of {len(truth)} submissions have a verdict; {len(wrong)} differ from the undisturbed run; "
              f"{regraded} graded twice; {len(alive)} processes left")
        if wrong or regraded or alive or len(found) != len(truth):
            for name in wrong[:5]:
                print(f"{name}: {found[name][:3]}\n   undisturbed: {truth[name][:3]}")
            sys.exit(f"left: {alive}" if alive else 1)


if __name__ == "__main__":
    main()
