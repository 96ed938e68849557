"""Hypothesis, set up for hidden suites: import it from here. Adds nothing of its own but the settings.

Every run draws the same examples, stores nothing, times nothing, and reports one failure, shrunk. Importing this costs
about 100 ms, so a suite that needs no property should not.
"""

from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

EXAMPLES = 25
"""examples per property: enough to find every planted fault, few enough for a verdict within a second"""

settings.register_profile(
    "prep", derandomize=True, database=None, deadline=None, max_examples=EXAMPLES, print_blob=False,
    report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink))
settings.load_profile("prep")

__all__ = ["assume", "example", "given", "settings", "st"]
