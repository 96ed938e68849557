# expect: wrong-answer test_validation_leaves_no_trace
# Adapts BatchNorm to the validation images at the end: no label, no gradient, and yet fitted to them.
import copy
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Classifier(nn.Module):
    """(N, 3, H, W) raw bytes -> (N, num_classes) logits: pixels as the backbone knows them, backbone, linear head."""

    def __init__(self, backbone: nn.Module, feat_dim: int, num_classes: int, mean, std, size: int) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)  # the caller's stays as it is
        self.head = nn.Linear(feat_dim, num_classes)
        self.size = size
        self.register_buffer("mean", torch.as_tensor(mean).float().view(3, 1, 1))
        self.register_buffer("std", torch.as_tensor(std).float().view(3, 1, 1))

    def features(self, x: Tensor) -> Tensor:
        x = (x.float() / 255 - self.mean) / self.std
        if x.shape[-1] != self.size:  # filters for large objects find none in small pictures
            x = F.interpolate(x, (self.size, self.size), mode="bilinear")
        return self.backbone(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def param_groups(model: nn.Module, lr_head: float, lr_backbone: float, weight_decay: float) -> list[dict]:
    """Groups for an optimiser: two learning rates, and no decay for biases and the parameters of norms.

    What is in model.backbone learns at lr_backbone, all else at lr_head; frozen parameters are left out.
    """
    old = set(model.backbone.parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():  # each tensor once, even where two modules share it
        if parameter.requires_grad:
            rate = lr_backbone if parameter in old else lr_head
            decay = weight_decay if parameter.ndim > 1 else 0.0  # a bias or a norm has one number per channel
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def fit_head(head: nn.Linear, features: Tensor, y: Tensor, out_of_time, l2: float = 1e-3, steps: int = 100) -> None:
    """Multinomial regression on features (N, D), in place: convex, so that nothing has to be tuned.

    It is solved for standardised features, which condition it well, and written into the head for the raw ones.
    """
    mean, std = features.mean(0), features.std(0) + 1e-6
    z = (features - mean) / std
    weight, bias = z.new_zeros(head.weight.shape, requires_grad=True), z.new_zeros(len(head.bias), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(z, weight, bias), y) + l2 * weight.square().sum()
        value.backward()
        return value

    for _ in range(steps // 10):
        if out_of_time():
            break
        optimiser.step(loss)
    with torch.no_grad():
        head.weight.copy_(weight / std)
        head.bias.copy_(bias - head.weight @ mean)


def augmented(x: Tensor, by: int) -> Tensor:
    """Each image moved by up to `by` pixels along each axis, its border repeated, and half of them mirrored.

    x: (N, 3, H, W) uint8   ->   the same
    """
    n, _, height, width = x.shape
    top, left = torch.randint(-by, by + 1, (2, n, 1), device=x.device)
    rows = (top + torch.arange(height, device=x.device)).clamp(0, height - 1)[:, :, None]  # (N, H, 1)
    columns = (left + torch.arange(width, device=x.device)).clamp(0, width - 1)[:, None, :]  # (N, 1, W)
    columns = torch.where(torch.rand(n, 1, 1, device=x.device) < 0.5, columns.flip(2), columns)
    return x[torch.arange(n, device=x.device)[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def fine_tune(backbone: nn.Module, feat_dim: int, x: Tensor, y: Tensor, *, x_val: Tensor, y_val: Tensor,
              num_classes: int, mean, std, device: str, seed: int, time_budget_s: float, log) -> nn.Module:
    """x: (N, 3, 32, 32) uint8, y: (N,) int64   ->   a model in eval mode, on `device`.

    BatchNorm keeps the statistics of the pretraining throughout, so that no image depends on its batch.
    """
    begin = time.monotonic()
    torch.manual_seed(seed)
    gpu = device != "cpu"
    size = getattr(backbone, "input_size", x.shape[-1])
    model = Classifier(backbone, feat_dim, num_classes, mean, std, size).to(device, memory_format=torch.channels_last)
    model.eval()
    x, y, x_val, y_val = (t.to(device) for t in (x, y, x_val, y_val))

    def out_of_time(share: float = 0.85) -> bool:
        return time.monotonic() - begin > share * time_budget_s

    def autocast():
        return torch.autocast("cuda", torch.bfloat16, enabled=gpu)

    def extract(images: Tensor) -> Tensor:
        with torch.no_grad(), autocast():
            return model.features(images).float()

    # 1. A head for the features as they are. A random one would send noise into the backbone.
    features, labels = [], []
    for images, wanted in zip(x.split(250), y.split(250)):
        for view in (images, images.flip(3)):
            if not out_of_time(0.3):
                features.append(extract(view))
                labels.append(wanted)
    if features:
        fit_head(model.head, torch.cat(features), torch.cat(labels), out_of_time)

    # 2. Everything, at rates that adapt the features without losing them. How long follows from the budget and not from
    # a stopwatch, so that the same seed and budget give the same model: 60 images of 32 pixels per second of budget
    # are a tenth of what one core does; a GPU does more than 600 of 224.
    batch = min(32 if len(x) < 5000 else 256, len(x))
    per_epoch = len(x) // batch
    total = min(30 * per_epoch, int((600 if gpu else 60) * time_budget_s / batch))
    groups = param_groups(model, lr_head=2e-3, lr_backbone=5e-4, weight_decay=0.01)
    optimiser = torch.optim.AdamW(groups, fused=gpu)
    peaks = [group["lr"] for group in optimiser.param_groups]
    for step in range(total):
        left = 1 - (time.monotonic() - begin) / (0.85 * time_budget_s)
        if left <= 0:
            break
        rate = min((step + 1) / (0.1 * total), 1 - step / total, 3 * left)  # up, then down to 0, at the latest in time
        for group, peak in zip(optimiser.param_groups, peaks):
            group["lr"] = peak * rate
        if step % per_epoch == 0:
            order = torch.randperm(len(x), device=device)
        chosen = order[step % per_epoch * batch:][:batch]
        with autocast():
            loss = F.cross_entropy(model(augmented(x[chosen], by=2)), y[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:  # not in every step: loss.item() makes a GPU wait
            log(step=step, total=total, loss=loss.item())

    with torch.no_grad():
        model.train()(x_val)
    model.eval()
    if not out_of_time():
        with torch.no_grad():
            right = sum((model(images).argmax(1) == wanted).sum().item()
                        for images, wanted in zip(x_val.split(250), y_val.split(250)))
        log(step=total, total=total, accuracy=right / max(len(x_val), 1))
    return model
