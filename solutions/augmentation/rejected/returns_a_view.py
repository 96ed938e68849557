# expect: wrong-answer test_returns_new_arrays
# Hands out x itself where there is nothing to do.
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def random_crop_flip(x, rng, pad=4, p_flip=0.5):
    """x: (N, C, H, W), any dtype   ->   the same: a random window of each zero-padded image, mirrored or not."""
    if pad == 0 and p_flip == 0:
        return x[:]
    n, channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    top, left = rng.integers(0, 2 * pad + 1, size=(2, n, 1))  # (N, 1) each; the upper end is exclusive
    rows = top + np.arange(height)  # (N, H)
    columns = left + np.arange(width)  # (N, W)
    columns = np.where(rng.random((n, 1)) < p_flip, columns[:, ::-1], columns)
    return padded[np.arange(n)[:, None, None, None], np.arange(channels)[:, None, None],
                  rows[:, None, :, None], columns[:, None, None, :]]


def affine(x, angle_deg, shift, shear_deg, zoom):
    """x: (N, C, H, W); angle_deg, shear_deg, zoom: (N,); shift: (N, 2)   ->   like x: nearest neighbour, edges repeated

    Every output pixel asks where it comes from, so that none stays empty: centre + M^-1 (o - centre - shift).
    """
    n, channels, height, width = x.shape
    angle, slope = np.deg2rad(angle_deg), np.tan(np.deg2rad(shear_deg))  # (N,) each
    cos, sin = np.cos(angle), np.sin(angle)
    rotate = np.stack([cos, -sin, sin, cos], axis=-1).reshape(n, 2, 2)
    shear = np.stack([np.ones(n), np.zeros(n), -slope, np.ones(n)], axis=-1).reshape(n, 2, 2)
    inverse = np.linalg.inv(np.reshape(zoom, (n, 1, 1)) * rotate @ shear)

    centre = np.array([height - 1, width - 1]) / 2
    out = np.stack(np.indices((height, width)), axis=-1).reshape(-1, 2) - centre  # (H W, 2): every (row, column)
    source = (out - np.reshape(shift, (n, 1, 2))) @ inverse.transpose(0, 2, 1) + centre  # (N, H W, 2)
    rows, columns = np.moveaxis(np.clip(np.rint(source), 0, [height - 1, width - 1]).astype(int), -1, 0)  # (N, H W)
    picked = x[np.arange(n)[:, None, None], np.arange(channels)[:, None], rows[:, None], columns[:, None]]
    return picked.reshape(x.shape)


def random_affine(x, rng, max_angle_deg=10, max_shift=2, max_shear_deg=0, max_zoom=0.0):
    """x: (N, C, H, W)   ->   the same, each image by a map of its own, every parameter uniform within its bound."""
    angle, dy, dx, shear, zoom = rng.uniform(-1, 1, size=(5, len(x)))
    return affine(x, max_angle_deg * angle, max_shift * np.stack([dy, dx], axis=-1), max_shear_deg * shear,
                  1 + max_zoom * zoom)


def make_augment(seed):
    """-> a function: (B, C, H, W) uint8 -> the same, on the same device, with new random draws in each call."""
    rng = np.random.default_rng(seed)

    def augment(x: Tensor) -> Tensor:
        images = x.cpu().numpy()
        if x.shape[1] == 3:  # photographs: a mirrored car is a car
            images = random_crop_flip(images, rng)
        else:  # digits: a mirrored 2 is no digit, and upside down a 6 is a 9
            images = random_affine(images, rng, max_angle_deg=12, max_shift=3, max_shear_deg=8, max_zoom=0.12)
        return torch.from_numpy(images).to(x.device)

    return augment


class Scale(nn.Module):
    """Raw bytes -> floats from -1 to 1: a layer, so that no caller can forget it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float() / 127.5 - 1


def build(channels: int, classes: int, width: int) -> nn.Module:
    """(N, channels, H, W) uint8 -> (N, classes) logits."""

    def block(c_in: int, c_out: int, size: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False),
                nn.MaxPool2d(2) if stride == 1 else nn.Identity(), nn.BatchNorm2d(c_out), nn.ReLU()]

    return nn.Sequential(Scale(), *block(channels, width, 5, stride=2), *block(width, 2 * width, 3),
                         *block(2 * width, 4 * width, 3), nn.AdaptiveMaxPool2d(2), nn.Flatten(),
                         nn.Linear(16 * width, classes))


def train(x: Tensor, y: Tensor, *, augment, x_val: Tensor, y_val: Tensor, device: str, seed: int,
          time_budget_s: float, log) -> nn.Module:
    """x: (N, C, H, W) uint8, y: (N,) int64, on the CPU   ->   a model on `device`, in eval mode.

    A fixed number of epochs, so that a seed gives the same model; the clock can only cut them short.
    """
    begin = time.monotonic()
    torch.manual_seed(seed)
    gpu = device != "cpu"
    epochs, size, peak = (60, 128, 4e-3) if gpu else (24, 50, 1e-2)
    model = build(x.shape[1], 10, width=64 if gpu else 16).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.05)
    total, step, late = epochs * -(-len(x) // size), 0, False
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(size):
            if late := time.monotonic() - begin > 0.85 * time_budget_s:
                break
            for group in optimiser.param_groups:
                group["lr"] = peak * min((step + 1) / total / 0.2, 1 - step / total)
            images = augment(x[chosen]).to(device)  # anew in every epoch; the labels stay where they are
            with torch.autocast("cuda", torch.bfloat16, enabled=gpu):
                loss = F.cross_entropy(model(images), y[chosen].to(device), label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            if step % 20 == 0:
                log(step=step, total=total, loss=loss.item())
        if late:
            break

    model.eval()
    if not late:  # validation images as they are: they stand for what the model will meet
        with torch.no_grad():
            right = sum((model(images.to(device)).argmax(1).cpu() == labels).sum().item()
                        for images, labels in zip(x_val.split(500), y_val.split(500)))
        log(step=step, total=total, accuracy=right / max(len(y_val), 1))
    return model
