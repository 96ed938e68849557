# expect: time-limit test_keeps_a_short_budget
# Logs, but does not catch the TimeoutError that ends the time: nothing is returned.
import torch
import torch.nn.functional as F
from torch import nn


class Whiten(nn.Module):
    def __init__(self, images):
        super().__init__()
        x = images[:4000].float()
        mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
        patches = F.unfold((x - mean) / std, 2, stride=3).transpose(1, 2).flatten(0, 1)
        variance, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        kernels = (components / (variance + 1e-2).sqrt()).T.reshape(12, 3, 2, 2)
        self.register_buffer("mean", mean)
        self.register_buffer("kernels", torch.cat([kernels, -kernels]) / std)

    def forward(self, x):
        x = x.contiguous(memory_format=torch.channels_last)
        return F.relu(F.conv2d(x.float() - self.mean, self.kernels))


def stage(c_in, c_out):
    first, second = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
    nn.init.dirac_(first.weight[:c_in])
    nn.init.dirac_(second.weight)
    return nn.Sequential(first, nn.MaxPool2d(2), nn.BatchNorm2d(c_out), nn.ReLU(), second, nn.BatchNorm2d(c_out),
                         nn.ReLU())


class Net(nn.Module):
    def __init__(self, images, width):
        super().__init__()
        self.features = nn.Sequential(Whiten(images), stage(24, width), stage(width, 2 * width),
                                      stage(2 * width, 4 * width))
        self.head = nn.Linear(4 * width, 10)

    def forward(self, x):
        return self.head(self.features(x).amax((2, 3))) / 4


def train(x, y, *, x_val, y_val, device, seed, time_budget_s, log):
    torch.manual_seed(seed)
    long = time_budget_s >= 60
    model = Net(x, 32 if long else 16).to(device, memory_format=torch.channels_last)
    batch = min(128 if len(x) > 4000 else 50, len(x))
    total = 200 * (len(x) // batch)
    optimiser = torch.optim.SGD(model.parameters(), lr=1, momentum=0.85, nesterov=True, weight_decay=1e-3)
    for step in range(total):
        for group in optimiser.param_groups:
            group["lr"] = 0.2 * min((step + 1) / 30, 1 - step / total)
        if step % (len(x) // batch) == 0:
            batches = torch.randperm(len(x)).split(batch)
        chosen = batches[step % (len(x) // batch)]
        loss = F.cross_entropy(model(x[chosen].to(device)), y[chosen].to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 20 == 0:
            log(step=step, total=total, loss=loss.item())
    return model.eval()
