# A residual network, AdamW with a cosine, gradients clipped; the clock is part of the schedule.
import math
import time

import torch
import torch.nn.functional as F
from torch import nn


def conv(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.path = nn.Sequential(conv(channels, channels), conv(channels, channels))

    def forward(self, x):
        return x + self.path(x)


class ResNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.standardise = nn.BatchNorm2d(3, affine=False)  # learns the images' mean and deviation on its way
        self.body = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                                  conv(width, 2 * width), nn.MaxPool2d(2), Residual(2 * width),
                                  conv(2 * width, 4 * width), nn.MaxPool2d(2), Residual(4 * width))
        self.head = nn.Linear(4 * width, 10)

    def forward(self, x):
        x = self.standardise(x.float().contiguous(memory_format=torch.channels_last))
        return self.head(self.body(x).amax((2, 3)))


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    begin = time.monotonic()
    torch.manual_seed(seed)
    long = time_budget_s >= 60
    model = ResNet(64 if device != "cpu" else 32 if long else 16).to(device, memory_format=torch.channels_last)
    batch = min(128 if long else 32, len(x))
    total = (30 if long else 6) * (len(x) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    step = 0
    while step < total:
        for chosen in torch.randperm(len(x)).split(batch)[:len(x) // batch]:
            clock = (time.monotonic() - begin) / (0.9 * time_budget_s)
            spent = max(step / total, 1.2 * clock - 0.2)
            if spent >= 1:
                return model.eval()
            optimiser.param_groups[0]["lr"] = 0.006 * min(8 * spent + 0.1, (1 + math.cos(math.pi * spent)) / 2)
            images = x[chosen]
            if long:
                mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
                images = torch.where(mirrored, images.flip(3), images)
            loss = F.cross_entropy(model(images.to(device)), y[chosen].to(device))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            if step % 20 == 0:
                log(step=step, total=total, loss=loss.detach())
            step += 1
    return model.eval()
