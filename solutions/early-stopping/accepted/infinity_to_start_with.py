"""Starts from the worst metric there is, so that the first needs no case of its own; patience counts down."""

from copy import deepcopy
from operator import gt, lt


class EarlyStopping:
    __slots__ = ("patience", "left", "better", "margin", "best", "best_epoch", "best_state", "calls")

    def __init__(self, patience=3, min_delta=0.0, mode="min"):
        if patience <= 0:
            raise ValueError("patience")
        if not min_delta >= 0:
            raise ValueError("min_delta")
        try:
            self.better, self.margin, self.best = {
                "min": (lt, -min_delta, float("inf")), "max": (gt, min_delta, float("-inf"))}[mode]
        except KeyError:
            raise ValueError(f"unknown mode {mode!r}") from None
        self.patience = self.left = patience
        self.best_epoch = self.best_state = None
        self.calls = 0

    def update(self, metric, state):
        epoch, self.calls = self.calls, self.calls + 1
        if self.better(metric, self.best + self.margin):
            self.best, self.best_epoch, self.best_state, self.left = metric, epoch, deepcopy(state), self.patience
            return False
        self.left -= 1
        return self.left <= 0
