# expect: wrong-answer test_eval_output_does_not_depend_on_the_batch
# Normalises by the batch in eval mode too.
import torch
from torch import nn


class Norm(nn.BatchNorm2d):
    def forward(self, x):
        running = (self.running_mean, self.running_var) if self.training else (None, None)
        if self.training:
            self.num_batches_tracked += 1
        return nn.functional.batch_norm(x, *running, self.weight, self.bias, training=True)


class BasicBlock(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = Norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = Norm(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                Norm(out_channels),
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + shortcut)
