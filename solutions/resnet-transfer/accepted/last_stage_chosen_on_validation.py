# A probe by ridge regression in closed form, then the last stage alone is trained; validation accuracy keeps the best.
import time
from copy import deepcopy

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot


class Model(nn.Module):
    def __init__(self, backbone, head, mean, std):
        super().__init__()
        self.backbone, self.head = backbone, head
        scale = 1 / (255 * torch.tensor(std))
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", (-255 * torch.tensor(mean) * scale)[:, None, None])

    def forward(self, images):
        return self.head(self.backbone(images * self.scale + self.shift))


def param_groups(model, lr_head, lr_backbone, weight_decay):
    in_backbone = {id(p) for p in model.backbone.parameters()}
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = []
    for lr, ours in ((lr_backbone, True), (lr_head, False)):
        part = [p for p in trainable if (id(p) in in_backbone) == ours]
        groups.append({"params": [p for p in part if p.dim() >= 2], "lr": lr, "weight_decay": weight_decay})
        groups.append({"params": [p for p in part if p.dim() < 2], "lr": lr, "weight_decay": 0.0})
    return groups


def predict(model, images):
    with torch.no_grad():
        return torch.cat([model(part) for part in images.split(200)])


def ridge(head, features, y, strength=0.3):
    """Least squares on targets of -1 and 1: (F'F + c I) w = F't, with a column of ones for the bias."""
    f = torch.cat([features, torch.ones(len(features), 1, device=features.device)], 1).double()
    targets = 2.0 * one_hot(y, head.out_features).double() - 1
    solved = torch.linalg.solve(f.T @ f + strength * torch.eye(f.shape[1], device=f.device), f.T @ targets)
    with torch.no_grad():
        head.weight.copy_(4 * solved[:-1].T)  # larger than least squares makes them, as cross-entropy likes it
        head.bias.copy_(4 * solved[-1])


def fine_tune(backbone, feat_dim, x, y, *, x_val, y_val, num_classes, mean, std, device, seed, time_budget_s, log):
    end = time.monotonic() + 0.7 * time_budget_s
    generator = torch.Generator().manual_seed(seed)
    model = Model(deepcopy(backbone), nn.Linear(feat_dim, num_classes), mean, std).to(device).eval()
    x, y, x_val, y_val = x.to(device), y.to(device), x_val.to(device), y_val.to(device)
    head, model.head = model.head, nn.Identity()
    features = predict(model, x)
    model.head = head
    ridge(head, features, y)

    last = list(model.backbone.children())[-3:]  # of a ResNet: the last stages, and what comes after them
    model.backbone.requires_grad_(False)
    for module in last:
        module.requires_grad_(True)
    optimiser = torch.optim.Adam(param_groups(model, 1e-3, 5e-4, 0.0))
    best, kept = 0.0, deepcopy(model.state_dict())
    epochs = 6
    for epoch in range(epochs):
        accuracy = (predict(model, x_val).argmax(1) == y_val).float().mean().item()
        if accuracy > best:
            best, kept = accuracy, deepcopy(model.state_dict())
        log(step=epoch, total=epochs, accuracy=accuracy)
        for chosen in torch.randperm(len(x), generator=generator).to(device).split(25):
            if time.monotonic() > end:
                break
            loss = cross_entropy(model(x[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.load_state_dict(kept)
    return model
