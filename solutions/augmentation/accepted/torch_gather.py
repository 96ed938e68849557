"""Torch throughout: homogeneous 3 x 3 matrices in float32, one gather per batch, a DataLoader, the best epoch kept."""

import copy
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def random_crop_flip(x, rng, pad=4, p_flip=0.5):
    n, _, height, width = x.shape
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))  # (N, C, 2p+1, 2p+1, H, W)
    place = rng.integers(0, (2 * pad + 1) ** 2, n)
    out = views[np.arange(n), :, place // (2 * pad + 1), place % (2 * pad + 1)].copy()
    mirrored = np.flatnonzero(rng.binomial(1, p_flip, n))
    out[mirrored] = out[mirrored, ..., ::-1]
    return out


def matrices(angle, shift, shear, zoom, height, width):
    """(N, 3, 3) float32: from output pixels to input pixels, homogeneous (row, column, 1)."""
    n = len(angle)

    def eye():
        return torch.eye(3).repeat(n, 1, 1)

    centre, moved, turned, leaned, scaled = eye(), eye(), eye(), eye(), eye()
    centre[:, 0, 2], centre[:, 1, 2] = (height - 1) / 2, (width - 1) / 2
    moved[:, :2, 2] = shift
    turned[:, 0, 0] = turned[:, 1, 1] = torch.cos(angle)
    turned[:, 0, 1], turned[:, 1, 0] = -torch.sin(angle), torch.sin(angle)
    leaned[:, 1, 0] = -torch.tan(shear)
    scaled[:, 0, 0] = scaled[:, 1, 1] = zoom
    return torch.linalg.inv(moved @ centre @ turned @ leaned @ scaled @ torch.linalg.inv(centre))


def warp(x, angle, shift, shear, zoom):
    """x: (N, C, H, W) tensor; angles in radians, all float32 tensors."""
    n, channels, height, width = x.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    out = torch.stack([rows.flatten(), columns.flatten(), torch.ones(height * width)]).float()  # (3, H W)
    source = (matrices(angle, shift, shear, zoom, height, width) @ out).round().long()  # (N, 3, H W)
    index = source[:, 0].clamp(0, height - 1) * width + source[:, 1].clamp(0, width - 1)  # (N, H W)
    return x.flatten(2).gather(2, index[:, None].expand(n, channels, -1)).reshape(x.shape)


def affine(x, angle_deg, shift, shear_deg, zoom):
    angle, shift, shear, zoom = (torch.as_tensor(np.asarray(v), dtype=torch.float32)
                                 for v in (angle_deg, shift, shear_deg, zoom))
    return warp(torch.from_numpy(np.ascontiguousarray(x)), torch.deg2rad(angle), shift, torch.deg2rad(shear), zoom).numpy()


def random_affine(x, rng, max_angle_deg=10, max_shift=2, max_shear_deg=0, max_zoom=0.0):
    n = len(x)
    return affine(x, rng.uniform(-max_angle_deg, max_angle_deg, n), rng.uniform(-max_shift, max_shift, (n, 2)),
                  rng.uniform(-max_shear_deg, max_shear_deg, n), 1 + rng.uniform(-max_zoom, max_zoom, n))


class Augment:
    """Small affine maps, and a hole in half of the images; photographs are mirrored too."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, *shape):
        return 2 * torch.rand(*shape, generator=self.generator) - 1

    def __call__(self, x):
        images = x.cpu()
        n, channels, height, width = images.shape
        turn = 0.2 if channels == 1 else 0.05
        images = warp(images, turn * self.draw(n), 2.5 * self.draw(n, 2), 0.1 * self.draw(n), 1 + 0.1 * self.draw(n))
        if channels == 3:
            images = torch.where(self.draw(n, 1, 1, 1) > 0, images, images.flip(3))
        top, left = torch.randint(0, height - 5, (2, n, 1, 1, 1), generator=self.generator)
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        hole = (rows >= top) & (rows < top + 6) & (columns >= left) & (columns < left + 6)  # (N, 1, H, W)
        return images.masked_fill(hole & (self.draw(n, 1, 1, 1) > 0), 0).to(x.device)


def make_augment(seed):
    return Augment(seed)


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x):
        return x + self.body(x)


class Bytes(nn.Module):
    def forward(self, x):
        return (x.float() - 64) / 64


def train(x, y, *, augment, x_val, y_val, device, seed, time_budget_s, log):
    start = time.monotonic()
    torch.manual_seed(seed)
    model = nn.Sequential(
        Bytes(), nn.Conv2d(x.shape[1], 16, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 48, 3, padding=1), Residual(48), nn.ReLU(), nn.AdaptiveMaxPool2d(3), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(432, 10)).to(device)
    loader = DataLoader(TensorDataset(x, y), batch_size=30, shuffle=True, drop_last=len(x) > 30,
                        generator=torch.Generator().manual_seed(seed))
    epochs = 30
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=epochs * len(loader))
    best, best_state = -1.0, copy.deepcopy(model.state_dict())
    try:
        for epoch in range(epochs):
            model.train()
            for images, labels in loader:
                if time.monotonic() - start > 0.8 * time_budget_s:
                    raise TimeoutError
                loss = nn.functional.cross_entropy(model(augment(images).to(device)), labels.to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            model.eval()
            with torch.no_grad():
                accuracy = (model(x_val.to(device)).argmax(1).cpu() == y_val).float().mean().item()
            if accuracy >= best:
                best, best_state = accuracy, copy.deepcopy(model.state_dict())
            log(step=epoch + 1, total=epochs, loss=loss, accuracy=accuracy)
    except TimeoutError:
        pass
    model.load_state_dict(best_state)
    return model.eval()
