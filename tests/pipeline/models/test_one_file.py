"""A pruned network as one file: opened by whoever has PyTorch, taken as weights, and refused where it does not fit."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import edgewright
from pipeline.artifact import sha256_of_file
from pipeline.errors import EdgewrightError, UsageError, WeightsError
from pipeline.models.build import build_network
from pipeline.models.files import save_network
from pipeline.models.one_file import NETWORK_FILE, architecture_in, network_file
from pipeline.models.resolve import resolve_model
from pipeline.models.source import WeightsSource
from pipeline.models.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

_OWN = "net.py"
_FACTORY = """
from torch import nn
def build(num_classes):
    pooled = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*pooled, nn.Linear(8, num_classes))
"""


def _halved(network: nn.Module) -> nn.Module:
    """With half of the channels between the convolutions of its first block."""
    block = network.layer1[0]
    for module, name, places in (
        (block.conv1, "weight", (slice(32),)),
        (block.conv2, "weight", (slice(None), slice(32))),
        *((block.bn1, name, (slice(32),)) for name in ("weight", "bias", "running_mean", "running_var")),
    ):
        tensor = getattr(module, name)
        kept = tensor.detach()[places].clone()
        setattr(module, name, torch.nn.Parameter(kept) if isinstance(tensor, torch.nn.Parameter) else kept)
    block.conv1.out_channels = block.conv2.in_channels = block.bn1.num_features = 32
    return network.eval()


@pytest.fixture
def pruned(tmp_path: Path) -> tuple[Path, nn.Module]:
    source = resolve_model("resnet18")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _halved(build_network(source, classes=7))
    (folder := tmp_path / "artifact").mkdir()
    save_network(network, source, folder, classes=7)
    file = tmp_path / NETWORK_FILE
    file.write_bytes(network_file(folder))
    return file, network


def _as_weights(file: Path) -> WeightsSource:
    return WeightsSource(origin="file", file=file, file_sha256=sha256_of_file(file))


def test_a_pruned_network_is_opened_by_its_file_alone(pruned: tuple[Path, nn.Module]) -> None:
    file, network = pruned
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    opened = edgewright.network(file)

    assert not opened.training
    assert opened.layer1[0].conv1.out_channels == 32
    torch.testing.assert_close(opened(images), network(images), rtol=0, atol=0)


def test_other_programs_read_its_tensors(pruned: tuple[Path, nn.Module]) -> None:
    file, network = pruned
    with safe_open(file, "pt") as opened:
        assert set(opened.keys()) == set(network.state_dict())
        assert torch.equal(opened.get_tensor("fc.weight"), network.fc.weight)


def test_it_is_taken_as_weights_of_the_network_that_it_was_pruned_from(pruned: tuple[Path, nn.Module]) -> None:
    file, network = pruned
    again = build_network(resolve_model("resnet18"), classes=7)

    load_weights(again, _as_weights(file))

    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }


def test_data_of_other_classes_are_told_as_such(pruned: tuple[Path, nn.Module]) -> None:
    again = build_network(resolve_model("resnet18"), classes=4)
    with pytest.raises(WeightsError, match="for another number of classes") as raised:
        load_weights(again, _as_weights(pruned[0]), classes=4)
    assert (raised.value.got, again.fc.out_features) == ("7 classes", 4)


def test_it_does_not_fit_another_network(pruned: tuple[Path, nn.Module]) -> None:
    file, _ = pruned
    with pytest.raises(WeightsError, match="these weights are of another network") as raised:
        load_weights(build_network(resolve_model("mobilenet_v2"), classes=7), _as_weights(file))
    assert raised.value.got is not None
    assert raised.value.got.startswith("resnet18: the builder makes no ")


def test_a_network_of_one_s_own_needs_its_factory(tmp_path: Path) -> None:
    (tmp_path / _OWN).write_text(_FACTORY)
    source = resolve_model(f"{tmp_path / _OWN}:build")
    (folder := tmp_path / "artifact").mkdir()
    network = build_network(source, classes=4).eval()
    save_network(network, source, folder, classes=4)
    (file := tmp_path / NETWORK_FILE).write_bytes(network_file(folder))
    image = torch.ones(1, 3, 8, 8)

    with pytest.raises(UsageError, match=re.escape("path/to/file.py:build")):
        edgewright.network(file)
    opened = edgewright.network(file, f"{tmp_path / _OWN}:build")

    torch.testing.assert_close(opened(image), network(image), rtol=0, atol=0)


def _claiming(file: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file with another architecture in its header."""
    with safe_open(file, "pt") as opened:
        document = json.loads(opened.metadata()["edgewright-network"])
    change(document)
    save_file(load_file(file), file, {"edgewright-network": json.dumps(document)})
    return file


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["tensors"]["fc.weight"].update(shape=[10**9, 10**9]),
        lambda told: told["tensors"]["fc.weight"].update(shape=[7, 511]),
        lambda told: told["tensors"]["fc.weight"].update(dtype="load"),
        lambda told: told["tensors"]["fc.weight"].update(dtype="float16"),
        lambda told: told["tensors"]["fc.weight"].update(dtype="bool"),
        lambda told: told["modules"].setdefault("", {}).update(layer1=3),
        lambda told: told["tensors"].pop("fc.weight"),
        lambda told: told["modules"]["fc"].update(in_features="many"),
        lambda told: told["modules"].update({"no.such": {"in_features": 1}}),
        lambda told: told["forms"].update(fc="nothing known") if "forms" in told else told.update(forms={"fc": "x"}),
        lambda told: told.update(classes=10**12),
        lambda told: told.pop("builder"),
        lambda told: told.update(schema="edgewright.network/2"),
        lambda told: told.update(more=1),
    ],
)
def test_an_architecture_that_cannot_be_is_one_error(
    pruned: tuple[Path, nn.Module], change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(EdgewrightError) as raised:
        edgewright.network(_claiming(pruned[0], change))
    assert raised.value.exit_code in {2, 6}


def test_a_file_of_another_kind_names_no_network(tmp_path: Path, pruned: tuple[Path, nn.Module]) -> None:
    torch.save(pruned[1].state_dict(), tmp_path / "w.pth")
    assert architecture_in(tmp_path / "w.pth") is None
    with pytest.raises(UsageError, match="does not say which network"):
        edgewright.network(tmp_path / "w.pth")
    (tmp_path / "cut.safetensors").write_bytes(pruned[0].read_bytes()[:100])
    with pytest.raises(EdgewrightError, match="damaged"):
        edgewright.network(tmp_path / "cut.safetensors")
