"""Batch norms that were folded into other layers: what they are given was never normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.models.architecture import architecture_of, set_architecture
from pipeline.models.build import build_network
from pipeline.models.folded_norms import FoldedNorm2d, keep_folded
from pipeline.models.resolve import resolve_model
from pipeline.training.batch_norm import reestimate_batch_norm

if TYPE_CHECKING:
    from pathlib import Path


def _network(*, offset: float = 0.5, mean: float = 0.0, variance: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    nn.init.constant_(norm.bias, offset)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(mean)
    norm.running_var.fill_(variance)
    return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("variance", [1.0, 1 - 1e-5])
def test_what_was_folded_is_neither_measured_anew_nor_normalises_in_training(variance: float) -> None:
    network = _network(variance=variance)
    image = torch.randn(4, 3, 16, 16) * 5 + 3
    before = network.eval()(image)

    assert keep_folded(network) == 1
    reestimate_batch_norm(network, (), batch_size=4)  # type: ignore[arg-type] # nothing is looked at
    torch.testing.assert_close(network(image), before)
    torch.testing.assert_close(network.train()(image), before)
    network(image).sum().backward()
    assert network[1].bias.grad is not None


@pytest.mark.parametrize("fields", [{"offset": 0.0}, {"mean": 0.1}, {"variance": 0.9}])
def test_what_never_learned_or_has_statistics_normalises(fields: dict[str, float]) -> None:
    assert keep_folded(_network(**fields)) == 0


def test_a_stored_network_has_the_same_norms(tiny_file: Path) -> None:
    source = resolve_model(f"{tiny_file}:tiny")
    network = build_network(source, classes=3)
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    nn.init.ones_(network.get_submodule(norms[0]).bias)
    assert keep_folded(network) == 1

    document = architecture_of(network, source, classes=3)
    again = build_network(source, classes=3)
    set_architecture(again, document, "a test")
    assert [name for name, module in again.named_modules() if isinstance(module, FoldedNorm2d)] == norms[:1]
