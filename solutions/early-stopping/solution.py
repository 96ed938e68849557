import copy
import math


class EarlyStopping:
    """Stops training when a validation metric has not improved for `patience` epochs in a row.

    best, best_epoch, best_state: the metric, the epoch (from 0) and a deep copy of the state of the latest improvement.
    Raises ValueError for patience < 1, min_delta < 0, or a mode other than "min" and "max".
    """

    def __init__(self, patience=3, min_delta=0.0, mode="min"):
        if patience < 1:
            raise ValueError(f"patience is {patience}; it must be at least 1")
        if min_delta < 0:
            raise ValueError(f"min_delta is {min_delta}; it must not be negative")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is {mode!r}; it must be 'min' or 'max'")
        self.patience, self.min_delta = patience, min_delta
        self.sign = 1 if mode == "max" else -1          # sign * metric: higher is better
        self.epoch = 0                                  # of the next update
        self.poor_epochs = 0                            # in a row
        self.best = self.best_epoch = self.best_state = None

    def update(self, metric, state) -> bool:
        """Take in one epoch's metric and state. Returns whether to stop now."""
        if self.best is None:
            improved = not math.isnan(metric)           # as a first best, NaN could never be beaten
        else:
            improved = self.sign * (metric - self.best) > self.min_delta        # False for NaN
        if improved:
            self.best, self.best_epoch = metric, self.epoch
            self.best_state = copy.deepcopy(state)      # training goes on in place
            self.poor_epochs = 0
        else:
            self.poor_epochs += 1
        self.epoch += 1
        return self.poor_epochs >= self.patience
