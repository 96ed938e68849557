"""Keeps every metric and reads the whole history at each call; only the best state is kept."""

import copy

import numpy as np


class EarlyStopping:
    def __init__(self, patience=3, min_delta=0.0, mode="min"):
        if patience < 1 or min_delta < 0 or mode not in {"min", "max"}:
            raise ValueError("patience >= 1, min_delta >= 0 and mode 'min' or 'max' are needed")
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.history = []
        self.best_state = None

    @property
    def improvements(self):
        """Epochs that improved on the best before them."""
        values = np.array(self.history, dtype=float)
        if self.mode == "min":
            values = -values
        found, top = [], -np.inf
        for epoch, value in enumerate(values):
            if value - top > self.min_delta:
                found.append(epoch)
                top = value
        return found

    @property
    def best_epoch(self):
        return self.improvements[-1] if self.improvements else None

    @property
    def best(self):
        return self.history[self.best_epoch] if self.improvements else float("nan")

    def update(self, metric, state):
        self.history.append(metric)
        epoch = len(self.history) - 1
        if self.best_epoch == epoch:
            self.best_state = copy.deepcopy(state)
        last = -1 if self.best_epoch is None else self.best_epoch
        return np.bool_(epoch - last >= self.patience)
