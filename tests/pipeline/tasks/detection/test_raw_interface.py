"""A network of raw outputs with what decodes them beside it: the one of docs/detection.md, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pipeline.errors import UsageError, WeightsError
from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.lower import lower
from pipeline.lowering.parity import Answers
from pipeline.models.build import build_network
from pipeline.models.raw_detector import RawDetector, kind_of
from pipeline.models.resolve import resolve_model
from pipeline.models.source import WeightsSource
from pipeline.models.weights import load_weights
from pipeline.quantization.choices import choosing_nodes
from pipeline.quantization.graph import Graph
from pipeline.tasks.detection.deployable import OUTPUTS, candidates_differ, deployable, post_process
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.detection.followed import followed_detector
from pipeline.tasks.detection.interface import check_detector, found_by
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, CLASSES = 64, 3
SHAPE = (1, 3, SIDE, SIDE)
DOCUMENTED = re.search(
    r"^## Raw outputs$.*?^```python\n(.*?)^```$",
    (Path(__file__).parents[4] / "docs" / "detection.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
assert DOCUMENTED is not None
SOURCE = DOCUMENTED[1]


def _built(folder: Path, source: str, classes: int = CLASSES) -> nn.Module:
    (folder / "net.py").write_text(source, encoding="utf-8")
    model = replace(resolve_model(f"{folder}/net.py:net"), task="detection")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(model, classes=classes)


@pytest.fixture
def network(tmp_path: Path) -> RawDetector:
    """That of the documentation, whose random answers differ from place to place."""
    found = _built(tmp_path, SOURCE)
    assert isinstance(found, RawDetector)
    last = list(found.modules())[-1]
    assert isinstance(last, nn.Conv2d)
    last.weight.data.mul_(20)
    return found


def test_it_is_a_detector_of_the_data_s_classes_that_learns(network: RawDetector) -> None:
    check_detector(network, SHAPE, classes=CLASSES, trained=True)

    assert network.training
    assert network.learns
    assert deployable(network, (SIDE, SIDE)).classes == CLASSES


def test_it_may_take_gray_images_and_says_so_where_it_is_fed_others(tmp_path: Path) -> None:
    gray, task = _built(tmp_path, SOURCE.replace("[3, 16", "[1, 16")), Detection()
    shape = (1, 1, SIDE, SIDE)

    task.check(gray, shape, classes=CLASSES, trained=True)
    assert task.followed(gray, shape) is not None
    assert [len(one) for one in task.deployable(gray, shape)(torch.zeros(shape))] == [1, 1, 1]
    with pytest.raises(UsageError, match=r"it takes images of 1 channel\(s\): set input.channels=gray"):
        task.check(gray, SHAPE, classes=CLASSES, trained=False)


def test_the_exported_graph_finds_the_same_and_decodes_in_float(
    network: RawDetector, pictures: Callable[..., list[torch.Tensor]], tmp_path: Path
) -> None:
    images = pictures(4)
    fed, rule = [image[None].numpy() for image in images], post_process(network)
    with torch.no_grad():
        wanted = [found_by(network.eval(), image[None])[0] for image in images]
    answers = Answers(names=OUTPUTS, difference=partial(candidates_differ, score=rule.score), chosen=True)
    lowered = lower(deployable(network, (SIDE, SIDE)), fed, tmp_path / "float.onnx", answers=answers)
    model = onnx.load(tmp_path / "float.onnx")
    graph = Graph(model)
    smooth = {node.op_type for node in model.graph.node if node.name not in choosing_nodes(graph)}

    assert lowered.max_relative_error < 1e-4
    assert smooth == {"Conv", "Relu"}
    assert not {node.op_type for node in model.graph.node} & {"NonZero", "NonMaxSuppression", "Loop", "If"}
    for (boxes, scores, labels), outputs in zip(wanted, run_onnx(model, fed), strict=True):
        candidates = [output[0] for output in outputs]
        found = detections(candidates[0], candidates[1], candidates[2], rule.score, rule.iou, rule.most)
        assert len(scores) > 3
        np.testing.assert_allclose(found[0], boxes, atol=1e-3)
        np.testing.assert_allclose(found[1], scores, atol=1e-5)
        np.testing.assert_array_equal(found[2], labels)


def test_its_loss_falls_and_knows_classes_from_0(network: RawDetector) -> None:
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[8.0, 8.0, 40.0, 30.0]])
    targets = [{"boxes": box, "labels": torch.tensor([CLASSES])}, {"boxes": box[:0], "labels": torch.zeros(0).long()}]
    optimizer, losses = torch.optim.AdamW(network.parameters(), lr=1e-2), []
    for _ in range(12):
        said = network.train()(images, targets)
        total = sum(said.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))

    assert set(said) == {"classes", "boxes"}
    assert losses[-1] < 0.5 * losses[0]
    assert [target["labels"].tolist() for target in targets] == [[CLASSES], []]


def test_channels_are_followed_to_the_layer_whose_outputs_are_decoded(network: RawDetector) -> None:
    followed = followed_detector(network, (SIDE, SIDE))

    assert followed.answering == (network.module[-1],)  # type: ignore[index] # a Sequential


_RECORD = """
from dataclasses import dataclass

