"""Looks at what prep needs on this machine and says what to do about each thing that is not in order. Mends nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grader import __version__
from grader.bank import Bank
from grader.errors import PrepError
from grader.history import History
from grader.paths import state_dir, workspace_root

OK, WARNING, PROBLEM = "ok", "warning", "problem"

REQUIRED = ("hypothesis", "jinja2", "msgpack", "numpy", "platformdirs", "psutil", "pytest", "rich", "torch", "typer")
TORCH_TIMEOUT_S = 120.0
"""the first import of Torch after an installation reads gigabytes"""

_ASK_TORCH = """
import json, torch
mps = getattr(torch.backends, "mps", None)
print("\\n" + json.dumps({
    "version": torch.__version__, "built_for": torch.version.cuda,
    "gpus": [[torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory]
             for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else [],
    "mps": bool(mps and mps.is_available())}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `level`: ok, warning (prep works without it) or problem."""

    name: str
    level: str
    detail: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, as it is made. A check that itself fails is a finding too."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("Python", _python), ("packages", _packages), ("Torch", _torch), ("isolation", _isolation),
        ("problems", _bank), ("record", _state), ("workspace", _workspace), ("data", _data), ("terminal", _terminal))
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # one broken check must not hide the others
            yield Finding(name, PROBLEM, f"the check itself failed: {type(error).__name__}: {error}",
                          "Please report this line.")


def _python() -> Iterator[Finding]:
    found = f"{platform.python_version()} ({sys.executable}), {platform.system()} {platform.machine()}"
    good = sys.version_info >= (3, 11)
    yield Finding("Python", OK if good else PROBLEM, found, "" if good else "Install Python 3.11 or newer.")


def _packages() -> Iterator[Finding]:
    versions, missing = [f"prep {__version__}"], []
    for name in REQUIRED:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", OK, ", ".join(versions))
    if missing:
        yield Finding("packages", PROBLEM, f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")


def _torch() -> Iterator[Finding]:
    """Imported in a process of its own: a broken installation can crash or hang."""
    try:
        importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return  # said already
    again = "pip install --force-reinstall torch"
    try:
        asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, errors="replace",
                               timeout=TORCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        yield Finding("Torch", PROBLEM, f"importing it takes more than {TORCH_TIMEOUT_S:g} s", again)
        return
    if asked.returncode != 0:
        last = (asked.stderr.strip() or f"exit code {asked.returncode}").splitlines()[-1]
        yield Finding("Torch", PROBLEM, f"it cannot be imported: {last}", again)
        return
    found = json.loads(asked.stdout.strip().splitlines()[-1])
    yield Finding("Torch", OK, f"{found['version']} imports")
    if found["gpus"]:
        yield Finding("GPU", OK, "; ".join(f"{name}, {memory / 2**30:.0f} GiB" for name, memory in found["gpus"]))
    elif found["mps"]:
        yield Finding("GPU", OK, "Apple MPS")
    elif found["built_for"] and shutil.which("nvidia-smi"):
        yield Finding("GPU", WARNING, f"Torch is built for CUDA {found['built_for']} but finds no usable GPU",
                      "See what the driver says:  nvidia-smi")
    else:
        yield Finding("GPU", OK, "none: training problems use their CPU profile")


def _isolation() -> Iterator[Finding]:
    """By a real launch: bubblewrap on PATH may be forbidden to work."""
    try:
        from grader.attempt.launch import probe
    except ImportError as error:
        yield Finding("isolation", WARNING, f"not known: {error}", "Reinstall prep.")
        return
    level, reason = probe()
    if str(level) == "bubblewrap":
        yield Finding("isolation", OK, f"bubblewrap: answers run in a sandbox{f' ({reason})' if reason else ''}")
        return
    if str(level) == "landlock":
        yield Finding("isolation", WARNING, "landlock: answers can read no file of yours and write nowhere but in a "
                                            f"folder of their own; no namespaces{f' ({reason})' if reason else ''}",
                      "Enough for your own answers. For those of others:  " + (
                          "allow unprivileged user namespaces to bwrap" if shutil.which("bwrap")
                          else "apt install bubblewrap"))
        return
    fix = "Your own answers are judged all the same. "
    if sys.platform != "linux":
        fix += "Sandboxing needs Linux."
    elif shutil.which("bwrap"):
        fix += "bubblewrap is installed but may not run: allow unprivileged user namespaces."
    else:
        fix += "For a sandbox:  apt install bubblewrap"
    why = f" ({reason})" if reason else ""
    yield Finding("isolation", WARNING, f"{level}: a separate process, no sandbox{why}", fix)


def _bank() -> Iterator[Finding]:
    bank = Bank()
    slugs = bank.slugs()
    if not slugs:
        yield Finding("problems", PROBLEM, f"there are none in {bank.root / 'problems'}",
                      "Unset PREP_BANK, or reinstall prep.")
        return
    broken = []
    for slug in slugs:
        try:
            bank.get(slug)
        except PrepError as error:
            broken.append(Finding("problems", PROBLEM, error.what, error.fix))
    yield Finding("problems", OK, f"{len(slugs) - len(broken)} of {len(slugs)} load, in {bank.root}")
    yield from broken


def _state() -> Iterator[Finding]:
    folder = state_dir()
    fix = "Set PREP_STATE_DIR to a folder that can be written. Verdicts are given all the same, but not kept."
    trouble = _unwritable(folder)
    if trouble:
        yield Finding("record", PROBLEM, trouble, fix)
        return
    said: list[str] = []
    try:
        tried = sum(summary.attempts for summary in History(warn=said.append).summaries().values())
    except PrepError as error:
        yield Finding("record", PROBLEM, error.what, error.fix)
        return
    for sentence in said:
        yield Finding("record", WARNING, sentence)
    yield Finding("record", OK, f"{tried} attempt{'s' * (tried != 1)}, in {folder}")


def _workspace() -> Iterator[Finding]:
    folder = workspace_root().absolute()
    trouble = _unwritable(folder)
    yield Finding("workspace", PROBLEM if trouble else OK, trouble or str(folder),
                  "Set PREP_WORKSPACE to a folder that can be written." if trouble else "")


def _data() -> Iterator[Finding]:
    named = os.environ.get("PREP_DATA_DIR")
    if not named:
        yield Finding("data", OK, "PREP_DATA_DIR is not set: data sets are fetched when a problem needs them")
        return
    folder = Path(named).expanduser()
    if not folder.is_dir():
        yield Finding("data", PROBLEM, f"PREP_DATA_DIR is {folder}, which is no folder",
                      f"mkdir -p {folder}   or:  unset PREP_DATA_DIR")
        return
    try:
        held = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        yield Finding("data", PROBLEM, f"{folder} cannot be read: {error.strerror}", "Mend its permissions.")
        return
    yield Finding("data", OK, f"{folder}: {', '.join(held[:8]) + (' ...' if len(held) > 8 else '') or 'empty'}")


def _terminal() -> Iterator[Finding]:
    encoding = (sys.stdout.encoding or "unknown").lower()
    if encoding.replace("-", "") == "utf8":
        yield Finding("terminal", OK, encoding)
    else:
        yield Finding("terminal", WARNING, f"{encoding}: some characters are shown as codes", "Set PYTHONUTF8=1.")


def _unwritable(folder: Path) -> str:
    """What stands in the way of writing in `folder` (or of making it), "" where nothing does. Leaves nothing behind."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is not a folder"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".prep-doctor-") as file:
            file.write(b"0" * 4096)
            file.flush()
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror or error}"
    free = shutil.disk_usage(place).free
    return f"{folder}: the disk is full ({free} bytes free)" if free < 2**20 else ""
