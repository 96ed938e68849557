# expect: below-threshold test_gain_over_no_remedy
# Dropout is the only remedy, beside the choice of the epoch: half of what is needed.
import copy
import math
import time

import torch
import torch.nn.functional as F
from torch import nn


def l2_penalty(params, strength):
    weights = [p for p in params.values() if p.ndim >= 2]
    return strength * sum((w ** 2).sum() for w in weights) if weights else torch.zeros(())


def dropout(x, p, training, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p must be in [0, 1]")
    if not training or p == 0:
        return x
    if p == 1:
        return torch.zeros_like(x)
    mask = torch.rand(x.shape, generator=generator, device=x.device) >= p
    return x * mask / (1 - p)


def best_epoch(val_losses, patience):
    if patience < 1 or not val_losses:
        raise ValueError("patience must be at least 1, and val_losses not empty")
    best, lowest, poor = None, math.inf, 0
    for epoch, loss in enumerate(val_losses):
        if loss < lowest:
            best, lowest, poor = epoch, loss, 0
        else:
            poor += 1
        if poor >= patience:
            break
    return best, epoch


class Drop(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5, self.training)


class Scale(nn.Module):
    def forward(self, x):
        return (x.float() - 64) / 64


def make_model(channels):
    return nn.Sequential(
        Scale(),
        nn.Conv2d(channels, 16, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), Drop(), nn.LazyLinear(140), nn.ReLU(), Drop(), nn.Linear(140, 10),
    )


def validate(model, x, y):
    model.eval()
    with torch.no_grad():
        return F.cross_entropy(model(x), y).item()


def train_regularised(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    end = time.monotonic() + 0.7 * time_budget_s
    torch.manual_seed(seed)
    epochs, patience = (20, 6) if time_budget_s <= 20 else (80, 15)
    x, y, x_val, y_val = x.to(device), y.to(device), x_val.to(device), y_val.to(device)
    model = make_model(x.shape[1]).to(device)
    model(x[:2])
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    history, losses, kept = [], [], None
    for epoch in range(epochs):
        model.train()
        total, steps = 0.0, 0
        for chosen in torch.randperm(len(x), device=device).split(32):
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, steps = total + loss.item(), steps + 1
            if time.monotonic() > end:
                break
        losses.append(validate(model, x_val, y_val))
        history.append({"epoch": epoch, "train_loss": total / steps, "val_loss": losses[-1]})
        best, _ = best_epoch(losses, patience)
        if best == epoch:
            kept = copy.deepcopy(model.state_dict())
        if time.monotonic() > end or epoch - best >= patience:
            break
        log(step=epoch + 1, total=epochs, loss=total / steps, val_loss=losses[-1])
    model.load_state_dict(kept)
    model.eval()
    return model, {"history": history, "best_epoch": best}
