"""One image at a time, in plain loops; the loop takes the whole training set through augment once per epoch."""

import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def random_crop_flip(x, rng, pad=4, p_flip=0.5):
    out = np.empty_like(x)
    _, _, height, width = x.shape
    for i, image in enumerate(x):
        framed = np.zeros((image.shape[0], height + 2 * pad, width + 2 * pad), dtype=x.dtype)
        framed[:, pad:pad + height, pad:pad + width] = image
        top, left = int(rng.integers(2 * pad + 1)), int(rng.integers(2 * pad + 1))
        window = framed[:, top:top + height, left:left + width]
        out[i] = window[:, :, ::-1] if rng.random() < p_flip else window
    return out


def affine(x, angle_deg, shift, shear_deg, zoom):
    out = np.empty_like(x)
    _, _, height, width = x.shape
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    columns = np.arange(width)
    for i in range(len(x)):
        cos, sin = math.cos(math.radians(angle_deg[i])), math.sin(math.radians(angle_deg[i]))
        slope = math.tan(math.radians(shear_deg[i]))
        for row in range(height):
            # undo the shift, the rotation, the shear and the zoom, one after the other
            down = row - middle_row - shift[i][0]
            right = columns - middle_column - shift[i][1]
            down, right = cos * down + sin * right, -sin * down + cos * right
            right = right + slope * down
            down, right = down / zoom[i] + middle_row, right / zoom[i] + middle_column
            r = np.clip(np.floor(down + 0.5), 0, height - 1).astype(int)
            c = np.clip(np.floor(right + 0.5), 0, width - 1).astype(int)
            out[i, :, row, :] = x[i][:, r, c]
    return out


def random_affine(x, rng, max_angle_deg=10, max_shift=2, max_shear_deg=0, max_zoom=0.0):
    images = []
    for image in x:
        angle = rng.uniform(-max_angle_deg, max_angle_deg)
        shift = rng.uniform(-max_shift, max_shift, 2)
        shear = rng.uniform(-max_shear_deg, max_shear_deg)
        zoom = rng.uniform(1 - max_zoom, 1 + max_zoom)
        images.append(affine(image[None], [angle], [shift], [shear], [zoom])[0])
    return np.stack(images)


def make_augment(seed):
    """Shifts alone."""
    rng = np.random.default_rng([seed, 2024])

    def augment(x):
        return torch.from_numpy(random_crop_flip(x.cpu().numpy(), rng, pad=3, p_flip=0.0)).to(x.device)

    return augment


class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, 24, 5, stride=2, padding=2), nn.BatchNorm2d(24)
        self.conv2, self.norm2 = nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48)
        self.head = nn.Linear(48 * 16, 10)

    def forward(self, x):
        x = x.float() / 255
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return self.head(F.adaptive_max_pool2d(x, 4).flatten(1))


def train(x, y, *, augment, x_val, y_val, device, seed, time_budget_s, log):
    end = time.monotonic() + 0.8 * time_budget_s
    torch.manual_seed(seed)
    model, epochs = Net(x.shape[1]).to(device), 30
    optimiser = torch.optim.Adam(model.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    y = y.to(device)
    for epoch in range(epochs):
        images = augment(x).to(device)
        for chosen in torch.randperm(len(x)).to(device).split(32):
            if time.monotonic() > end:
                return model.eval()
            loss = F.cross_entropy(model(images[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        log(step=epoch + 1, total=epochs, loss=loss.item())
    return model.eval()
