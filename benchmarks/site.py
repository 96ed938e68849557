"""What a change of one page costs `prep site serve`, against building the whole site, in one run.

    python benchmarks/site.py [--runs 5]

Processor seconds: the medians and their ratio, in how many files the change ended. Exit code 1 where the ratio is above
what is promised.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from grader.site.build import Site

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/questions/convolution/pooling.en.md")
PROMISED = 0.33


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    whole, change, written = [], [], set()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "bank")
        for part in ("docs", "problems", "solutions"):
            shutil.copytree(ROOT / part, root / part)
        text = (root / PAGE).read_text(encoding="utf-8")
        for i in range(runs):
            site = Site(root, Path(folder, f"out{i}"), draft=True)
            begin = time.process_time()
            pages = site.build().written
            middle = time.process_time()
            (root / PAGE).write_text(text.replace("## Answer\n", f"## Answer\nEdited {i}. ", 1), encoding="utf-8")
            again = time.process_time()
            written.add(site.build().written)
            whole.append(middle - begin)
            change.append(time.process_time() - again)
    ratio = statistics.median(change) / statistics.median(whole)
    print(f"the whole site, {pages} files   {statistics.median(whole):6.2f} s")
    print(f"one page changed, {'/'.join(map(str, sorted(written)))} files   {statistics.median(change):6.2f} s")
    print(f"ratio {ratio:.2f}, promised {PROMISED}; medians of {runs}, Python {sys.version.split()[0]}")
    return ratio > PROMISED


if __name__ == "__main__":
    sys.exit(main())
