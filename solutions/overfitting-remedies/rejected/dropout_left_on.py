# expect: wrong-answer test_same_image_same_logits
# The model is returned in training mode: dropout goes on, and BatchNorm sees each batch.
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


class Scale(nn.Module):
    def forward(self, x):
        return (x.float() - 64) / 64


class Dropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return dropout(x, self.p, self.training)


def make_model(channels):
    return nn.Sequential(
        Scale(),
        nn.Conv2d(channels, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), Dropout(0.3), nn.LazyLinear(10),
    )


def augment(x):
    """Shifts by up to 3 pixels, and small turns, shears and changes of size, for each image its own."""
    n, side = len(x), x.shape[-1]
    maps = torch.eye(2, 3, device=x.device).repeat(n, 1, 1)
    maps[:, :, :2] += 0.15 * torch.randn(n, 2, 2, device=x.device)
    maps[:, :, 2] += 6 / side * (2 * torch.rand(n, 2, device=x.device) - 1)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x.float(), grid, align_corners=False)


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
    params = dict(model.named_parameters())
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    history, losses, kept = [], [], None
    for epoch in range(epochs):
        model.train()
        total, steps = 0.0, 0
        for chosen in torch.randperm(len(x), device=device).split(32):
            loss = F.cross_entropy(model(augment(x[chosen])), y[chosen])
            optimiser.zero_grad()
            (loss + l2_penalty(params, 1e-4)).backward()
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
    model.train()
    return model, {"history": history, "best_epoch": best}
