"""LeNet-5's shape with ReLUs, in double precision: momentum, a cosine, no log, the clock looked at in every step."""

import math
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy, max_pool2d, relu


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5)
        self.conv2 = nn.Conv2d(8, 24, 5)
        self.fc1 = nn.Linear(24 * 4 * 4, 84)
        self.fc2 = nn.Linear(84, 10)
        self.double()

    def forward(self, x):
        x = x.double() / 127.5 - 0.5
        x = max_pool2d(relu(self.conv1(x)), 2)  # (N, 8, 12, 12)
        x = max_pool2d(relu(self.conv2(x)), 2)  # (N, 24, 4, 4)
        return self.fc2(relu(self.fc1(x.flatten(start_dim=1))))


def build_model():
    return LeNet()


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    end = time.monotonic() + 0.8 * time_budget_s
    torch.manual_seed(seed)
    net = build_model().to(device)
    x, y = x.to(device), y.to(device)
    sgd = torch.optim.SGD(net.parameters(), lr=0.06, momentum=0.9, nesterov=True, weight_decay=5e-4)
    epochs, size = 8, 32
    steps = epochs * math.ceil(len(x) / size)
    rate = torch.optim.lr_scheduler.LambdaLR(
        sgd, lambda k: min(1, (k + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * k / steps)))
    for _ in range(epochs):
        order = torch.randperm(len(x)).to(device)
        for i in range(0, len(x), size):
            if time.monotonic() >= end:
                return net
            chosen = order[i:i + size]
            moved = x[chosen].roll(torch.randint(-2, 3, (2,)).tolist(), dims=(2, 3))  # the borders are black
            sgd.zero_grad()
            cross_entropy(net(moved), y[chosen]).backward()
            sgd.step()
            rate.step()
    return net  # no dropout, no BatchNorm: both modes are the same
