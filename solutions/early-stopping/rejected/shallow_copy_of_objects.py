# expect: wrong-answer test_objects_in_the_state_are_copied_with_all_they_hold
# Goes through containers, but copies an object in them without what it holds.
import copy
import math


def snapshot(state):
    if isinstance(state, dict):
        return {key: snapshot(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(snapshot(value) for value in state)
    return copy.copy(state)


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
            self.best_state = snapshot(state)
            self.poor_epochs = 0
        else:
            self.poor_epochs += 1
        self.epoch += 1
        return self.poor_epochs >= self.patience
