# expect: wrong-answer test_best_state_belongs_to_the_best_epoch
# Saves the state at every epoch, so the best is gone when training stops.
import copy
import math


class EarlyStopping:
    def __init__(self, patience=3, min_delta=0.0, mode="min"):
        if patience < 1:
            raise ValueError(f"patience is {patience}; it must be at least 1")
        if min_delta < 0:
            raise ValueError(f"min_delta is {min_delta}; it must not be negative")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is {mode!r}; it must be 'min' or 'max'")
        self.patience, self.min_delta = patience, min_delta
        self.sign = 1 if mode == "max" else -1
        self.epoch = 0
        self.poor_epochs = 0
        self.best = self.best_epoch = self.best_state = None

    def update(self, metric, state) -> bool:
        if self.best is None:
            improved = not math.isnan(metric)
        else:
            improved = self.sign * (metric - self.best) > self.min_delta
        if improved:
            self.best, self.best_epoch = metric, self.epoch
            self.poor_epochs = 0
        else:
            self.poor_epochs += 1
        self.best_state = copy.deepcopy(state)
        self.epoch += 1
        return self.poor_epochs >= self.patience
