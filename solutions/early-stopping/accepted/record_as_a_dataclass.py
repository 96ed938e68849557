"""The best epoch is one immutable record; the attributes are views of it."""

import copy
from dataclasses import dataclass
from typing import Any


class BadOption(ValueError):
    pass


@dataclass(frozen=True)
class Record:
    metric: float | None = None
    epoch: int | None = None
    state: Any = None

    def beaten_by(self, metric, margin, higher):
        if metric != metric:
            return False
        if self.epoch is None:
            return True
        return metric > self.metric + margin if higher else metric < self.metric - margin


@dataclass
class EarlyStopping:
    patience: int = 3
    min_delta: float = 0.0
    mode: str = "min"

    def __post_init__(self):
        if self.patience < 1:
            raise BadOption("patience must be positive")
        if self.min_delta < 0:
            raise BadOption("min_delta must not be negative")
        if self.mode != "min" and self.mode != "max":
            raise BadOption("mode must be min or max")
        self.record = Record()
        self.next_epoch = 0
        self.last_good = -1

    best = property(lambda self: self.record.metric)
    best_epoch = property(lambda self: self.record.epoch)
    best_state = property(lambda self: copy.deepcopy(self.record.state))

    def update(self, metric, state):
        if self.record.beaten_by(metric, self.min_delta, self.mode == "max"):
            self.record = Record(metric, self.next_epoch, copy.deepcopy(state))
            self.last_good = self.next_epoch
        self.next_epoch += 1
        return self.next_epoch - 1 - self.last_good >= self.patience
