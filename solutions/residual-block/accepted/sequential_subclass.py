"""The main path is the module itself: an nn.Sequential whose children have the names asked for."""

from collections import OrderedDict

from torch import nn


class BasicBlock(nn.Sequential):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__(OrderedDict(
            conv1=nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            bn1=nn.BatchNorm2d(out_channels),
            relu=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            bn2=nn.BatchNorm2d(out_channels),
        ))
        self.main = list(self)  # a plain list: registered once, under the names above
        same = stride == 1 and in_channels == out_channels
        self.downsample = nn.Sequential() if same else nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x):
        out = x
        for layer in self.main:
            out = layer(out)
        return (self.downsample(x) + out).clamp(min=0)
