"""Small transformers of torchvision's four kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torchvision.models.maxvit import MaxVit
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
from torchvision.models.vision_transformer import VisionTransformer

if TYPE_CHECKING:
    from collections.abc import Callable

_SWIN = {
    "patch_size": [2, 2],
    "embed_dim": 32,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": [3, 3],
    "num_classes": 3,
}
_MAKE: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: VisionTransformer(
        image_size=16, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=3
    ),
    "swin": lambda: SwinTransformer(**_SWIN),
    "swin-v2": lambda: SwinTransformer(**_SWIN, block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2),
    "maxvit": lambda: MaxVit(
        input_size=(32, 32),
        stem_channels=16,
        partition_size=4,
        block_channels=[32],
        block_layers=[2],
        head_dim=8,
        stochastic_depth_prob=0.0,
        num_classes=3,
    ),
}


@pytest.fixture(params=sorted(_MAKE))
def transformer(request: pytest.FixtureRequest) -> tuple[nn.Module, torch.Tensor]:
    """A network in which every weight counts, and a batch for it: windows are shifted and padded in it."""
    torch.manual_seed(0)
    network = _MAKE[request.param]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    size = {"vit": 16, "maxvit": 32}.get(request.param, 14)
    return network, torch.randn(2, 3, size, size)
