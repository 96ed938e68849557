# No probe: all layers train from the first step, the earlier the slower, while BatchNorm follows the target's batches.
import copy
import math
import time

import torch
from torch import nn


class Standardise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean).reshape(3, 1, 1), requires_grad=False)
        self.std = nn.Parameter(torch.tensor(std).reshape(3, 1, 1), requires_grad=False)

    def forward(self, x):
        return x.float().div(255).sub(self.mean).div(self.std)


class Net(nn.Module):
    def __init__(self, standardise, backbone, head):
        super().__init__()
        self.standardise, self.backbone, self.head = standardise, backbone, head

    def forward(self, x):
        return self.head(self.backbone(self.standardise(x)))


NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def param_groups(model, lr_head, lr_backbone, weight_decay):
    undecayed = {id(p) for m in model.modules() for n, p in m.named_parameters(recurse=False)
                 if n == "bias" or isinstance(m, NORMS)}
    sorted_in = {key: [] for key in ((True, True), (True, False), (False, True), (False, False))}
    for name, p in model.named_parameters():
        if p.requires_grad:
            sorted_in[name.partition(".")[0] == "backbone", id(p) in undecayed].append(p)
    return [dict(params=params, lr=lr_backbone if old else lr_head, weight_decay=0.0 if no_decay else weight_decay)
            for (old, no_decay), params in sorted_in.items() if params]


def fine_tune(backbone, feat_dim, x, y, *, x_val, y_val, num_classes, mean, std, device, seed, time_budget_s, log):
    end = time.monotonic() + 0.75 * time_budget_s
    torch.manual_seed(seed)
    head = nn.Linear(feat_dim, num_classes)
    nn.init.zeros_(head.weight)  # the first gradients of the backbone are 0: the head gets a start
    model = Net(Standardise(mean, std), copy.deepcopy(backbone), head).to(device, memory_format=torch.channels_last)
    x, y = x.to(device), y.to(device)
    size = min(32, len(x))
    epochs = 8
    total = epochs * (len(x) // size)
    optimiser = torch.optim.SGD(param_groups(model, 0.1, 0.02, 1e-4), momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: 0.5 * (1 + math.cos(math.pi * i / total)))
    model.train()
    done = 0
    for _ in range(epochs):
        order = torch.randperm(len(x)).to(device)
        for start in range(0, len(x) - size + 1, size):  # a last batch that is not full is left out
            if time.monotonic() > end:
                return model.eval()
            chosen = order[start:start + size]
            images = x[chosen]
            if torch.rand(()) < 0.5:
                images = images.flip(3)
            images = images.contiguous(memory_format=torch.channels_last)  # twice as fast on a CPU
            loss = nn.functional.cross_entropy(model(images), y[chosen], label_smoothing=0.1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            log(step=done, total=total, loss=loss.detach())
    return model.eval()
