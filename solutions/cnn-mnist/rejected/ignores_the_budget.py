# expect: time-limit test_keeps_a_short_budget
# Trains for a fixed number of epochs without a look at the clock.
import time

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(64)
        self.fc = nn.Linear(64 * 3 * 3, 10)

    def forward(self, x):
        x = (x.float() - 33.3) / 78.6
        x = F.relu(self.bn1(self.conv1(x)))  # (N, 16, 14, 14)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)  # (N, 32, 7, 7)
        x = F.max_pool2d(F.relu(self.bn3(self.conv3(x))), 2)  # (N, 64, 3, 3)
        return self.fc(x.flatten(1))


def build_model():
    return Net()


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    torch.manual_seed(seed)
    x, y = x.to(device), y.to(device)
    model = build_model().to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    epochs, batch = 500, 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=epochs * -(-len(x) // batch))
    for epoch in range(epochs):
        for chosen in torch.randperm(len(x), device=device).split(batch):
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()