@dataclass(slots=True)
class Record:
    raw: object

    def __getitem__(self, name):
        return getattr(self, name)
"""


@pytest.mark.parametrize(
    ("answer", "way"),
    [
        ('{"raw": self.layer(images)}', "@torch.no_grad()\n    def decode("),
        ('{"raw": self.layer(images), "strides": [8, None], "kind": "eight"}', "def decode("),
        ("Record(self.layer(images))", "def decode("),
    ],
)
def test_channels_are_followed_to_the_raw_outputs_whatever_decodes_them(tmp_path: Path, answer: str, way: str) -> None:
    source = _CLASS.replace('{"raw": self.layer(images)}', answer).replace("def decode(", way) + _RECORD
    network = _built(tmp_path, source)

    assert isinstance(network, RawDetector)
    assert followed_detector(network, (SIDE, SIDE)).answering == (network.module.layer,)


@pytest.mark.parametrize("wrapper", ["", "module.", "model.", "net."])
def test_weights_of_the_network_alone_fit_also_from_within_another_module(
    network: RawDetector, tmp_path: Path, wrapper: str
) -> None:
    file = tmp_path / "w.pth"
    torch.save({f"{wrapper}{name}": value + 1 for name, value in network.module.state_dict().items()}, file)
    load_weights(_fresh := _built(tmp_path, SOURCE), WeightsSource(origin="file", file=file))

    wanted = network.module.state_dict()["0.0.weight"] + 1
    assert torch.equal(_fresh.state_dict()["module.0.0.weight"], wanted)


def test_its_class_is_the_user_s(network: RawDetector, tmp_path: Path) -> None:
    torch.save({"0.0.weight": torch.zeros(16, 3, 3, 3)}, file := tmp_path / "w.pth")
    with pytest.raises(WeightsError) as raised:
        load_weights(network, WeightsSource(origin="file", file=file))

    assert str(raised.value.expected).endswith("tensors of Sequential")
    assert kind_of(network) == "Sequential"
    assert kind_of(network.module) == "Sequential"


_CLASS = """
import torch
from torch import nn

class Net(nn.Module):
    score_thresh, detections_per_img = 0.25, 7

    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Conv2d(3, 4 + num_classes, 8, 8)

    def forward(self, images):
        return {"raw": self.layer(images)}

    def decode(self, outputs):
        said = outputs["raw"].flatten(2).transpose(1, 2)
        return said[..., :4], said[..., 4:].sigmoid()

net = Net
"""


def test_methods_and_attributes_of_the_network_s_own_come_first(tmp_path: Path) -> None:
    network = _built(tmp_path, _CLASS + "def decode(outputs): raise RuntimeError\n")
    check_detector(network, SHAPE, classes=CLASSES, trained=False)
    rule = post_process(network)

    assert isinstance(network, RawDetector)
    assert not network.learns
    assert (rule.score, rule.iou, rule.most) == (0.25, 0.5, 7)


_CALLS = """
calls = []

def net(num_classes):
    calls.append(num_classes)
    assert num_classes == 3, "trained for 3 classes"
    return Net(num_classes)

