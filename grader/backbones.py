"""Pretrained backbones for transfer: found among the problem's files, on disk, or fetched. Builds and trains nothing.

Those that come with prep were made by scripts/make_backbones.py; backbones.toml says how, and has their digests.
ResNet-18's ImageNet weights are torchvision's file, which Torch reads without running what is in it.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import pickle
import shlex
import socket
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grader import paths
from grader.errors import PrepError

if TYPE_CHECKING:
    from torch import Tensor

SLUG = "resnet-transfer"
TIMEOUT_S = 10.0
"""without a byte from the server"""
ASK_TIMEOUT_S = 3.0
"""to learn whether a file can be fetched"""


@dataclass(frozen=True)
class Backbone:
    """What is known of a backbone without loading it.

    architecture: the function of the problem's kit.py that builds it. feat_dim: length of its features. mean, std: what
    its inputs were standardised by, per channel, for pixels from 0 to 1. source: what it was trained on. sha256: of the
    file, or how that begins. url: where it is fetched, where it does not come with prep.
    """

    name: str
    architecture: str
    feat_dim: int
    file: str
    sha256: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    url: str = ""


IMAGENET = Backbone(
    name="resnet18", architecture="resnet18", feat_dim=512, file="resnet18-f37072fd.pth", sha256="f37072fd",
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), source="ImageNet-1k (torchvision's IMAGENET1K_V1)",
    url="https://download.pytorch.org/models/resnet18-f37072fd.pth")


def folder() -> Path:
    """Where the backbones that come with prep are."""
    return paths.bank_root() / "problems" / SLUG / "backbones"


def about(name: str) -> Backbone:
    """The backbone called `name`. Raises PrepError where there is none."""
    if name == IMAGENET.name:
        return IMAGENET
    index = folder() / "backbones.toml"
    try:
        entries: dict[str, dict[str, Any]] = tomllib.loads(index.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PrepError(f"{index} cannot be read: {error}", _restore()) from None
    if name not in entries:
        raise PrepError(f"No backbone '{name}'; there are {', '.join([*entries, IMAGENET.name])}.",
                        f"Name one of them in {SLUG}/problem.toml.")
    entry = entries[name]
    return Backbone(name, entry["architecture"], entry["feat_dim"], entry["file"], entry["sha256"],
                    _three(entry["mean"]), _three(entry["std"]), entry["source"])


def available(name: str, data_dir: Path | None = None) -> bool:
    """Whether `load` can be expected to work: the file is here and whole, or its server answers."""
    backbone = about(name)
    if not backbone.url:
        return _whole(folder() / backbone.file, backbone)
    if any(_whole(path, backbone) for path in _places(backbone, data_dir)):
        return True
    try:
        asked = urllib.request.Request(backbone.url, method="HEAD")
        with urllib.request.urlopen(asked, timeout=ASK_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except OSError:  # URLError and time-outs are OSErrors
        return False


def load(name: str, data_dir: Path | None = None) -> dict[str, Tensor]:
    """The state dict of a backbone, head included: float32 tensors on the CPU. Fetches what is not on disk.

    data_dir: instead of paths.data_dir(); weights are looked for, and kept, in its folder `weights`.
    Raises PrepError where the file is damaged, or can neither be found nor fetched.
    """
    backbone = about(name)
    state = _embedded(backbone) if not backbone.url else _fetched(backbone, _home(data_dir))
    return dict(state)


def _embedded(backbone: Backbone) -> dict[str, Tensor]:
    import torch

    path = folder() / backbone.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PrepError(f"{path} cannot be read: {error.strerror or error}", _restore()) from None
    if hashlib.sha256(content).hexdigest() != backbone.sha256:
        raise PrepError(f"{path} is damaged: its SHA-256 is not the one of backbones.toml.", _restore())
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {key: torch.from_numpy(value.astype(np.float32) if value.dtype == np.float16 else value)
                for key, value in arrays.items()}


@functools.lru_cache(maxsize=1)
def _fetched(backbone: Backbone, home: Path) -> dict[str, Tensor]:
    import torch

    found = next((path for path in _places(backbone, home.parent) if _whole(path, backbone)), None)
    if found is None:
        bad = home / backbone.file
        if bad.exists():
            raise PrepError(f"{bad} is not the official file: its SHA-256 does not begin with {backbone.sha256}.",
                            f"Delete it, so that it is fetched anew:  rm {shlex.quote(str(bad))}")
        found = _fetch(backbone, home)
    try:
        state: dict[str, Tensor] = torch.load(found, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # with the right digest: another file than torchvision's
        raise PrepError(f"{found} holds more than weights, and is not loaded.",
                        f"Delete it, so that it is fetched anew:  rm {shlex.quote(str(found))}") from None
    return state


def _fetch(backbone: Backbone, home: Path) -> Path:
    """Download into `home`. Torch gives the file its name only when its digest is right."""
    import torch

    try:
        home.mkdir(parents=True, exist_ok=True)
        with _impatient():
            torch.hub.load_state_dict_from_url(backbone.url, model_dir=str(home), map_location="cpu", progress=False,
                                               check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a wrong digest
        reason = str(getattr(error, "reason", None) or error).splitlines()[0]
        raise PrepError(f"The weights of {backbone.name} ({backbone.source}) are not on this machine and could not be "
                        f"fetched: {reason}",
                        f"Fetch them elsewhere and put them into {home}:  curl -LO {backbone.url}\n"
                        f"Or go without:  prep grade {SLUG} --profile cpu") from None
    return home / backbone.file


@contextmanager
def _impatient() -> Iterator[None]:
    """In here a connection that is silent for TIMEOUT_S breaks: torch.hub sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _home(data_dir: Path | None) -> Path:
    return (data_dir or paths.data_dir()).expanduser().absolute() / "weights"


def _places(backbone: Backbone, data_dir: Path | None) -> list[Path]:
    """Where a file that does not come with prep may lie: in the data folder, or where torch.hub keeps its own."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    hub = Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch").expanduser() / "hub" / "checkpoints"
    return [_home(data_dir) / backbone.file, hub / backbone.file]


def _whole(path: Path, backbone: Backbone) -> bool:
    """Whether the file is there and has the digest, or its beginning."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(backbone.sha256)
    except OSError:
        return False


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _restore() -> str:
    return ("Restore it:  git checkout -- problems/resnet-transfer    (or install prep again; or make it anew: "
            "python scripts/make_backbones.py)")
