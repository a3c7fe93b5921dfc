"""Convolutions to one pixel as products: the same outputs and gradients, and only these."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.training.one_pixel import one_pixel_products

ONE_PIXEL: dict[str, tuple[int | tuple[int, int], dict[str, Any]]] = {
    "padding-around-one-pixel": (1, {"kernel_size": 3, "padding": 1}),
    "a-stride-to-the-last-pixel": (2, {"kernel_size": 3, "stride": 2, "padding": 1}),
    "one-tap": (1, {"kernel_size": 1}),
    "one-tap-of-four-pixels": (2, {"kernel_size": 1, "stride": 2}),
    "all-pixels": (4, {"kernel_size": 4}),
    "sides-that-differ": ((1, 3), {"kernel_size": (3, 3), "padding": (1, 0)}),
    "padding-alone": (1, {"kernel_size": 1, "stride": 4, "padding": 1}),
    "a-window-within-the-padding": (1, {"kernel_size": 1, "stride": 7, "padding": 2}),
}


def _gradients(layer: nn.Conv2d, images: Tensor) -> tuple[Tensor, ...]:
    images = images.detach().requires_grad_()
    outputs = layer(images)
    loss = (outputs * torch.arange(outputs.numel(), dtype=outputs.dtype).view_as(outputs)).sum()
    assert layer.bias is not None
    return (outputs, *torch.autograd.grad(loss, (images, layer.weight, layer.bias)))


def _is_a_convolution(outputs: Tensor) -> bool:
    assert outputs.grad_fn is not None
    return "Convolution" in outputs.grad_fn.name()


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
    with one_pixel_products(layer):
        found = _gradients(layer, images)
    assert _is_a_convolution(expected[0])
    assert not _is_a_convolution(found[0])
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


OTHERS: dict[str, tuple[int, dict[str, Any]]] = {
    "more-pixels": (4, {"kernel_size": 3, "padding": 1}),
    "groups": (1, {"kernel_size": 3, "padding": 1, "groups": 2}),
    "dilated": (3, {"kernel_size": 3, "padding": 1, "dilation": 2}),
    "padding-by-name": (1, {"kernel_size": 3, "padding": "same"}),
    "padded-with-copies": (2, {"kernel_size": 3, "stride": 2, "padding": 1, "padding_mode": "replicate"}),
}


@pytest.mark.parametrize(("size", "options"), OTHERS.values(), ids=OTHERS)
def test_others_are_left_alone(size: int, options: dict[str, Any]) -> None:
    images = torch.randn(2, 4, size, size, requires_grad=True)
    layer = nn.Conv2d(4, 6, **options)
    with one_pixel_products(layer):
        found = layer(images)
    assert _is_a_convolution(found)
    assert found.equal(layer(images))


class _Own(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - its name there
        return super().forward(input) + 1


def test_a_class_of_ones_own_is_left_alone() -> None:
    layer, images = _Own(4, 6, 1), torch.randn(2, 4, 1, 1)
    expected = layer(images)
    with one_pixel_products(layer):
        assert layer(images).equal(expected)


def test_afterwards_and_after_an_error_the_network_is_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
    images = torch.randn(2, 4, 1, 1)
    with pytest.raises(RuntimeError, match="to have 4 channels"), one_pixel_products(network):
        network(torch.randn(2, 5, 1, 1))
    assert "forward" not in vars(network[0])
    assert _is_a_convolution(network[0](images))


def test_an_image_without_a_batch_is_left_to_the_layer() -> None:
    layer = nn.Conv2d(4, 6, 3, padding=1)
    with one_pixel_products(layer):
        assert layer(torch.randn(4, 1, 1)).shape == (6, 1, 1)


def test_a_block_that_is_computed_again_in_the_backward_pass_finds_the_same() -> None:
    block = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 1))
    again, images = deepcopy(block), torch.randn(2, 4, 1, 1)
    block(images).sum().backward()
    with one_pixel_products(again):
        checkpoint(again, images, use_reentrant=False).sum().backward()
    for one, other in zip(block.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
