"""make_augment returns a module, NumPy transforms go by way of lists of maps; the training set is a Dataset."""

import time

import numpy as np
import torch
from torch import nn


def random_crop_flip(x, rng, pad=4, p_flip=0.5):
    flip = rng.uniform(size=len(x)) < p_flip
    x = np.where(flip[:, None, None, None], x[:, :, :, ::-1], x)
    down, right = rng.integers(-pad, pad + 1, len(x)), rng.integers(-pad, pad, len(x), endpoint=True)
    out = np.zeros_like(x)
    height, width = x.shape[2:]
    for i in range(len(x)):
        # the part of the image that is still seen, after it has moved
        a, b = max(down[i], 0), min(height, height + down[i])
        c, d = max(right[i], 0), min(width, width + right[i])
        if a < b and c < d:
            out[i, :, a:b, c:d] = x[i, :, a - down[i]:b - down[i], c - right[i]:d - right[i]]
    return out


def affine(x, angle_deg, shift, shear_deg, zoom):
    """With complex numbers: row + i column. A turn and a zoom are one product, and shear is a real part."""
    n, channels, height, width = x.shape
    centre = (height - 1) / 2 + 1j * (width - 1) / 2
    out = np.arange(height)[:, None] + 1j * np.arange(width) - centre  # (H, W)
    shift = np.asarray(shift)
    point = out - (shift[:, 0] + 1j * shift[:, 1])[:, None, None]
    point = point / (np.asarray(zoom) * np.exp(1j * np.radians(angle_deg)))[:, None, None]
    point = point + 1j * np.tan(np.radians(shear_deg))[:, None, None] * point.real + centre
    rows = np.clip(np.around(point.real), 0, height - 1).astype(np.intp)
    columns = np.clip(np.around(point.imag), 0, width - 1).astype(np.intp)
    return np.stack([image[:, r, c] for image, r, c in zip(x, rows, columns)])


def random_affine(x, rng, max_angle_deg=10, max_shift=2, max_shear_deg=0, max_zoom=0.0):
    n = len(x)
    draws = {"angle_deg": rng.random(n) * 2 * max_angle_deg - max_angle_deg,
             "shift": (rng.random((n, 2)) - 0.5) * 2 * max_shift,
             "shear_deg": (1 - 2 * rng.random(n)) * max_shear_deg,
             "zoom": 1 - max_zoom + 2 * max_zoom * rng.random(n)}
    return affine(x, **draws)


class Augmentation(nn.Module):
    """Half of the images in a batch are moved; all are a little noisy."""

    def __init__(self, seed):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    @torch.no_grad()
    def forward(self, x):
        images = x.cpu().numpy()
        if x.shape[1] > 1:
            images = random_crop_flip(images, self.rng, pad=4)
        else:
            moved = random_affine(images, self.rng, 15, 3, 10, 0.1)
            images = np.where(self.rng.random((len(x), 1, 1, 1)) < 0.9, moved, images)
        noise = self.rng.normal(0, 8, images.shape)
        return torch.as_tensor(np.clip(images + noise, 0, 255).astype(np.uint8), device=x.device)


def make_augment(seed):
    return Augmentation(seed)


def train(x, y, *, augment, x_val, y_val, device, seed, time_budget_s, log):
    begin = time.monotonic()
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)

    class Standardise(nn.Module):
        def forward(self, images):
            return (images.float() - mean) / deviation

    mean, deviation = x.float().mean().item(), x.float().std().item() + 1e-3
    c = x.shape[1]
    model = nn.Sequential(
        Standardise(), nn.Conv2d(c, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.MaxPool2d(2), nn.GroupNorm(4, 64), nn.ReLU(),
        nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Linear(1024, 10)).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    steps, size = 26 * -(-len(x) // 40), 40
    for step in range(steps):
        if time.monotonic() - begin > 0.7 * time_budget_s:
            break
        chosen = torch.randint(len(x), (size,), generator=generator)  # with replacement
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        loss = nn.functional.cross_entropy(model(augment(x[chosen]).to(device)), y[chosen].to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:
            log(step=step, total=steps, loss=float(loss.detach()))
    return model.eval()
