"""Affine augmentation, and weights averaged over the last steps: the history is that of the average."""

import itertools
import time

import torch
import torch.nn.functional as F
from torch import nn


def l2_penalty(params, strength):
    return strength * sum(((p * p).sum() for p in params.values() if p.ndim > 1), torch.tensor(0.0))


def dropout(x, p, training, generator=None):
    if p != min(max(p, 0), 1):
        raise ValueError(f"{p} is outside [0, 1]")
    if training and p:
        mask = torch.empty_like(x, requires_grad=False).uniform_(generator=generator).ge(p)
        x = x.masked_fill(~mask, 0)
        x = x / (1 - p) if p < 1 else x
    return x


def best_epoch(val_losses, patience):
    if patience < 1:
        raise ValueError("patience")
    if not val_losses:
        raise ValueError("val_losses")

    def lowest(n):
        """Of the first n epochs; -1 where there is no number among them."""
        return min((i for i in range(n) if val_losses[i] == val_losses[i]), key=lambda i: val_losses[i], default=-1)

    stop = next((i for i in range(len(val_losses)) if i - lowest(i + 1) >= patience), len(val_losses) - 1)
    best = lowest(stop + 1)
    return (None if best < 0 else best), stop


class ToFloat(nn.Module):
    def forward(self, x):
        return x.float().div(64).sub(1)


def new_model(channels, side, w):
    sizes = [channels, w, 2 * w, 4 * w]
    layers = [ToFloat()]
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layers += [nn.Conv2d(a, b, 3, padding=1, stride=2 if i == 0 else 1), nn.GroupNorm(4, b), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(sizes[-1] * (side // 8) ** 2, 10))


def jitter(x):
    angle = 0.3 * torch.randn(len(x))
    size = torch.exp(0.15 * torch.randn(len(x)))
    cos, sin = size * angle.cos(), size * angle.sin()
    dx, dy = 0.2 * (2 * torch.rand(2, len(x)) - 1)
    maps = torch.stack([torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1)
    return F.grid_sample(x.float(), F.affine_grid(maps.to(x.device), x.shape, align_corners=False),
                         align_corners=False)


def train_regularised(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    stop_at = time.monotonic() + 0.7 * time_budget_s
    torch.manual_seed(seed)
    quick = time_budget_s <= 20
    x, y, x_val, y_val = (t.to(device) for t in (x, y, x_val, y_val))
    model, mean = (new_model(x.shape[1], x.shape[2], 8 if quick else 24).to(device) for _ in range(2))
    mean.load_state_dict(model.state_dict())
    mean.eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    history, best = [], None
    epochs = 25 if quick else 80
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x), device=device).split(30):
            loss = F.cross_entropy(model(jitter(x[chosen])), y[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(chosen) / len(x)
            with torch.no_grad():
                for a, b in zip(mean.parameters(), model.parameters()):
                    a.lerp_(b, 0.03 if epoch > 5 else 0.3)
            if time.monotonic() > stop_at:
                break
        with torch.no_grad():
            val_loss = F.cross_entropy(mean(x_val), y_val).item()
        history.append({"epoch": epoch, "train_loss": total, "val_loss": val_loss})
        if best is None or val_loss < history[best]["val_loss"]:
            best, kept = epoch, [p.clone() for p in mean.parameters()]
        if time.monotonic() > stop_at:
            break
        log(step=epoch + 1, total=epochs, loss=total)
    with torch.no_grad():
        for p, value in zip(mean.parameters(), kept):
            p.copy_(value)
    return mean, {"history": history, "best_epoch": best}
