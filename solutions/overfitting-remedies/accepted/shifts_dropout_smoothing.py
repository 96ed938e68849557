"""Shifts, dropout and label smoothing, by SGD with momentum; images are halved first, which blurs the noise."""

import time

import torch
from torch import nn


def l2_penalty(params, strength):
    total = torch.zeros(())
    for value in params.values():
        if len(value.shape) > 1:
            total = total + torch.linalg.vector_norm(value) ** 2
    return total * strength


def dropout(x, p, training, generator=None):
    if p < 0 or p > 1:
        raise ValueError(f"p = {p}")
    if not training:
        return x.clone()
    keep = torch.bernoulli(torch.full_like(x, 1 - p, requires_grad=False), generator=generator)
    return x * keep * (1 / (1 - p) if p < 1 else 0)


def best_epoch(val_losses, patience):
    if patience <= 0 or len(val_losses) == 0:
        raise ValueError
    best = -1
    for now in range(len(val_losses)):
        if val_losses[now] == val_losses[now] and (best < 0 or val_losses[now] < val_losses[best]):
            best = now
        if now - best == patience:
            break
    return (best if best >= 0 else None), now


class Net(nn.Module):
    def __init__(self, channels, side, classes=10, widths=(8, 16, 32)):
        super().__init__()
        ins = (channels, *widths[:-1])
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in zip(ins, widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in widths)
        self.out = nn.Linear(widths[-1] * (side // 8) ** 2, classes)

    def forward(self, x):
        h = nn.functional.avg_pool2d(x / 255.0 - 0.1, 2)
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            h = torch.relu(norm(conv(h)))
            h = torch.max_pool2d(h, 2) if i else h
        return self.out(dropout(h.flatten(1), 0.4, self.training))


def shifted(x, by=3):
    """Each image rolled by its own number of pixels; digits have an empty margin."""
    return torch.stack([image.roll(tuple(torch.randint(-by, by + 1, (2,)).tolist()), (1, 2)) for image in x])


def train_regularised(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    begin = time.monotonic()
    torch.manual_seed(seed)
    epochs = 18 if time_budget_s <= 20 else 80
    net = Net(x.shape[1], x.shape[2]).to(device)
    x_val, y_val = x_val.to(device), y_val.to(device)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9, nesterov=True)
    history, lowest, kept = [], float("inf"), None
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = 0.03 * (1 - 0.95 * epoch / epochs)
        net.train()
        moved, running = shifted(x), []
        for part in torch.randperm(len(x)).split(25):
            loss = loss_of(net(moved[part].to(device)), y[part].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            running.append(loss.item())
            if time.monotonic() - begin > 0.85 * time_budget_s:
                break
        net.eval()
        with torch.no_grad():
            val_loss = nn.functional.cross_entropy(net(x_val), y_val).item()
        history.append({"epoch": epoch, "train_loss": sum(running) / len(running), "val_loss": val_loss})
        if kept is None or val_loss < lowest:
            lowest, kept = val_loss, {name: value.clone() for name, value in net.state_dict().items()}
            best = epoch
        if time.monotonic() - begin > 0.85 * time_budget_s:
            break
        log(step=epoch, total=epochs, loss=running[-1])
    net.load_state_dict(kept)
    return net.eval(), {"history": history, "best_epoch": best}
