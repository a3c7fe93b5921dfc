"""Building networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.build import build_network, check_outputs
from pipeline.models.resolve import resolve_model

HEADER = "import torch\nfrom torch import nn\n"


def _from_file(tmp_path: Path, text: str, *, classes: int = 3) -> nn.Module:
    (tmp_path / "nets.py").write_text(HEADER + text, encoding="utf-8")
    return build_network(resolve_model(f"{tmp_path}/nets.py:net"), classes=classes)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1", "googlenet", "timm/resnet18"])
def test_a_network_by_name_has_one_output_per_class(name: str) -> None:
    network = build_network(resolve_model(name), classes=7)
    check_outputs(network, (2, 3, 64, 64), classes=7)
    assert network.training


@pytest.mark.parametrize(
    "text",
    [
        "def net(num_classes):\n    return nn.Linear(2, num_classes)",
        "def net(width=2, *, num_classes=10):\n    return nn.Linear(width, num_classes)",
        "def net(**options):\n    return nn.Linear(2, options['num_classes'])",
        "class net(nn.Linear):\n    def __init__(self, num_classes):\n        super().__init__(2, num_classes)",
        "def net():\n    return nn.Linear(2, 3)",
    ],
)
def test_a_factory_gets_num_classes_when_it_takes_it(tmp_path: Path, text: str) -> None:
    network = _from_file(tmp_path, text)
    assert isinstance(network, nn.Linear)
    assert network.out_features == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def net():\n    return {'state_dict': 1}", "the factory returned no network"),
        ("def net(depth):\n    return nn.Linear(depth, 1)", "missing 1 required positional argument"),
        ("def net():\n    return nn.Linear(-1, torch)", r"net\(\) fails"),
        ("def net():\n    raise SystemExit", r"net\(\) fails\n  got: SystemExit: "),
    ],
)
def test_a_factory_that_does_not_work_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _from_file(tmp_path, text)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))", "learn their sizes from a first image"),
        ("nn.Sequential(torch.jit.script(nn.Linear(2, num_classes)))", "compiled TorchScript"),
    ],
)
def test_layers_that_no_stage_could_rebuild_are_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        _from_file(tmp_path, f"def net(num_classes):\n    return {body}")
    assert raised.value.fix is not None


def test_a_network_in_16_bits_is_taken_in_32(tmp_path: Path) -> None:
    network = _from_file(tmp_path, "def net(num_classes):\n    return nn.Linear(2, num_classes).half()")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = _from_file(tmp_path / "a", "def net():\n    return nn.Linear(1, 1)")
    second = _from_file(tmp_path / "b", "def net():\n    return nn.Linear(2, 2)")
    assert (first.in_features, second.in_features) == (1, 2)


def test_a_network_for_other_classes_is_refused_before_it_is_trained() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    check_outputs(network, (1, 3, 2, 2), classes=5)
    with pytest.raises(UsageError, match="does not answer with 4 classes"):
        check_outputs(network, (1, 3, 2, 2), classes=4)


def test_a_network_for_another_size_is_refused_before_it_is_trained() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(UsageError, match="does not take an input of 1x3x4x4"):
        check_outputs(network, (1, 3, 4, 4), classes=5)


def test_checking_leaves_every_modules_mode_as_it_was() -> None:
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 5))
    network[1].eval()
    check_outputs(network, (1, 3, 2, 2), classes=5)
    assert [module.training for module in network] == [True, False, True]
    assert torch.equal(network[1].running_mean, torch.zeros(12))


def test_a_detector_takes_its_input_as_it_is_in_training_and_out_of_it() -> None:
    """Its own resizing would make 800 pixels of it, and its normalisation other values."""
    network = build_network(resolve_model("retinanet_resnet50_fpn_v2"), classes=2)
    image = torch.randn(3, 40, 56)
    for mode in (network.train(), network.eval()):
        batch, _ = mode.transform([image], None)
        assert batch.image_sizes == [(40, 56)]
        assert torch.equal(batch.tensors[0, :, :40, :56], image)


_WRAPPER = """
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

class Wrapped(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.model = ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=num_classes
        )

    def forward(self, images, targets=None):
        return BODY

net = Wrapped
"""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("self.model(images, targets)", "SSD"),
        ("self.model([*images])", "SSD"),
        ("self.model(images[:, [2, 1, 0]], targets)", "Wrapped"),
        ("[{**one, 'labels': one['labels'] + 1} for one in self.model(images)]", "Wrapped"),
        ("self.model.backbone(images)", "Wrapped"),
        ("(said := self.model(images), said[0].update(boxes=said[0]['boxes'][:2]))[0]", "Wrapped"),
        ("(said := self.model(images), said[0]['boxes'].mul_(2))[0]", "Wrapped"),
        ("self.model(images.mul_(2), targets)", "Wrapped"),
        ("1 / 0", "Wrapped"),
    ],
)
def test_a_module_that_only_hands_on_to_a_detector_is_left_out(tmp_path: Path, body: str, kind: str) -> None:
    (tmp_path / "nets.py").write_text(HEADER + _WRAPPER.replace("BODY", body), encoding="utf-8")
    source = replace(resolve_model(f"{tmp_path}/nets.py:net"), task="detection")
    network = build_network(source, classes=2)

    assert type(network).__name__ == kind
    assert all(module.training and "forward" not in vars(module) for module in network.modules())
    if kind == "SSD":
        with torch.no_grad():
            answered = network.eval()(torch.zeros(1, 3, 64, 64))
        assert answered[0].keys() == {"boxes", "scores", "labels"}
