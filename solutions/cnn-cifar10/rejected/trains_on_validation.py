# expect: wrong-answer test_validation_images_are_not_trained_on
# Adds the validation images to the training images.
import time
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Whiten(nn.Module):
    """(N, 3, H, W) raw bytes -> (N, 24, H-1, W-1) of mean 0: each 2x2 patch's principal components, scaled to
    variance 1, and their negatives.

    The components are fixed, learned from images without labels. Neighbouring pixels are nearly equal; after this
    layer they no longer are, and gradient descent sees contrast and colour at the scale of brightness.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        x = images[:4000].float()
        mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
        patches = F.unfold((x - mean) / std, 2, stride=3).transpose(1, 2).flatten(0, 1)  # (patches, 12)
        variance, components = torch.linalg.eigh(patches.T @ patches / len(patches))  # (12,), (12, 12) in columns
        kernels = (components / (variance + 1e-2).sqrt()).T.reshape(12, 3, 2, 2)
        self.register_buffer("mean", mean)
        self.register_buffer("kernels", torch.cat([kernels, -kernels]) / std)  # (24, 3, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x.float() - self.mean, self.kernels)


def stage(c_in: int, c_out: int) -> nn.Sequential:
    """(N, c_in, H, W) -> (N, c_out, H // 2, W // 2)"""
    # pooling first leaves BatchNorm, ReLU and the second convolution a quarter of the pixels
    first, second = (nn.Conv2d(c, c_out, 3, padding=1, bias=False) for c in (c_in, c_out))
    nn.init.dirac_(first.weight[:c_in])  # as many channels as there are begin as copies of the input:
    nn.init.dirac_(second.weight)  # a deep net that begins near a shallow one learns sooner
    return nn.Sequential(first, nn.MaxPool2d(2), nn.BatchNorm2d(c_out), nn.ReLU(),
                         second, nn.BatchNorm2d(c_out), nn.ReLU())


class Net(nn.Module):
    """(N, 3, 32, 32) uint8 -> (N, 10) logits."""

    def __init__(self, images: Tensor, widths: tuple[int, int, int], classes: int = 10) -> None:
        super().__init__()
        self.whiten = Whiten(images)  # (N, 24, 31, 31)
        self.stages = nn.Sequential(*map(stage, (24, *widths), widths))  # (N, widths[-1], 3, 3)
        self.head = nn.Linear(widths[-1], classes)

    def score(self, x: Tensor) -> Tensor:
        x = self.stages(F.relu(self.whiten(x)))
        return self.head(x.amax((2, 3))) / 4  # smaller logits: the first large steps do less harm

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        if self.training:
            return self.score(x)
        return (self.score(x) + self.score(x.flip(3))) / 2  # a mirrored horse is a horse: ask twice


def augmented(x: Tensor, mirrored: Tensor, by: int = 2) -> Tensor:
    """Images moved by up to `by` pixels along each axis, reflected at the border, and mirrored where asked for.

    x: (N, C, H, W), mirrored: (N,) bool   ->   (N, C, H, W)
    """
    n, _, height, width = x.shape

    def places(size: int) -> Tensor:  # (N, size): where each image's rows or columns are taken from
        at = torch.arange(size, device=x.device) + torch.randint(-by, by + 1, (n, 1), device=x.device)
        return size - 1 - (size - 1 - at.abs()).abs()

    rows, columns = places(height), places(width)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    each = torch.arange(n, device=x.device)
    # indices on both sides of a slice put its axis last: (N, H, W, C), which is channels_last once permuted
    return x[each[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        right = (model(x).argmax(1) == y).float()
    model.train()
    return right.mean().item() if len(y) else 0.0


def recipe(device: str, budget_s: float) -> tuple[tuple[int, int, int], int, int, float]:
    """Widths, epochs, batch size and highest learning rate that suit the machine and the time."""
    if device != "cpu":
        return (64, 256, 256), 40, 1024, 1.5
    if budget_s >= 60:
        return (32, 64, 128), 24, 128, 0.3
    return (16, 32, 64), 3, 50, 0.3


def train(x: Tensor, y: Tensor, *, x_val: Tensor, y_val: Tensor, device: str, seed: int, time_budget_s: float,
          log) -> nn.Module:
    """x: (N, 3, 32, 32) uint8, y: (N,) int64   ->   a model in eval mode, on `device`.

    A number of epochs that leaves time, so that a seed gives the same model every time. Where the machine is too slow
    for that the clock takes the learning rate to 0, and ends the training.
    """
    begin = time.monotonic()
    usable_s = 0.93 * time_budget_s  # the rest is for handing over
    torch.manual_seed(seed)
    x, y = torch.cat([x, x_val]), torch.cat([y, y_val])
    torch.backends.cudnn.allow_tf32 = False  # float32 predictions are to be float32: one image alone as in a batch
    widths, epochs, batch, peak = recipe(device, time_budget_s)
    few = min(batch, max(32, len(x) // 32), len(x))  # few images: smaller batches rather than few steps
    batch, peak = few, peak * (few / batch) ** 0.5
    per_epoch = len(x) // batch
    total = epochs * per_epoch
    warm_up = min(200, total // 5)

    x = x.to(device, memory_format=torch.channels_last)  # as bytes, all of CIFAR-10 takes 150 MB
    y, x_val, y_val = y.to(device), x_val[:250].to(device), y_val[:250].to(device)
    model = Net(x, widths).to(device, memory_format=torch.channels_last)
    decayed, free = ([p for p in model.parameters() if (p.ndim > 1) == many] for many in (True, False))
    optimiser = torch.optim.SGD([{"params": decayed, "weight_decay": 1e-3}, {"params": free}], lr=peak, momentum=0.85,
                                nesterov=True)
    # bfloat16 doubles the speed where the processor multiplies it natively, and costs some elsewhere
    kind = torch.device(device).type
    native = kind == "cuda" or getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16", False)
    halved = torch.autocast(kind, torch.bfloat16, enabled=native)
    mirrored = torch.rand(len(x), device=device) < 0.5

    with suppress(TimeoutError):  # of log, whose clock began when the images were sent
        for step in range(total):
            done, left = step / total, 1 - (time.monotonic() - begin) / usable_s
            if left <= 0:
                break
            for group in optimiser.param_groups:
                group["lr"] = peak * min((step + 1) / warm_up, 1.1 * (1 - done), 1.1 * left)

            if step % per_epoch == 0:
                order = torch.randperm(len(x), device=device)
                mirrored = ~mirrored  # two epochs show both sides of each image, once
            chosen = order[step % per_epoch * batch:][:batch]
            images, labels = augmented(x[chosen], mirrored[chosen]), y[chosen]
            with halved:
                logits = model(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 20 == 0:  # not in every step: loss.item() makes a GPU wait
                log(step=step, total=total, loss=loss.item())
            if (step + 1) % per_epoch == 0:
                log(step=step, total=total, accuracy=accuracy(model, x_val, y_val))

    return model.eval()  # from here on BatchNorm uses its running averages
