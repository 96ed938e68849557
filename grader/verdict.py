"""What the judge says of an attempt, as frozen data with a published JSON schema. Renders nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 1
MAX_TEXT = 70_000
"""characters of any one text in a verdict"""
MAX_MESSAGE = 5_000
"""of its headline, and of what to do about it"""
MAX_LINE = 500
"""of a line of its traceback, which may be a line of the answer"""


class Status(StrEnum):
    """A verdict's status, and (all but the last three) a case's."""

    ACCEPTED = "accepted"
    WRONG_ANSWER = "wrong-answer"
    RULE_VIOLATION = "rule-violation"
    RUNTIME_ERROR = "runtime-error"
    TIME_LIMIT = "time-limit"
    MEMORY_LIMIT = "memory-limit"
    OUTPUT_LIMIT = "output-limit"
    BELOW_THRESHOLD = "below-threshold"
    NOT_STARTED = "not-started"
    JUDGE_ERROR = "judge-error"


PASSED = "passed"
NOT_RUN = "not-run"


@dataclass(frozen=True)
class Case:
    """One test of the hidden suite. `status` is "passed", "not-run" or the value of the Status it failed with."""

    name: str
    status: str
    points: float
    max_points: float
    rationale: str = ""
    """Why an interviewer would care: the first paragraph of the test's docstring."""
    message: str = ""
    expected: str | None = None
    actual: str | None = None
    first_bad_index: tuple[int, ...] | None = None
    max_error: float | None = None
    counterexample: str | None = None
    """Python that a learner can paste to see the failure."""
    traceback: str | None = None
    """The attempt's own traceback, its own lines only."""
    output: str = ""
    """What the attempt printed during this case."""
    visible: bool = False
    duration_s: float = 0.0


@dataclass(frozen=True)
class Speed:
    """How the attempt's time compares with the reference's, interleaved in one run."""

    tier: str
    """correct, vectorised or fast"""
    ratio: float
    attempt_s: float
    reference_s: float


@dataclass(frozen=True)
class TrainingRun:
    """One run of the answer's train() on the whole training split."""

    seed: int
    train_s: float
    accuracy: float | None


@dataclass(frozen=True)
class Training:
    """What a trained model did on images that it never saw. What was not reached is None or empty."""

    dataset: str
    generated: bool
    """whether the images were drawn by prep: then this is not the real bar"""
    real_bar: str
    """where generated: what the real data set asks for"""
    measured: bool
    """whether the threshold was measured on such a machine"""
    train: int
    validation: int
    held_out: int
    """counts of images"""
    threshold: float
    budget_s: float
    seed: int
    train_s: float | None = None
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    """95 % Wilson score interval of the accuracy"""
    parameters: int | None = None
    peak_memory_mb: float | None = None
    """of the attempt's process, beyond its imports"""
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """confusion[i][j]: held-out images of class i that were taken for class j"""
    worst: tuple[tuple[str, str, int], ...] = ()
    """the pairs (class, taken for, count) that were confused most often"""
    curve: tuple[dict[str, float], ...] = ()
    """what log() was told, thinned where it was told a lot"""
    runs: tuple[TrainingRun, ...] = ()
    control: dict[str, float] | None = None
    """where the bar is a difference: the judge's own run, and the difference"""


@dataclass(frozen=True)
class Verdict:
    """What the judge says of one attempt at one problem."""

    problem: str
    status: Status
    message: str = ""
    fix: str = ""
    score: float = 0.0
    max_score: float = 0.0
    isolation: str = "none"
    """bubblewrap, process, in-process, or none where nothing of the attempt was run"""
    profile: str = "default"
    device: str = "cpu"
    duration_s: float = 0.0
    cases: tuple[Case, ...] = ()
    traceback: str | None = None
    output: str = ""
    speed: Speed | None = None
    training: Training | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.status is Status.ACCEPTED

    @property
    def exit_code(self) -> int:
        """0 accepted, 3 our own fault, 1 anything else."""
        return {Status.ACCEPTED: 0, Status.JUDGE_ERROR: 3}.get(self.status, 1)

    @property
    def first_failure(self) -> Case | None:
        """The first case, in the suite's order, that ran and did not pass."""
        return next((case for case in self.cases if case.status not in (PASSED, NOT_RUN)), None)

    def bounded(self) -> Verdict:
        """With its own texts cut where they are long: an answer has a hand in them. Those of cases are cut already."""
        lines = [clip(line, MAX_LINE, " ") for line in (self.traceback or "").split("\n")]
        return dataclasses.replace(
            self, message=clip(self.message, MAX_MESSAGE, " "), fix=clip(self.fix, MAX_MESSAGE, " "),
            traceback=self.traceback and clip("\n".join(lines), MAX_TEXT), output=clip(self.output, MAX_TEXT))

    def to_json(self) -> dict[str, Any]:
        """Plain data in the shape of docs/verdict.schema.json."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}


def clip(text: str, most: int, then: str = "\n") -> str:
    """`text`, cut after `most` characters where it has more."""
    return text if len(text) <= most else f"{text[:most]}{then}... ({len(text):,} characters)"
