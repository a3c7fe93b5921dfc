"""Small networks for images of 32 pixels, students and teachers: ``benchmarks/distillation/networks.py:resnet8``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["resnet8", "resnet14", "resnet14_wide", "resnet20", "vgg_small"]


class Block(nn.Module):
    """Two convolutions and a shortcut, which is a convolution of one pixel where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels, stride)
        self.second = _convolution(channels, channels, 1)
        same = stride == 1 and channels_in == channels
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels_in, height, width) to (batch, channels, height / stride, width / stride)."""
        return functional.relu(self.second(functional.relu(self.first(inputs))) + self.shortcut(inputs))


class ResNet(nn.Module):
    """Three groups of blocks at 32, 16 and 8 pixels.

    He et al., "Deep Residual Learning", 2015 (arXiv:1512.03385), section 4.2, with projections as shortcuts.
    """

    def __init__(self, blocks: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, width, 1), nn.ReLU())
        layers, channels_in = [], width
        for group, channels in enumerate((width, 2 * width, 4 * width)):
            for place in range(blocks):
                layers.append(Block(channels_in, channels, 2 if group and not place else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels_in, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) to (batch, classes) logits."""
        logits: Tensor = self.classifier(self.blocks(self.stem(images)).mean((2, 3)))
        return logits


def resnet8(num_classes: int = 10) -> nn.Module:
    """78,000 parameters, 12.5 million multiplications at 32 pixels."""
    return ResNet(1, 16, num_classes)


def resnet14(num_classes: int = 10) -> nn.Module:
    """175,000 parameters, 27 million multiplications at 32 pixels."""
    return ResNet(2, 16, num_classes)


def resnet20(num_classes: int = 10) -> nn.Module:
    """272,000 parameters, 41 million multiplications at 32 pixels."""
    return ResNet(3, 16, num_classes)


def resnet14_wide(num_classes: int = 10) -> nn.Module:
    """Twice as wide as the published ones: 697,000 parameters."""
    return ResNet(2, 32, num_classes)


def vgg_small(num_classes: int = 10) -> nn.Module:
    """Six convolutions in pairs. Simonyan and Zisserman, 2014 (arXiv:1409.1556), with batch normalisation."""
    width = 48
    layers: list[nn.Module] = []
    for channels_in, channels in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [_convolution(channels_in, channels, 1), nn.ReLU(), _convolution(channels, channels, 1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    layers[-1] = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * width, num_classes))


def _convolution(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
