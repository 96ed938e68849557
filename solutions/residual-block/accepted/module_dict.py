"""A dict of layers, and a forward that looks them up."""

import torch
from torch import nn


class BasicBlock(nn.ModuleDict):
    def __init__(self, in_channels, out_channels, stride=1):
        layers = {}
        for i, (channels, step) in enumerate([(in_channels, stride), (out_channels, 1)], start=1):
            padding = "same" if step == 1 else 1
            layers[f"conv{i}"] = nn.Conv2d(channels, out_channels, 3, step, padding, bias=False)
            layers[f"bn{i}"] = nn.BatchNorm2d(out_channels)
        if (in_channels, stride) != (out_channels, 1):
            layers["downsample"] = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
        super().__init__(layers)

    def forward(self, x):
        h = torch.relu(self["bn1"](self["conv1"](x)))
        h = self["bn2"](self["conv2"](h))
        h = torch.add(h, self["downsample"](x) if "downsample" in self else x)
        return torch.where(h > 0, h, torch.zeros_like(h))
