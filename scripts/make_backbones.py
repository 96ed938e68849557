"""Make the backbones that come with resnet-transfer, from seed to file: python scripts/make_backbones.py [NAME ...]

Writes problems/resnet-transfer/backbones/NAME.npz (float16, no pickle) and its entry in backbones.toml, which has the
file's SHA-256. The same versions of Python, NumPy and Torch on the same kind of processor give the same bytes; other
ones give another, equally good backbone, and a new entry.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import platform
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grader import datasets, profiles, surrogates  # noqa: E402

PROBLEM = ROOT / "problems" / "resnet-transfer"
Sample = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Recipe:
    """draw(data_dir) -> training sample, test sample. peak: the highest learning rate. mirrored: whether flips are."""

    source: str
    draw: Callable[[Path | None], tuple[Sample, Sample]]
    classes: int
    epochs: int
    peak: float
    mirrored: bool


def source_shapes(data_dir: Path | None) -> tuple[Sample, Sample]:
    train, test = surrogates.shapes(8000, 1, source=True), surrogates.shapes(2000, 2, source=True)
    return tensors(*train), tensors(*test)


def source_cifar10(data_dir: Path | None) -> tuple[Sample, Sample]:
    names = datasets.REAL["cifar10"].classes
    train, test = (profiles.only(split, names, profiles.SOURCE_CLASSES) for split in datasets.load("cifar10", data_dir))
    return tensors(train.images, train.labels), tensors(test.images, test.labels)


def tensors(images: Any, labels: Any) -> Sample:
    return torch.from_numpy(images), torch.from_numpy(labels)


RECIPES = {
    # a mirrored Z is no Z, and a head for the target must be able to tell an L from its mirror image
    "shapes": Recipe("the ten source shapes of SynthShapes, 8,000 images", source_shapes, 10, epochs=8, peak=0.1,
                     mirrored=False),
    "cifar10-source": Recipe(f"CIFAR-10's classes {', '.join(profiles.SOURCE_CLASSES)}, 25,000 images", source_cifar10,
                             5, epochs=12, peak=0.2, mirrored=True),
}


def standardise(x: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """(N, 3, H, W) uint8 -> float32, by each channel's mean and deviation in [0, 1]."""
    m, s = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return (x.float() / 255 - m) / s


def augmented(x: Tensor, mirrored: bool, pad: int = 4) -> Tensor:
    """Each image moved by up to `pad` pixels along each axis, grey moving in, and half of them mirrored.

    x: (N, 3, H, W), standardised   ->   the same
    """
    n, _, height, width = x.shape
    padded = F.pad(x, (pad,) * 4)
    top, left = torch.randint(0, 2 * pad + 1, (2, n, 1))
    rows = (top + torch.arange(height))[:, :, None]  # (N, H, 1)
    columns = (left + torch.arange(width))[:, None, :]  # (N, 1, W)
    if mirrored:
        columns = torch.where(torch.rand(n, 1, 1) < 0.5, columns.flip(2), columns)
    return padded[torch.arange(n)[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def train(model: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, batch: int = 128) -> None:
    """SGD with Nesterov momentum; its rate goes up for a fifth of the steps, then down to 0. x: standardised."""
    per_epoch = len(x) // batch
    total = recipe.epochs * per_epoch
    optimiser = torch.optim.SGD(model.parameters(), lr=recipe.peak, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (0.2 * total), (total - step) / (0.8 * total)))
    begin = time.monotonic()
    for epoch in range(recipe.epochs):
        model.train()
        order, losses = torch.randperm(len(x)), []
        for step in range(per_epoch):
            chosen = order[step * batch:][:batch]
            images = augmented(x[chosen], recipe.mirrored).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(images), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        say(f"  epoch {epoch + 1} of {recipe.epochs}: loss {np.mean(losses):.3f}, {time.monotonic() - begin:.0f} s")


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        right = sum((model(images).argmax(1) == labels).sum().item()
                    for images, labels in zip(x.split(500), y.split(500)))
    return right / len(y)


def make(name: str, kit: ModuleType, folder: Path, seed: int, data_dir: Path | None, note: str = "") -> dict[str, Any]:
    """Train one backbone and write its file; its entry for backbones.toml."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    (x, y), (x_test, y_test) = recipe.draw(data_dir)
    pixels = x.permute(1, 0, 2, 3).reshape(3, -1).double() / 255
    mean, std = ([round(value, 4) for value in figures.tolist()] for figures in (pixels.mean(1), pixels.std(1)))
    say(f"{name}: {recipe.source}; mean {mean}, deviation {std}")

    model = kit.resnet8(recipe.classes).to(memory_format=torch.channels_last)
    train(model, standardise(x, mean, std), y, recipe)

    stored = {key: value.numpy().astype(np.float16 if value.is_floating_point() else np.int64)
              for key, value in model.state_dict().items()}
    path = folder / f"{name}.npz"
    np.savez(path, **stored)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in stored.items()})
    reached = accuracy(model, standardise(x_test, mean, std), y_test)
    say(f"  {reached:.1%} of {len(y_test):,} test images of the source, from the rounded weights; {path}, "
        f"{path.stat().st_size:,} bytes")
    return {
        "architecture": "resnet8", "feat_dim": model.feat_dim, "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "mean": mean, "std": std, "source": recipe.source, "source_classes": recipe.classes,
        "source_accuracy": round(reached, 4),
        "made_by": f"make_backbones.py {name} --seed {seed}; {recipe.epochs} epochs; Python "
                   f"{platform.python_version()}, NumPy {np.__version__}, Torch {torch.__version__}, "
                   f"{platform.machine()}, one thread" + (f"; {note}" if note else ""),
    }


def write_entries(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    comment = "# The backbones of this problem: written by scripts/make_backbones.py, read by grader/backbones.py.\n"
    tables = ["\n".join([f"[{name}]", *(f"{key} = {quoted(value)}" for key, value in entry.items())])
              for name, entry in entries.items()]
    path.write_text(comment + "\n" + "\n\n".join(tables) + "\n", encoding="utf-8")


def quoted(value: Any) -> str:
    """A string without quotes and backslashes, a number, or a list of numbers, in TOML."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{' or '.join(RECIPES)}; all where none is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, help="where CIFAR-10 (binary version) lies; else as prep finds it")
    parser.add_argument("--note", default="", help="what else is to be known of how it was made, of the data for one")
    parser.add_argument("--out", type=Path, default=PROBLEM / "backbones", help="default: %(default)s")
    options = parser.parse_args()
    names = options.names or list(RECIPES)
    if unknown := set(names) - set(RECIPES):
        parser.error(f"no recipe for {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")

    torch.set_num_threads(1)  # sums are in one order
    torch.use_deterministic_algorithms(True)
    spec = importlib.util.spec_from_file_location("kit", PROBLEM / "kit.py")
    assert spec and spec.loader
    kit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kit)

    options.out.mkdir(parents=True, exist_ok=True)
    index = options.out / "backbones.toml"
    for name in names:
        entry = make(name, kit, options.out, options.seed, options.data_dir, options.note)
        entries = tomllib.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
        write_entries(index, {**entries, name: entry})


if __name__ == "__main__":
    main()
