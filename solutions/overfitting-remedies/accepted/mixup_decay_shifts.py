"""Mixup, decoupled weight decay and shifts; early stopping with patience."""

import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def l2_penalty(params, strength):
    flat = [p.reshape(-1) for p in params.values() if p.dim() >= 2]
    flat = torch.cat(flat) if flat else torch.zeros(0)
    return strength * torch.dot(flat, flat)


def dropout(x, p, training, generator=None):
    if not (0.0 <= p <= 1.0):
        raise ValueError("p")
    if not training:
        return x
    off = torch.rand(x.size(), generator=generator, device=x.device) < p
    return torch.where(off, torch.zeros_like(x), x / max(1 - p, 1e-12))


def best_epoch(val_losses, patience):
    losses = np.asarray(val_losses, float)
    if patience < 1 or losses.size == 0:
        raise ValueError("patience or val_losses")
    losses = np.where(np.isnan(losses), np.inf, losses)
    before = np.concatenate([[np.inf], np.minimum.accumulate(losses)[:-1]])
    improved = np.flatnonzero(losses < before)  # the epochs of the records
    starts = np.concatenate([[-1], improved])
    ends = np.concatenate([improved, [len(losses)]])
    for start, end in zip(starts, ends):
        if end - start > patience:
            return (int(start) if start >= 0 else None), int(start + patience)
    return (int(improved[-1]) if len(improved) else None), len(losses) - 1


def network(channels, side, width):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1), nn.BatchNorm2d(4 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4 * width * (side // 8) ** 2, 10))


class Classifier(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x.float() / 128 - 0.5)


def shift(x, rng, by):
    padded = F.pad(x, (by,) * 4)
    side = x.shape[-1]
    corners = rng.integers(0, 2 * by + 1, (len(x), 2))
    return torch.stack([image[:, i:i + side, j:j + side] for image, (i, j) in zip(padded, corners)])


def train_regularised(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    started = time.monotonic()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    small = time_budget_s <= 20
    model = Classifier(network(x.shape[1], x.shape[2], 8 if small else 24)).to(device)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    free = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": free, "weight_decay": 0.0}],
                                  lr=6e-3)
    history, best_state = [], None
    limit, patience = (22, 22) if small else (80, 25)

    def out_of_time():
        return time.monotonic() - started > 0.7 * time_budget_s

    for epoch in range(limit):
        for group in optimiser.param_groups:
            group["lr"] = 6e-3 * (1 - epoch / limit) + 1e-4
        model.train()
        losses = []
        for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // 30)):
            images, labels = shift(x[rows], rng, 3).to(device).float(), y[rows].to(device)
            share = float(rng.beta(0.2, 0.2))
            other = torch.from_numpy(rng.permutation(len(rows))).to(device)
            logits = model(share * images + (1 - share) * images[other])
            loss = share * F.cross_entropy(logits, labels) + (1 - share) * F.cross_entropy(logits, labels[other])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            if out_of_time():
                break
        model.eval()
        with torch.inference_mode():
            val_loss = float(F.cross_entropy(model(x_val.to(device)), y_val.to(device)))
        history.append(dict(epoch=epoch, train_loss=float(np.mean(losses)), val_loss=val_loss))
        best, _ = best_epoch([h["val_loss"] for h in history], patience)
        if best == epoch or best_state is None:
            best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
        if out_of_time() or epoch - (best or 0) >= patience:
            break
        log(step=epoch + 1, total=limit, loss=losses[-1], val_loss=val_loss)
    model.load_state_dict(best_state)
    model.eval()
    return model, {"history": history, "best_epoch": best or 0}
