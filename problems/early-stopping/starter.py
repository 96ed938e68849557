class EarlyStopping:
    """Stops training when a validation metric has not improved for `patience` epochs in a row.

    best, best_epoch, best_state: the metric, the epoch (from 0) and the state of the latest improvement.
    Raises ValueError for patience < 1, min_delta < 0, or a mode other than "min" and "max".
    """

    def __init__(self, patience=3, min_delta=0.0, mode="min"):
        raise NotImplementedError

    def update(self, metric, state) -> bool:
        """Take in one epoch's metric and state. Returns whether to stop now."""
        raise NotImplementedError
