"""Counting, against torchvision's published figures and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import get_model_weights

from pipeline.models.build import build_network
from pipeline.models.count import count_macs, count_parameters
from pipeline.models.source import ModelSource


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_32"])
def test_parameters_and_macs_are_torchvisions_published_ones(name: str) -> None:
    meta = get_model_weights(name).DEFAULT.meta
    network = build_network(ModelSource(origin="torchvision", name=name), classes=1000)
    assert count_parameters(network) == meta["num_params"]
    assert count_macs(network, (1, 3, 224, 224)) / 1e9 == pytest.approx(meta["_ops"], abs=6e-4)


def test_a_convolution_counts_by_hand() -> None:
    layer = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    assert count_macs(layer, (1, 4, 5, 7)) == 5 * 7 * 6 * (4 // 2) * 9


def test_matrix_products_in_forward_count_and_a_batch_counts_fully() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.transpose(1, 2)

    assert count_macs(Net(), (2, 3, 5)) == 2 * 3 * 3 * 5


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_recurrence_counts_by_hand(kind: type[nn.LSTM | nn.GRU]) -> None:
    layer = kind(32, 24, num_layers=2, bidirectional=True, batch_first=True)
    gates = 4 if kind is nn.LSTM else 3
    first, second = gates * 24 * (32 + 24), gates * 24 * (2 * 24 + 24)
    assert count_macs(layer, (3, 16, 32)) == 3 * 16 * 2 * (first + second)


def test_a_shared_parameter_counts_once_and_a_buffer_not_at_all() -> None:
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer, nn.BatchNorm1d(3, affine=False))) == 12


def test_counting_leaves_mode_and_statistics_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    network[0].eval()
    count_macs(network, (1, 3, 8, 8))
    assert [module.training for module in network] == [False, True]
    assert network[1].num_batches_tracked == 0
