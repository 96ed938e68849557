"""What the references of the training problems reach: accuracy, interval and time, for several seeds.

    python benchmarks/training.py [SLUG ...] [--profile cpu] [--seeds 3] [--solution FILE]

PREP_DATA_DIR says where MNIST and CIFAR-10 are; without them the surrogates are measured. The thresholds in
problem.toml come from here: the mean less four standard deviations, and never less than what is said there. Nothing
else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from grader import judge, profiles
from grader.bank import Bank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slugs", nargs="*", metavar="SLUG")
    parser.add_argument("--profile", default="cpu", choices=("smoke", "cpu", "gpu"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--solution", type=Path, help="instead of the reference")
    options = parser.parse_args()
    bank = Bank()
    slugs = options.slugs or [problem.slug for problem in bank.all() if problem.kind == "training"]
    print(f"{'problem':22} {'data':14} {'seed':>4} {'accuracy':>8} {'95 % interval':>16} {'train':>7} {'grade':>7}",
          flush=True)
    for slug in slugs:
        problem = bank.get(slug)
        source = (options.solution or problem.solution).read_text(encoding="utf-8")
        reached, gains, times = [], [], []
        for seed in range(options.seeds):
            plan = profiles.plan(problem, options.profile, seed=seed)
            began = time.monotonic()
            verdict = judge.grade(problem, source, plan=plan)
            took_s, training = time.monotonic() - began, verdict.training
            if training is None or training.accuracy is None or training.interval is None:
                print(f"{slug:22} {plan.profile.dataset:14} {seed:4} {verdict.status}: {verdict.message[:200]}",
                      flush=True)
                continue
            low, high = training.interval
            gain = f", {training.control['gain_points']:+.1f} points" if training.control else ""
            print(f"{slug:22} {training.dataset:14} {seed:4} {training.accuracy:8.4f} {low:7.4f}-{high:.4f}  "
                  f"{training.train_s or 0:6.1f}s {took_s:6.1f}s  {verdict.status}{gain}", flush=True)
            if not verdict.accepted:
                print(f"    {verdict.message[:300]}", flush=True)
            reached.append(training.accuracy)
            times.append(training.train_s or 0.0)
            gains += [training.control["gain_points"]] if training.control else []
        if len(reached) > 1:
            mean, deviation = statistics.mean(reached), statistics.stdev(reached)
            more = f"; gain {statistics.mean(gains):+.1f} (sd {statistics.stdev(gains):.1f})" if len(gains) > 1 else ""
            print(f"{slug:22} mean {mean:.4f}, sd {deviation:.4f}, mean - 4 sd {mean - 4 * deviation:.4f}; "
                  f"train {statistics.median(times):.1f} s{more}\n", flush=True)


if __name__ == "__main__":
    main()
