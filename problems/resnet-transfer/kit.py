"""The architectures of this problem's backbones. `import kit` works in an answer and beside test_examples.py."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)): see the problem residual-block.

    x: (N, in_channels, H, W)   ->   (N, out_channels, H / stride, W / stride), rounded up
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                                            nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet(nn.Module):
    """A residual network of basic blocks (He et al. 2015) whose state dict has torchvision's names and shapes.

    x: (N, 3, H, W) normalised floats, of any size   ->   (N, feat_dim) features, or (N, classes) logits with a head

    widths, blocks: channels and number of blocks of each stage; each stage but the first halves the side.
    input_size: side of the images it was trained on. At 32 pixels the stem keeps the side (3x3, stride 1); the one for
    ImageNet, 7x7 with stride 2 and a pooling, takes a quarter of it.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], *, input_size: int,
                 classes: int | None = None) -> None:
        super().__init__()
        self.input_size, self.feat_dim, self.stages = input_size, widths[-1], len(widths)
        if input_size <= 32:
            self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if input_size > 32 else nn.Identity()
        before = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
            strides = [1 if stage == 1 else 2, *[1] * (count - 1)]
            layers = [BasicBlock(before if i == 0 else width, width, stride) for i, stride in enumerate(strides)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            before = width
        self.fc = nn.Identity() if classes is None else nn.Linear(self.feat_dim, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)  # (N, width, H', W')
        features: Tensor = self.fc(x.mean((2, 3)))
        return features


def resnet8(classes: int | None = None) -> ResNet:
    """For 32 x 32 images; 64 features. 78,042 parameters with a head for ten classes."""
    return ResNet((16, 32, 64), (1, 1, 1), input_size=32, classes=classes)


def resnet18(classes: int | None = None) -> ResNet:
    """For 224 x 224 images; 512 features. 11,689,512 parameters with ImageNet's head; torchvision's weights fit."""
    return ResNet((64, 128, 256, 512), (2, 2, 2, 2), input_size=224, classes=classes)


ARCHITECTURES = {"resnet8": resnet8, "resnet18": resnet18}


def backbone(architecture: str, state: dict[str, Tensor]) -> ResNet:
    """The network without its head, in eval mode, with the weights of a state dict (which may have a head)."""
    model = ARCHITECTURES[architecture]()
    model.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    return model.eval()


class Spy(nn.Module):
    """A small backbone that notes down what it is given. Copies write into the same list.

    Each call adds {"images": N, "mean": of each channel, "square": mean square of each channel, "updated": bool}, where
    the figures are of the middle of the images, which no crop reaches, and updated tells whether the call has changed
    the running statistics of BatchNorm.
    """

    calls: ClassVar[list[dict[str, Any]]] = []
    MOST = 5000

    def __init__(self, feat_dim: int = 16) -> None:
        super().__init__()
        self.input_size, self.feat_dim = 32, feat_dim
        self.conv = nn.Conv2d(3, feat_dim, 4, stride=4, bias=False)
        self.bn = nn.BatchNorm2d(feat_dim)
        Spy.calls.clear()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        before = self._statistics()
        features = torch.relu(self.bn(self.conv(x))).mean((2, 3))
        if len(Spy.calls) < self.MOST:
            height, width = x.shape[2:]
            middle = x.detach()[:, :, height // 4:-(height // 4), width // 4:-(width // 4)].double()
            Spy.calls.append({"images": len(x), "mean": middle.mean((0, 2, 3)).tolist(),
                              "square": middle.square().mean((0, 2, 3)).tolist(),
                              "updated": not torch.equal(before, self._statistics())})
        return features

    def _statistics(self) -> Tensor:
        found = [value.detach().flatten().float() for name, value in self.bn.named_buffers() if "running" in name]
        return torch.cat(found) if found else torch.empty(0)


class Small(nn.Module):
    """A model to try param_groups on: `backbone`, `head`, and a `neck` between them. It computes nothing.

    Every parameter is filled with a number of its own, so that it is known again wherever it goes: see `number`.
    frozen: how the names of the parameters begin that do not train.
    """

    def __init__(self, frozen: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.backbone = nn.Sequential()
        self.backbone.add_module("conv1", nn.Conv2d(3, 4, 3))
        self.backbone.add_module("bn1", nn.BatchNorm2d(4))
        self.backbone.add_module("layer1", nn.Sequential(BasicBlock(4, 6, stride=2)))
        self.backbone.add_module("head_conv", nn.Conv2d(6, 6, 1))  # part of the backbone, whatever it is called
        self.neck = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5))
        self.head = nn.Linear(5, 2)
        with torch.no_grad():
            for i, (name, parameter) in enumerate(self.named_parameters(), start=1):
                parameter.fill_(i)
                parameter.requires_grad_(not name.startswith(frozen) if frozen else True)
