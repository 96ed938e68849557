"""Data augmentation: NumPy transforms, and a training loop that uses one."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


def random_crop_flip(x, rng, pad=4, p_flip=0.5):
    """x: (N, C, H, W), rng: np.random.Generator   ->   the same shape and dtype, a new array.

    Each image: a random H x W window of it padded by `pad` zeros, mirrored left to right with probability p_flip.
    """
    raise NotImplementedError


def affine(x, angle_deg, shift, shear_deg, zoom):
    """x: (N, C, H, W); angle_deg, shear_deg, zoom: (N,); shift: (N, 2) as (dy, dx)   ->   like x, a new array.

    Nearest neighbour, edges repeated: out[o] = x[c + M^-1 (o - c - shift)], M = zoom * rotation @ shear.
    """
    raise NotImplementedError


def random_affine(x, rng, max_angle_deg=10, max_shift=2, max_shear_deg=0, max_zoom=0.0):
    """x: (N, C, H, W), rng: np.random.Generator   ->   like x: an affine map of its own for every image."""
    raise NotImplementedError


def make_augment(seed) -> Callable[[Tensor], Tensor]:
    """-> a function: (B, C, H, W) uint8 -> the same shape, dtype and device, randomly changed, labels still true."""
    raise NotImplementedError


def train(x, y, *, augment, x_val, y_val, device, seed, time_budget_s, log) -> nn.Module:
    """x: (N, C, H, W) uint8, y: (N,) int64, both on the CPU   ->   a trained model on `device`, ready to use.

    augment: (B, C, H, W) uint8 on the CPU -> the same, random; for training images alone
    log: log(step=..., total=..., loss=..., accuracy=...) shows progress; raises TimeoutError once the time is over
    """
    raise NotImplementedError
