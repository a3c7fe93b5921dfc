"""Convolutions to one pixel as products: the same outputs and gradients, and only these."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.training.one_pixel import OnePixelProducts

ONE_PIXEL: dict[str, tuple[int | tuple[int, int], dict[str, Any]]] = {
    "padding-around-one-pixel": (1, {"kernel_size": 3, "padding": 1}),
    "a-stride-to-the-last-pixel": (2, {"kernel_size": 3, "stride": 2, "padding": 1}),
    "one-tap": (1, {"kernel_size": 1}),
    "one-tap-of-four-pixels": (2, {"kernel_size": 1, "stride": 2}),
    "all-pixels": (4, {"kernel_size": 4}),
    "sides-that-differ": ((1, 3), {"kernel_size": (3, 3), "padding": (1, 0)}),
    "padding-alone": (1, {"kernel_size": 1, "stride": 4, "padding": 1}),
}


def _gradients(layer: nn.Conv2d, images: Tensor) -> tuple[Tensor, ...]:
    images = images.detach().requires_grad_()
    outputs = layer(images)
    loss = (outputs * torch.arange(outputs.numel(), dtype=outputs.dtype).view_as(outputs)).sum()
    assert layer.bias is not None
    return (outputs, *torch.autograd.grad(loss, (images, layer.weight, layer.bias)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize(("size", "options"), ONE_PIXEL.values(), ids=ONE_PIXEL)
def test_outputs_and_gradients_are_the_convolutions(
    size: int | tuple[int, int], options: dict[str, Any], layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    height, width = (size, size) if isinstance(size, int) else size
    images = torch.randn(3, 5, height, width, dtype=torch.float64, generator=generator).to(memory_format=layout)
    layer = nn.Conv2d(5, 7, **options).double().to(memory_format=layout)  # type: ignore[call-overload]
    expected = _gradients(layer, images)
    with OnePixelProducts():
        found = _gradients(layer, images)
    assert "Convolution" in expected[0].grad_fn.name()  # type: ignore[union-attr]
    assert "Convolution" not in found[0].grad_fn.name()  # type: ignore[union-attr]
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


OTHERS: dict[str, tuple[int, dict[str, Any]]] = {
    "more-pixels": (4, {"kernel_size": 3, "padding": 1}),
    "groups": (1, {"kernel_size": 3, "padding": 1, "groups": 2}),
    "dilated": (3, {"kernel_size": 3, "padding": 1, "dilation": 2}),
    "padding-by-name": (1, {"kernel_size": 3, "padding": "same"}),
}


@pytest.mark.parametrize(("size", "options"), OTHERS.values(), ids=OTHERS)
def test_others_are_left_alone(size: int, options: dict[str, Any]) -> None:
    images = torch.randn(2, 4, size, size, requires_grad=True)
    layer = nn.Conv2d(4, 6, **options)
    with OnePixelProducts():
        found = layer(images)
    assert "Convolution" in found.grad_fn.name()
    assert found.equal(layer(images))


def test_words_of_the_call_may_have_names() -> None:
    images, weight = torch.randn(2, 4, 1, 1), torch.randn(6, 4, 3, 3)
    with OnePixelProducts():
        found = functional.conv2d(images, weight=weight, padding=1, stride=(2,))
    torch.testing.assert_close(found, functional.conv2d(images, weight, padding=1, stride=2))


def test_an_image_without_a_batch_is_left_alone() -> None:
    with OnePixelProducts():
        assert functional.conv2d(torch.randn(4, 1, 1), torch.randn(6, 4, 3, 3), padding=1).shape == (6, 1, 1)
