"""A network is two files and comes back as it was, also pruned."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import IntegrityError
from pipeline.models.build import build_network
from pipeline.models.files import ARCHITECTURE, WEIGHTS, count_parameters, load_network, save_network
from pipeline.models.resolve import resolve_model
from pipeline.models.source import ModelSource

RESNET18 = ModelSource(origin="torchvision", name="resnet18")


def _pruned(source: ModelSource) -> nn.Module:
    """A network with random statistics and half of its channels, in evaluation mode."""
    import torch_pruning

    torch.manual_seed(0)
    network = build_network(source, classes=10)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    network.eval()
    head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parameters outside of layers, such as ConvNeXt's layer scale
        pruner = torch_pruning.pruner.MetaPruner(
            network,
            torch.randn(1, 3, 32, 32),
            importance=torch_pruning.importance.MagnitudeImportance(p=2),
            pruning_ratio=0.5,
            ignored_layers=[head],
            round_to=4,
        )
        pruner.step()
    return network


def _outputs(network: nn.Module, *, size: int = 32) -> Tensor:
    with torch.no_grad():
        return network(torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1)))


def _bytes(folder: Path) -> tuple[bytes, bytes]:
    return (folder / ARCHITECTURE).read_bytes(), (folder / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned resnet18, stored; copy it before changing it."""
    folder = tmp_path_factory.mktemp("stored")
    save_network(_pruned(RESNET18), RESNET18, folder, classes=10)
    return folder


@pytest.fixture
def copied(stored: Path, tmp_path: Path) -> Path:
    for path in stored.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",
        "mnasnet0_5",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "mobilenet_v2",
                "densenet121",
                "efficientnet_b0",
                "regnet_y_400mf",
                "vgg11_bn",
                "convnext_tiny",
                "resnet50",
                "googlenet",
                "timm/convnext_atto",
            )
        ),
    ],
)
def test_a_pruned_network_comes_back_with_equal_outputs_and_equal_files(name: str, tmp_path: Path) -> None:
    source = resolve_model(name)
    network = _pruned(source)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    save_network(network, source, tmp_path / "first", classes=10)
    loaded = load_network(tmp_path / "first", source)
    assert count_parameters(loaded) < 0.6 * count_parameters(build_network(source, classes=10))
    assert torch.equal(_outputs(loaded), _outputs(network))
    save_network(loaded, source, tmp_path / "second", classes=10)
    assert _bytes(tmp_path / "first") == _bytes(tmp_path / "second")


def test_a_loaded_pruned_network_trains(stored: Path) -> None:
    network = load_network(stored, RESNET18).train()
    network(torch.randn(4, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_files_hold_no_pickle_and_no_place(stored: Path) -> None:
    assert sorted(path.name for path in stored.iterdir()) == [ARCHITECTURE, WEIGHTS]
    document = json.loads((stored / ARCHITECTURE).read_text(encoding="utf-8"))
    assert document["schema"] == "edgewright.network/1"
    assert "forms" not in document
    assert document["builder"] == {"origin": "torchvision", "name": "resnet18", "file_sha256": None}
    assert document["tensors"]["conv1.weight"] == {"shape": [32, 3, 7, 7], "dtype": "float32"}
    assert document["modules"]["conv1"]["out_channels"] == 32


def test_a_dense_network_in_training_mode_comes_back_in_evaluation_mode(tmp_path: Path) -> None:
    network = build_network(RESNET18, classes=4)
    save_network(network, RESNET18, tmp_path, classes=4)
    loaded = load_network(tmp_path, RESNET18)
    assert not loaded.training
    assert torch.equal(_outputs(loaded), _outputs(network.eval()))


_OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(torch.ones(4))
        self.heads = 2
        self.register_buffer("offset", torch.zeros(4), persistent=True)

    def forward(self, x):
        return self.second(self.first(x)) * self.scale + self.offset + self.heads

def net():
    return Net()
"""


def test_parameters_outside_of_layers_tied_weights_and_whole_numbers_come_back(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(_OWN, encoding="utf-8")
    source = resolve_model(f"{tmp_path}/nets.py:net")
    network = build_network(source, classes=2).eval()
    smaller = nn.Parameter(torch.randn(2, 2))
    for layer in (network.first, network.second):
        layer.weight, layer.bias = smaller, nn.Parameter(torch.randn(2))
        layer.in_features = layer.out_features = 2
    network.scale, network.offset, network.heads = nn.Parameter(torch.randn(2)), torch.randn(2), 1
    (tmp_path / "stored").mkdir()
    save_network(network, source, tmp_path / "stored", classes=2)
    loaded = load_network(tmp_path / "stored", source)
    x = torch.randn(3, 2)
    assert torch.equal(loaded(x), network(x))
    assert loaded.first.weight is loaded.second.weight
    assert (loaded.heads, loaded.first.in_features) == (1, 2)


def test_half_precision_stays_half(tmp_path: Path) -> None:
    save_network(build_network(RESNET18, classes=4).half(), RESNET18, tmp_path, classes=4)
    assert load_network(tmp_path, RESNET18).fc.weight.dtype == torch.float16


def test_another_builder_is_refused(stored: Path) -> None:
    with pytest.raises(IntegrityError, match="built by another builder"):
        load_network(stored, ModelSource(origin="torchvision", name="resnet34"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (ARCHITECTURE, b"{", "the architecture cannot be read"),
        (ARCHITECTURE, b'{"schema": "other/1"}', "not an architecture"),
        (WEIGHTS, b"\x01", "the weights cannot be read"),
    ],
)
def test_damaged_files_are_refused(copied: Path, name: str, content: bytes, message: str) -> None:
    (copied / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=message):
        load_network(copied, RESNET18)


@pytest.mark.parametrize(
    ("table", "name"), [("tensors", "nowhere.weight"), ("tensors", "conv1.bias"), ("modules", "nowhere")]
)
def test_a_name_the_builder_does_not_make_is_refused(copied: Path, table: str, name: str) -> None:
    document = json.loads((copied / ARCHITECTURE).read_text(encoding="utf-8"))
    document[table][name] = {"shape": [1], "dtype": "float32"} if table == "tensors" else {"groups": 1}
    (copied / ARCHITECTURE).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(IntegrityError, match="the builder makes no"):
        load_network(copied, RESNET18)


def test_weights_of_other_shapes_than_the_architecture_are_refused(copied: Path) -> None:
    document = json.loads((copied / ARCHITECTURE).read_text(encoding="utf-8"))
    document["tensors"]["fc.bias"]["shape"] = [11]
    (copied / ARCHITECTURE).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(IntegrityError, match="weights and architecture differ"):
        load_network(copied, RESNET18)
