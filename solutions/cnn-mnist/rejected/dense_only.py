# expect: wrong-answer test_has_a_convolution
# Two dense layers on the flattened image.
import time

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 128)
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        x = (x.float() - 33.3) / 78.6
        return self.fc(F.relu(self.hidden(x.flatten(1))))


def build_model():
    return Net()


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    deadline = time.monotonic() + 0.9 * time_budget_s
    torch.manual_seed(seed)
    x, y = x.to(device), y.to(device)
    model = build_model().to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    epochs, batch = 6, 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=epochs * -(-len(x) // batch))
    for epoch in range(epochs):
        for chosen in torch.randperm(len(x), device=device).split(batch):
            if time.monotonic() > deadline:
                return model.eval()
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        log(step=epoch + 1, total=epochs, loss=loss.item())
    return model.eval()
