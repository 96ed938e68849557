# expect: rule-violation
# Wraps the library's block instead of writing one.
from torch import nn
from torchvision.models.resnet import BasicBlock as Ready


class BasicBlock(Ready):
    def __init__(self, in_channels, out_channels, stride=1):
        project = None
        if stride != 1 or in_channels != out_channels:
            project = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels))
        super().__init__(in_channels, out_channels, stride, project)
