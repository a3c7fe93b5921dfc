"""Pooling from a pyramid gives what torchvision's MultiScaleRoIAlign gives, whatever does the pooling."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, roi_align

from pipeline.tasks.detection.deployable.pooling import PyramidPooling, pooled_by_products


def _boxes(count: int, height: int, width: int) -> torch.Tensor:
    """Of all sizes, some at the border, some empty, some the whole image."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.rand(count, 4, generator=generator) * torch.tensor([width, height, width, height])
    ends[::5, 2:] = ends[::5, :2] + 3  # small ones, which belong to the finest level
    boxes = torch.cat([torch.minimum(ends[:, :2], ends[:, 2:]), torch.maximum(ends[:, :2], ends[:, 2:])], dim=1)
    boxes = torch.minimum(boxes, torch.tensor([width, height, width, height], dtype=torch.float32))
    boxes[0] = torch.tensor([0, 0, width, height])
    boxes[1] = torch.tensor([width - 1.0, height - 1.0, width, height])
    boxes[2] = torch.tensor([5.0, 5, 5, 5])
    return boxes


@pytest.mark.parametrize("side", [(7, 7), (3, 5)])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_matrix_products_pool_as_roi_align_does(side: tuple[int, int], samples: int) -> None:
    feature = torch.randn(1, 6, 12, 17, generator=torch.Generator().manual_seed(1))
    boxes = _boxes(80, 12 * 8, 17 * 8)
    places = torch.cat([torch.zeros(80, 1), boxes], dim=1)
    wanted = roi_align(feature, places, side, spatial_scale=1 / 8, sampling_ratio=samples)
    torch.testing.assert_close(pooled_by_products(feature, boxes / 8, side, samples), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(96, 128), (352, 320)], ids=["products alone", "an operator for the largest map"])
@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (8, 16), (32, 32), (16,)], ids=str)
def test_every_box_is_pooled_from_its_level(strides: tuple[int, ...], size: tuple[int, int]) -> None:
    height, width = size
    generator = torch.Generator().manual_seed(0)
    features = OrderedDict(
        (str(number), torch.randn(1, 4, height // stride, width // stride, generator=generator))
        for number, stride in enumerate(strides)
    )
    features["pool"] = torch.randn(1, 4, 2, 2)  # which is not pooled from
    names = [str(number) for number in range(4)]
    eager = MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2, canonical_scale=60)
    boxes = _boxes(120, height, width)
    wanted = eager(features, [boxes], [size])
    found = PyramidPooling(eager, features, size)(features, boxes)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
