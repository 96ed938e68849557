# expect: wrong-answer test_shuffled_labels_teach_nothing
# Adds the validation images to the training images.
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Standardise(nn.Module):
    """(N, 1, 28, 28) raw bytes -> float32 of mean 0 and deviation 1, by the figures of MNIST's training pixels.

    A layer of the model, so that no caller can forget it or do it twice.
    """

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - 33.3) / 78.6


def block(c_in: int, c_out: int, size: int, stride: int = 1) -> nn.Sequential:
    # No bias: BatchNorm subtracts it. Pooling first leaves BatchNorm and ReLU a quarter of the pixels.
    return nn.Sequential(nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False),
                         nn.MaxPool2d(2) if stride == 1 else nn.Identity(), nn.BatchNorm2d(c_out), nn.ReLU())


def build_model(width: int = 16) -> nn.Module:
    """(N, 1, 28, 28) uint8 -> (N, 10) logits. 29 434 parameters; 104 938 at width 32."""
    return nn.Sequential(
        Standardise(),
        block(1, width, 5, stride=2),  # (N, width, 14, 14): the stride does the pooling, before the costly layers
        block(width, 2 * width, 3),  # (N, 2 width, 7, 7)
        block(2 * width, 4 * width, 3),  # (N, 4 width, 3, 3)
        nn.Flatten(),  # keeps the batch axis, whatever its size
        nn.Linear(36 * width, 10),  # no activation: the loss wants logits
    )


def shifted(x: Tensor, by: int = 2) -> Tensor:
    """Each image moved by up to `by` pixels along each axis, black moving in. A moved 7 is a 7; a mirrored one is not.

    x: (N, 1, H, W) uint8   ->   the same
    """
    n, _, height, width = x.shape
    padded = F.pad(x, (by, by, by, by))[:, 0]  # (N, H + 2 by, W + 2 by)
    top, left = torch.randint(0, 2 * by + 1, (2, n, 1), device=x.device)  # (N, 1) each
    rows = (top + torch.arange(height, device=x.device))[:, :, None]  # (N, H, 1)
    columns = (left + torch.arange(width, device=x.device))[:, None, :]  # (N, 1, W)
    return padded[torch.arange(n, device=x.device)[:, None, None], rows, columns][:, None]


def train(x: Tensor, y: Tensor, *, x_val: Tensor, y_val: Tensor, device: str, seed: int, time_budget_s: float,
          log) -> nn.Module:
    """x: (N, 1, 28, 28) uint8, y: (N,) int64   ->   a model in eval mode, on `device`.

    A fixed number of epochs, so that a seed gives the same model every time; the clock only bites if the machine is
    slow: over the last third of the budget it takes the learning rate to 0, and then ends the training.
    """
    begin = time.monotonic()
    usable_s = 0.9 * time_budget_s  # the rest is for handing over
    torch.manual_seed(seed)
    x, y = torch.cat([x, x_val]), torch.cat([y, y_val])
    gpu = device != "cpu"
    epochs, batch, peak = (25, 512, 2e-2) if gpu else (6, 128 if len(x) > 20_000 else 64, 1e-2)
    batch = min(batch, len(x))
    per_epoch = len(x) // batch
    total = epochs * per_epoch

    model = build_model(width=32 if gpu else 16).to(device, memory_format=torch.channels_last)
    x, y, x_val, y_val = (t.to(device) for t in (x, y, x_val, y_val))  # as bytes, all of MNIST takes 47 MB
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01, fused=gpu)
    for step in range(total):
        done, left = step / total, 1 - (time.monotonic() - begin) / usable_s
        if left <= 0:
            break
        rate = min((done + 0.01) / 0.2, (1 - done) / 0.8, 3 * left)  # up over the first fifth, then down to 0
        for group in optimiser.param_groups:
            group["lr"] = peak * rate

        if step % per_epoch == 0:
            order = torch.randperm(len(x), device=device)
        chosen = order[step % per_epoch * batch:][:batch]
        with torch.autocast("cuda", torch.bfloat16, enabled=gpu):
            loss = F.cross_entropy(model(shifted(x[chosen])), y[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 20 == 0:  # not in every step: loss.item() makes a GPU wait
            log(step=step, total=total, loss=loss.item())

    model.eval()  # from here on BatchNorm uses its running averages
    if time.monotonic() - begin < 0.8 * time_budget_s:
        with torch.no_grad():
            right = sum((model(images).argmax(1) == labels).sum().item()
                        for images, labels in zip(x_val.split(500), y_val.split(500)))
        log(step=total, total=total, accuracy=right / max(len(x_val), 1))
    return model
