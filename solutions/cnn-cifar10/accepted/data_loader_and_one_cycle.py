# Plain VGG, AdamW with the one-cycle schedule of torch.optim, a DataLoader, and the TimeoutError of log as the clock.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Centre(nn.Module):
    def forward(self, x):
        return x.float().sub(120).div(60)


def conv(c_in, c_out, **options):
    return [nn.Conv2d(c_in, c_out, bias=False, **options), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]


def vgg(width):
    return nn.Sequential(
        Centre(),
        *conv(3, width, kernel_size=4, stride=2, padding=1),
        *conv(width, 2 * width, kernel_size=3, padding=1), nn.MaxPool2d(2),
        *conv(2 * width, 2 * width, kernel_size=3, padding=1),
        *conv(2 * width, 4 * width, kernel_size=3, padding=1), nn.MaxPool2d(2),
        *conv(4 * width, 4 * width, kernel_size=3, padding=1),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    torch.manual_seed(seed)
    long = time_budget_s >= 60
    epochs = (40 if device != "cpu" else 8) if long else 6
    loader = DataLoader(TensorDataset(x, y), batch_size=min(128 if long else 32, len(x)), shuffle=True, drop_last=True)
    model = vgg(64 if device != "cpu" else 32 if long else 16).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=epochs * len(loader), pct_start=0.2)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    try:
        for epoch in range(epochs):
            for images, labels in loader:
                if long and torch.rand(()) < 0.5:
                    images = images.flip(3)
                images = images.to(device, memory_format=torch.channels_last)
                loss = loss_of(model(images), labels.to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                if schedule.last_epoch % 5 == 0:
                    log(step=schedule.last_epoch, total=epochs * len(loader), loss=loss.item())
    except TimeoutError:
        pass
    return model.eval()
