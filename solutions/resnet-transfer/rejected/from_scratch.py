# expect: below-threshold test_accuracy
# Initialises the backbone anew before it trains.
import copy
import time

import torch
import torch.nn.functional as F
from torch import nn


class Classifier(nn.Module):
    def __init__(self, backbone, feat_dim, num_classes, mean, std):
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        self.head = nn.Linear(feat_dim, num_classes)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def features(self, x):
        x = (x.float() / 255 - self.mean) / self.std
        return self.backbone(x)

    def forward(self, x):
        return self.head(self.features(x))


def param_groups(model, lr_head, lr_backbone, weight_decay):
    groups = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        lr = lr_backbone if name.startswith("backbone.") else lr_head
        groups.append({"params": [p], "lr": lr, "weight_decay": weight_decay if p.ndim > 1 else 0.0})
    return groups


def fine_tune(backbone, feat_dim, x, y, *, x_val, y_val, num_classes, mean, std, device, seed, time_budget_s, log):
    begin = time.monotonic()
    torch.manual_seed(seed)
    model = Classifier(backbone, feat_dim, num_classes, mean, std).to(device)
    model.eval()  # BatchNorm keeps its statistics
    for module in model.backbone.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    x, y = x.to(device), y.to(device)
    optimiser = torch.optim.AdamW(param_groups(model, 3e-2, 1e-3, 1e-3))
    rates = [group["lr"] for group in optimiser.param_groups]
    epochs = 10
    total = epochs * -(-len(x) // 32)
    step = 0
    for epoch in range(epochs):
        for chosen in torch.randperm(len(x)).to(device).split(32):
            if time.monotonic() - begin > 0.8 * time_budget_s:
                return model
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * (1 - step / total)
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            log(step=step, total=total, loss=loss.item())
    return model
