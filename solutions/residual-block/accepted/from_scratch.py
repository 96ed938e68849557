"""Convolution by unfold and a matrix product, BatchNorm by its formula: no layer of torch.nn but the containers."""

import math

import torch
from torch import nn
from torch.nn.functional import unfold


class Conv(nn.Module):
    def __init__(self, c_in, c_out, size, stride):
        super().__init__()
        bound = 1 / math.sqrt(c_in * size * size)
        self.weight = nn.Parameter(torch.rand(c_out, c_in, size, size) * 2 * bound - bound)
        self.stride = stride

    def forward(self, x):
        n, _, height, width = x.shape
        size = self.weight.shape[-1]
        patches = unfold(x, size, padding=size // 2, stride=self.stride)  # (N, C * size * size, H' * W')
        out = self.weight.flatten(1) @ patches  # (N, K, H' * W')
        return out.reshape(n, -1, math.ceil(height / self.stride), math.ceil(width / self.stride))


class Norm(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        for name, value in [("running_mean", torch.zeros(channels)), ("running_var", torch.ones(channels)),
                            ("num_batches_tracked", torch.zeros((), dtype=torch.long))]:
            self.register_buffer(name, value)

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            count = x.numel() // x.shape[1]
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * count / (count - 1), self.momentum)
                self.num_batches_tracked.add_(1)
        scale = self.weight / torch.sqrt(var + self.eps)
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


class BasicBlock(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        self.conv1, self.bn1 = Conv(in_channels, out_channels, 3, stride), Norm(out_channels)
        self.conv2, self.bn2 = Conv(out_channels, out_channels, 3, 1), Norm(out_channels)
        needs_projection = stride != 1 or in_channels != out_channels
        self.downsample = nn.Sequential(Conv(in_channels, out_channels, 1, stride),
                                        Norm(out_channels)) if needs_projection else None

    def forward(self, x):
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (out + (x if self.downsample is None else self.downsample(x))).relu()
