"""A convolutional network for 32 x 32 colour images."""

from torch import nn


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log) -> nn.Module:
    """x: (N, 3, 32, 32) uint8, y: (N,) int64, both on the CPU   ->   a trained model on `device`, ready to use.

    The model: raw images (N, 3, 32, 32) uint8 -> logits (N, 10).
    x_val, y_val: more images and labels, to watch and to choose by
    log: log(step=..., total=..., loss=..., accuracy=...) shows progress; raises TimeoutError once the time is over
    """
    raise NotImplementedError
