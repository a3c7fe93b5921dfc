"""Every torchvision family: pruned, rebuilt from its record, exported, the same answers in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torchvision
from torchvision.models import get_model_builder, list_models

from benchmarks.prunable_families import FAMILIES, Family, main, prune_family, quantise
from pipeline.models.names import torchvision_detectors

if TYPE_CHECKING:
    from pathlib import Path

_QUICK = {"resnet18", "squeezenet1_1"}
_ALL = [
    pytest.param(family, id=family.name, marks=() if family.name in _QUICK else pytest.mark.slow) for family in FAMILIES
]
_BLOCKS = [
    param for param in _ALL if param.id in {"resnet18", "efficientnet_b0", "regnet_y_400mf", "swin_t", "vit_b_32"}
]


def test_no_family_is_missing() -> None:
    names = (*list_models(module=torchvision.models), *torchvision_detectors())
    there = {get_model_builder(name).__module__ for name in names}
    assert {get_model_builder(family.name).__module__ for family in FAMILIES} == there


@pytest.mark.parametrize("family", _ALL)
def test_it_is_pruned_rebuilt_exported_and_quantised(family: Family, tmp_path: Path) -> None:
    pruned = prune_family(family, tmp_path)

    assert pruned.params[1] < 0.6 * pruned.params[0]
    assert pruned.macs[1] < 0.62 * pruned.macs[0]
    assert pruned.difference == 0
    assert pruned.onnx_difference <= 1e-4
    quantised = quantise(tmp_path, family)
    assert 0 < quantised.int8 <= quantised.total
    assert quantised.noise < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("family", _BLOCKS)
def test_it_is_rebuilt_and_exported_without_some_of_its_blocks(family: Family, tmp_path: Path) -> None:
    pruned = prune_family(family, tmp_path, ratio=0, blocks=2)

    assert pruned.blocks >= 2
    assert pruned.params[1] < pruned.params[0]
    assert pruned.difference == 0
    assert pruned.onnx_difference <= 1e-4


def test_a_member_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["resnet81"])
    assert raised.value.code == 2
    assert "no such member: resnet81; there are alexnet, " in capsys.readouterr().err