"""


@pytest.mark.parametrize("decodes", ["a method", "a function"])
def test_a_factory_may_insist_on_the_data_s_number_of_classes(tmp_path: Path, decodes: str) -> None:
    source = _CLASS.replace("net = Net\n", _CALLS)
    if decodes == "a function":
        source = source.replace("def decode(", "def decoded(") + "def decode(outputs):\n    return calls\n"
    network = _built(tmp_path, source)

    assert isinstance(network, RawDetector)
    assert decodes == "a method" or network.decoded(None) == [CLASSES]


def test_a_factory_that_fails_for_other_reasons_is_told_as_before(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"net\(num_classes=5\) fails"):
        _built(tmp_path, _CLASS.replace("net = Net\n", _CALLS), classes=4)


_BACKGROUND = """
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

def net(num_classes):
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes)

def decode(text):
    return text
"""


def test_a_detector_of_torchvision_may_have_a_function_of_that_name_beside_it(tmp_path: Path) -> None:
    network = _built(tmp_path, _BACKGROUND)

    assert not isinstance(network, RawDetector)
    assert deployable(network, (SIDE, SIDE)).classes == CLASSES


@pytest.mark.parametrize(
    ("method", "beside", "learns"),
    [
        ("def loss(self, outputs, targets): pass", "", True),
        ("loss = nn.CrossEntropyLoss()", "", False),
        ("", "def loss(predicted, wanted): pass", False),
        ("loss = 0.5", "", False),
    ],
)
def test_a_loss_is_one_of_the_place_where_decode_is(tmp_path: Path, method: str, beside: str, *, learns: bool) -> None:
    network = _built(tmp_path, _CLASS.replace("    def decode(", f"    {method}\n\n    def decode(") + beside)

    assert isinstance(network, RawDetector)
    assert network.learns is learns


def test_an_attribute_that_cannot_be_called_hides_no_decode_beside(tmp_path: Path) -> None:
    source = _CLASS.replace("def decode(", "decode = None\n\n    def decoded(")
    network = _built(tmp_path, f"{source}\ndef decode(outputs): return 7\n\ndef loss(outputs, targets): pass\n")

    assert isinstance(network, RawDetector)
    assert network.decoded(None) == 7
    assert network.learns


def test_no_loss_of_torch_beside_a_decode_is_one_of_raw_outputs(tmp_path: Path) -> None:
    source = _CLASS.replace("def decode(", "def decoded(") + "\ndef decode(outputs): pass\n"
    network = _built(tmp_path, source + "loss = nn.CrossEntropyLoss(weight=torch.ones(3))\n")

    assert isinstance(network, RawDetector)
    assert not network.learns


_DECODER = """
class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.ones(1))

    def forward(self, outputs):
        said = outputs["raw"].flatten(2).transpose(1, 2) * self.factor
        return said[..., :4], said[..., 4:].sigmoid()
