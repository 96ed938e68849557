"""Remedies for overfitting, and a training run that needs them."""

import torch
from torch import nn


def l2_penalty(params, strength):
    """strength * the sum of squares of all tensors in `params` (name -> tensor) that have two axes or more.

    Returns a tensor of shape (), through which gradients reach the parameters.
    """
    raise NotImplementedError


def dropout(x, p, training, generator=None):
    """Inverted dropout: a tensor like x; where `training`, each element is 0 with probability p.

    generator: torch.Generator to draw from; PyTorch's own where None
    Raises ValueError for a p outside [0, 1].
    """
    raise NotImplementedError


def best_epoch(val_losses, patience) -> tuple:
    """(epoch to restore, epoch after which training stops), both from 0.

    Raises ValueError for patience < 1 and for no losses.
    """
    raise NotImplementedError


def train_regularised(x, y, *, x_val, y_val, device, seed, time_budget_s, log) -> tuple[nn.Module, dict]:
    """x: (N, C, H, W) uint8, y: (N,) int64, some of them wrong, both on the CPU

    ->   a trained model on `device`, ready to use: raw images (M, C, H, W) uint8 -> logits (M, 10)
         {"history": [{"epoch": 0, "train_loss": ..., "val_loss": ...}, ...], "best_epoch": ...}

    log: log(step=..., total=..., loss=..., accuracy=...) shows progress; raises TimeoutError once the time is over
    """
    raise NotImplementedError
