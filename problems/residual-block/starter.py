"""The basic block of ResNet-18 and ResNet-34."""

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)).

    Layers: conv1, bn1, conv2, bn2, and downsample (an nn.Sequential, or None where the shortcut is x).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W)   ->   (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        raise NotImplementedError
