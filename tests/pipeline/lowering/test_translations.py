"""torch's translations are read once a process, and exports come out as ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from pipeline.lowering.export import OnnxFromTorch
from pipeline.lowering.translations import translations_read_once

if TYPE_CHECKING:
    import pytest


def test_within_it_a_table_is_read_once_for_each_operator_set_and_behind_it_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    usual = classmethod(lambda _, opset_version: read.append(opset_version) or [opset_version])
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", usual)
    with translations_read_once():
        tables = [ONNXRegistry().from_torchlib(opset_version=18) for _ in range(2)]
    with translations_read_once():
        tables += [ONNXRegistry.from_torchlib(opset_version=opset) for opset in (18, 20)]
    assert read == [18, 20]
    assert tables == [[18], [18], [18], [20]]
    assert vars(ONNXRegistry)["from_torchlib"] is usual


def test_an_export_leaves_the_table_as_it_was() -> None:
    with translations_read_once():
        table = ONNXRegistry.from_torchlib(opset_version=18)
    before = {target: list(found) for target, found in table.functions.items()}
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    made = [
        OnnxFromTorch(network, torch.zeros(1, 3, 8, 8), exporter="dynamo", opset=18, outputs=("output",))
        for _ in range(2)
    ]
    assert made[0].SerializeToString(deterministic=True) == made[1].SerializeToString(deterministic=True)
    assert {target: list(found) for target, found in table.functions.items()} == before


def test_where_torch_has_no_such_table_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ONNXRegistry, "from_torchlib")
    with translations_read_once():
        assert not hasattr(ONNXRegistry, "from_torchlib")
