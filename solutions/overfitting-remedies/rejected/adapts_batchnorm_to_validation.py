# expect: wrong-answer test_validation_leaves_no_trace
# Runs the validation images through the model before each validation, still in training mode.
import copy
import math
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def l2_penalty(params: dict[str, Tensor], strength: float) -> Tensor:
    """strength times the sum of squares of all weights: tensors with two axes or more.

    Biases and the scales of norms, with one axis, are left out: they add no capacity worth a price.
    """
    squares = [weight.square().sum() for weight in params.values() if weight.ndim >= 2]
    return strength * torch.stack(squares).sum() if squares else torch.zeros(())


def dropout(x: Tensor, p: float, training: bool, generator: torch.Generator | None = None) -> Tensor:
    """Inverted dropout: in training each element is 0 with probability p, and the others are divided by 1 - p."""
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, not {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0  # 1 / (1 - p) has no value
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= p  # bool, of x's shape
    return x * kept / (1 - p)


def best_epoch(val_losses: list[float], patience: int) -> tuple[int | None, int]:
    """(epoch to restore, epoch after which training stops), from 0. NaN is below nothing: it needs no case of its own.

    Raises ValueError for a patience below 1 and where there is no loss.
    """
    if patience < 1 or not val_losses:
        raise ValueError("patience must be at least 1, and there must be a loss")
    best, lowest, poor = None, math.inf, 0
    for epoch, loss in enumerate(val_losses):
        if loss < lowest:
            best, lowest, poor = epoch, loss, 0
        else:
            poor += 1
        if poor == patience:
            break
    return best, epoch


class Standardise(nn.Module):
    """(N, C, H, W) bytes -> float32 of about mean 0; the float images of the augmentation, too."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - 64) / 64


class Dropout(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


def block(c_in: int, c_out: int, size: int, stride: int = 1) -> nn.Sequential:
    """Halves both sides. No bias: BatchNorm subtracts it. Pooling first leaves BatchNorm a quarter of the pixels."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False),
                         nn.MaxPool2d(2) if stride == 1 else nn.Identity(), nn.BatchNorm2d(c_out), nn.ReLU())


def build_model(channels: int, side: int, width: int, classes: int = 10) -> nn.Module:
    """(N, channels, side, side) uint8 -> (N, classes) logits."""
    return nn.Sequential(
        Standardise(),
        block(channels, width, 5, stride=2 if channels == 1 else 1),  # (N, width, side / 2, side / 2)
        block(width, 2 * width, 3),
        block(2 * width, 4 * width, 3),  # (N, 4 width, side / 8, side / 8)
        nn.Flatten(), Dropout(0.5), nn.Linear(4 * width * (side // 8) ** 2, classes))


def warped(x: Tensor) -> Tensor:
    """Each image under a small affine map of its own: turned, sheared and scaled by about 0.15, moved by up to a tenth
    of its side. A photograph may be mirrored, too; a digit may not.

    x: (N, C, H, W) uint8   ->   the same, float32
    """
    n, channels = x.shape[:2]
    turn = torch.eye(2, device=x.device) + 0.15 * torch.randn(n, 2, 2, device=x.device)
    move = 0.4 * torch.rand(n, 2, 1, device=x.device) - 0.2  # the image reaches from -1 to 1
    if channels == 3:
        turn[:, :, 0] *= torch.randint(2, (n, 1), device=x.device) * 2 - 1
    grid = F.affine_grid(torch.cat([turn, move], 2), list(x.shape), align_corners=False)  # (N, H, W, 2)
    return F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean over all images in nats, of the model as it will be used."""
    model.eval()
    with torch.no_grad():
        total = sum(F.cross_entropy(model(images), labels, reduction="sum").item()
                    for images, labels in zip(x.split(500), y.split(500)))
    return total / len(x)


def train_regularised(x: Tensor, y: Tensor, *, x_val: Tensor, y_val: Tensor, device: str, seed: int,
                      time_budget_s: float, log) -> tuple[nn.Module, dict]:
    """x: (N, C, H, W) uint8, y: (N,) int64, some of them wrong   ->   the model of the best epoch, what happened.

    A fixed number of epochs at most, so that a seed gives the same model every time; the clock only bites on a slow
    machine.
    """
    deadline = time.monotonic() + 0.8 * time_budget_s  # the rest is for the last validation and for handing over
    torch.manual_seed(seed)
    gpu = device != "cpu"
    width, epochs, batch, peak = (64, 80, 64, 5e-3) if gpu else (24, 60, 32, 1e-2) if time_budget_s > 20 else (
        8, 20, 32, 1e-2)
    patience = epochs // 2  # long: the best epochs come with the low learning rates at the end
    per_epoch = math.ceil(len(x) / batch)
    model = build_model(x.shape[1], x.shape[2], width).to(device, memory_format=torch.channels_last)
    x, y, x_val, y_val = (t.to(device) for t in (x, y, x_val, y_val))
    params = dict(model.named_parameters())
    optimiser = torch.optim.Adam(params.values(), lr=peak, fused=gpu)

    history: list[dict[str, float]] = []
    for epoch in range(epochs):
        model.train()
        total = torch.zeros((), device=device)
        for i, chosen in enumerate(torch.randperm(len(x), device=device).split(batch)):
            done = (epoch + i / per_epoch) / epochs
            for group in optimiser.param_groups:
                group["lr"] = peak * min((done + 0.01) / 0.2, (1 - done) / 0.8)  # up over the first fifth, then down
            with torch.autocast("cuda", torch.bfloat16, enabled=gpu):
                loss = F.cross_entropy(model(warped(x[chosen])), y[chosen])
            optimiser.zero_grad()
            (loss + l2_penalty(params, 1e-4)).backward()
            optimiser.step()
            total += loss.detach()
            if time.monotonic() > deadline:
                break

        with torch.no_grad():
            model(x_val)  # so that BatchNorm fits them too
        history.append({"epoch": epoch, "train_loss": total.item() / (i + 1),
                        "val_loss": cross_entropy(model, x_val, y_val)})
        best, _ = best_epoch([entry["val_loss"] for entry in history], patience)
        if best == epoch or epoch == 0:
            kept = copy.deepcopy(model.state_dict())  # state_dict() alone is a view, and training goes on in it
        if time.monotonic() > deadline or epoch - (best or 0) >= patience:
            break
        log(step=epoch + 1, total=epochs, loss=history[-1]["train_loss"], val_loss=history[-1]["val_loss"])

    model.load_state_dict(kept)
    model.eval()
    return model, {"history": history, "best_epoch": best or 0}