"""


def test_a_decode_that_is_a_part_of_the_network_adds_no_weights_and_moves_with_it(tmp_path: Path) -> None:
    plain = set(_built(tmp_path, _CLASS).state_dict())
    part = "self.layer = nn.Conv2d(3, 4 + num_classes, 8, 8)\n        self.decode = Decoder()"
    source = _CLASS.replace("def decode(", "def decoded(").replace(
        "self.layer = nn.Conv2d(3, 4 + num_classes, 8, 8)", part
    )
    network = _built(tmp_path, source + _DECODER)
    check_detector(network, SHAPE, classes=CLASSES, trained=False)

    assert isinstance(network, RawDetector)
    assert set(network.state_dict()) == plain | {"module.decode.factor"}
    assert network.to("meta").module.decode.factor.is_meta  # type: ignore[union-attr] # a Decoder


def test_a_module_with_tensors_beside_the_factory_is_refused(tmp_path: Path) -> None:
    source = _CLASS.replace("def decode(", "def decoded(") + _DECODER + "\ndecode = Decoder()\n"
    with pytest.raises(UsageError, match="holds tensors, which do not go where the network goes") as raised:
        _built(tmp_path, source)
    held = 'self.register_buffer("factor", torch.ones(1))'
    free = _built(tmp_path, source.replace(held, "self.factor = 1"))

    assert (raised.value.where, raised.value.got) == ("decode", "Decoder with 1 tensor(s)")
    check_detector(free, SHAPE, classes=CLASSES, trained=False)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("def decode", "def decoded"), "the network does not answer as a detector"),
        (('outputs["raw"]', 'outputs["row"]'), "what the network answers cannot be decoded"),
        (("return said[..., :4], said", "return said"), "the decoding does not give boxes and scores"),
        (("said[..., :4], ", "said[..., :3], "), "the decoding gives boxes and scores of other shapes"),
        (("said[..., :4], ", "said[:, :9, :4], "), "the decoding gives boxes and scores of other shapes"),
        (("said[..., :4], ", "said[..., :4] / 0, "), "the decoding gives boxes that are no numbers"),
        (("4:].sigmoid()", "4:]"), "the decoding gives scores that are no likelihoods"),
        (("said[..., :4], ", "said[..., :4].double(), "), "the decoding gives boxes and scores of another type"),
        (("[..., 4:]", "[..., 5:]"), "the network answers for 2 classes, the data has 3"),
        (("(1, 2)\n", "(1, 2)[:, : 9 + (outputs['raw'] > 0.5).any()]\n"), "how many candidates are decoded depends"),
    ],
)
def test_what_cannot_be_decoded_is_refused(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    assert _CLASS.count(change[0]) == 1
    with pytest.raises(UsageError, match=what) as raised:
        check_detector(_built(tmp_path, _CLASS.replace(*change)), SHAPE, classes=CLASSES, trained=False)
    assert raised.value.expected


@pytest.mark.parametrize(("name", "value"), [("score_thresh", None), ("topk_candidates", -1), ("nms_thresh", "high")])
def test_an_attribute_that_says_nothing_is_refused_by_its_name(name: str, value: object) -> None:
    module = nn.Identity()
    setattr(module, name, value)
    with pytest.raises(UsageError, match="says not how its detections are chosen") as raised:
        RawDetector(module, decode=lambda answered: answered)
    assert (raised.value.where, raised.value.got) == (f"{name} of Identity", repr(value))


@pytest.mark.parametrize(
    ("body", "what", "got"),
    [
        ("1 / 0", "the loss fails for one image with an object", "ZeroDivisionError: division by zero"),
        ("said.sum() / len(targets[1]['boxes'])", "the loss is no number for one image with an object", "loss is "),
        ("said.sum() / objects", "the loss is no number for two images without objects", "loss is "),
        ("'none'", "the loss is no scalar", "str with no tensor for one image with an object and one without"),
        ("{}", "the loss is no scalar", "dict with no tensor for one"),
        ("{'far': said.sum(), 'near': said}", "the loss is no scalar", r"near \(2, 7, 8, 8\) for one image"),
        ("said.detach().sum()", "nothing is learned from the loss", "a sum without a gradient"),
        ("said.sum() if objects else torch.zeros(())", "it does not depend on the network for two images", "a sum"),
    ],
)
def test_a_loss_that_teaches_nothing_is_refused(tmp_path: Path, body: str, what: str, got: str) -> None:
    loss = f"""def loss(self, outputs, targets):
        said, objects = outputs["raw"], sum(len(one["boxes"]) for one in targets)
        return {body}

    def decode("""
    with pytest.raises(UsageError, match=what) as raised:
        check_detector(_built(tmp_path, _CLASS.replace("def decode(", loss)), SHAPE, classes=CLASSES, trained=True)

    assert raised.value.where == "loss(outputs, targets)"
    assert raised.value.expected
    assert re.match(got, str(raised.value.got))


def test_a_scalar_is_a_loss(tmp_path: Path) -> None:
    loss = "def loss(self, outputs, targets):\n        return outputs['raw'].square().mean()\n\n    def decode("
    network = _built(tmp_path, _CLASS.replace("def decode(", loss))
    with torch.no_grad():  # as a caller may have it
        check_detector(network, SHAPE, classes=CLASSES, trained=True)
