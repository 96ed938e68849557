"""Fine-tuning of a pretrained ResNet."""

import torch
from torch import nn


def param_groups(model, lr_head, lr_backbone, weight_decay) -> list:
    """Groups for an optimiser: [{"params": [...], "lr": ..., "weight_decay": ...}, ...].

    Every tensor of `model` that trains is in one group. What is in model.backbone learns at lr_backbone, all else at
    lr_head; biases and the parameters of normalisation layers have a weight decay of 0.
    """
    raise NotImplementedError


def fine_tune(backbone, feat_dim, x, y, *, x_val, y_val, num_classes, mean, std, device, seed, time_budget_s,
              log) -> nn.Module:
    """x: (N, 3, 32, 32) uint8, y: (N,) int64, both on the CPU   ->   raw images (N, 3, H, W) uint8 -> (N, num_classes)

    backbone: pretrained, on the CPU, in eval mode: standardised floats (N, 3, H, W) -> features (N, feat_dim)
    mean, std: three floats each, for pixels from 0 to 1
    x_val, y_val: more images and labels, to watch and to choose by
    log: log(step=..., total=..., loss=..., accuracy=...) shows progress; raises TimeoutError once the time is over
    """
    raise NotImplementedError
