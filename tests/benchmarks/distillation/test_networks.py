"""Small networks to distill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.distillation.networks import resnet8, resnet14_wide, resnet20, vgg_small

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@pytest.mark.parametrize(
    ("factory", "parameters"),
    [(resnet8, 78_042), (resnet20, 272_474), (resnet14_wide, 696_618), (vgg_small, 647_386)],
)
def test_they_are_as_large_as_they_say_and_answer_for_each_class(
    factory: Callable[[int], nn.Module], parameters: int
) -> None:
    network = factory(10).eval()
    assert sum(one.numel() for one in network.parameters()) == parameters
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
