"""Where the bank, the workspace, the state and the data live. Creates nothing by itself."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSIDE_WHEEL = PACKAGE / "bank_files"


def bank_root() -> Path:
    """The folder that holds problems/ and solutions/: inside the wheel, or the checkout around this package."""
    if override := os.environ.get("PREP_BANK"):
        return Path(override).expanduser().resolve()
    return INSIDE_WHEEL if INSIDE_WHEEL.is_dir() else PACKAGE.parent


def workspace_root() -> Path:
    """Where `prep start` puts a learner's files: PREP_WORKSPACE, or ./attempts."""
    return Path(os.environ.get("PREP_WORKSPACE") or "attempts")


def state_dir() -> Path:
    """Where history and counterexamples are kept: PREP_STATE_DIR, or the platform's own place for user state."""
    if override := os.environ.get("PREP_STATE_DIR"):
        return Path(override).expanduser()
    from platformdirs import user_state_dir  # 20 ms: only those who need it pay

    return Path(user_state_dir("prep", appauthor=False))


def data_dir() -> Path:
    """Where MNIST and CIFAR-10 are looked for, and downloaded to: PREP_DATA_DIR, or below the user's cache."""
    if override := os.environ.get("PREP_DATA_DIR"):
        return Path(override).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("prep", appauthor=False)) / "data"
