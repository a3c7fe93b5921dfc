"""The channels of a detector from its image to what its heads answer, and what is left when some of them go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from pipeline.errors import UsageError
from pipeline.models.torchvision_detectors import fed_as_it_is
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.kept_channels import kept_channels
from pipeline.tasks.detection.deployable import deployable
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.detection.followed import followed_detector

if TYPE_CHECKING:
    from collections.abc import Callable

    Detector = Callable[[str], nn.Module]

SIDE = 64
TINY = ("faster-rcnn", "ssd", "retinanet", "fcos")
ANSWERS = {
    "faster-rcnn": {
        "rpn.head.cls_logits",
        "rpn.head.bbox_pred",
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
    },
    "ssd": {f"head.{which}_head.module_list.{level}" for which in ("classification", "regression") for level in (0, 1)},
    "retinanet": {"head.classification_head.cls_logits", "head.regression_head.bbox_reg"},
    "fcos": {
        "head.classification_head.cls_logits",
        "head.regression_head.bbox_reg",
        "head.regression_head.bbox_ctrness",
    },
}


def _groups(network: nn.Module, **fields: Any) -> ChannelGroups:  # noqa: ANN401
    follow = partial(Detection().followed, shape=(1, 3, SIDE, SIDE))
    return ChannelGroups(network, input_shape=(1, 3, SIDE, SIDE), outputs=3, follow=follow, **fields)


def _widths(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of every layer."""
    layers = {name: one for name, one in network.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)}
    return {name: (one.weight.shape[0], one.weight.shape[1]) for name, one in layers.items()}


@pytest.mark.parametrize("kind", TINY)
def test_a_detector_of_gray_images_is_taken_through_and_one_of_colours_is_told_to_be(
    tiny_detector: Detector, kind: str
) -> None:
    network: Any = fed_as_it_is(tiny_detector(kind))
    network.backbone.stem[0] = nn.Conv2d(1, 32, 3, 2, 1)
    gray, task = (1, 1, SIDE, SIDE), Detection()

    task.check(network, gray, classes=3, trained=True)
    followed = task.followed(network, gray)
    assert followed is not None
    assert followed.answering
    assert [len(one) for one in task.deployable(network, gray)(torch.zeros(gray))] == [1, 1, 1]
    with pytest.raises(UsageError, match=r"it takes images of 3 channel\(s\): set input.channels=RGB"):
        task.check(fed_as_it_is(tiny_detector(kind)), gray, classes=3, trained=False)


@pytest.mark.parametrize("kind", TINY)
def test_the_layers_that_answer_are_found_by_what_leads_to_the_answers(kind: str, tiny_detector: Detector) -> None:
    network = tiny_detector(kind)
    followed = followed_detector(network, (SIDE, SIDE))
    names = {module: name for name, module in network.named_modules()}

    assert {names[layer] for layer in followed.answering} == ANSWERS[kind]
    channels = {layer.weight.shape[0] for layer in followed.answering}
    assert {one.shape[1] for one in followed.module(torch.rand(1, 3, SIDE, SIDE))} == channels


@pytest.mark.parametrize("kind", TINY)
def test_half_of_the_channels_go_and_every_answer_stays(kind: str, tiny_detector: Detector) -> None:
    network: Any = tiny_detector(kind)
    before = _widths(network)
    shapes = [one.shape for one in deployable(network, (SIDE, SIDE))(torch.rand(1, 3, SIDE, SIDE))]
    cutter = _groups(network)
    groups = cutter.groups()
    whole = {group.root: group.channels for group in groups}
    cutter.cut(kept_channels(groups, ratio=0.5, scope="layer", round_to=8, of=whole))
    after = _widths(network)

    assert not cutter.by_parts
    for name in ANSWERS[kind]:
        assert after[name][0] == before[name][0]
        # torchvision's FCOS normalises its heads in 32 parts, as many as these have channels
        assert after[name][1] == before[name][1] // (1 if kind == "fcos" else 2)
    assert all(after[f"backbone.{name}.0"][0] == 16 for name in ("stem", "first", "second"))
    assert [one.shape for one in deployable(network, (SIDE, SIDE))(torch.rand(1, 3, SIDE, SIDE))] == shapes
    target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([1])}
    losses = network.train()(torch.rand(2, 3, SIDE, SIDE), [target, target])
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def _frozen(network: Any) -> nn.Module:  # noqa: ANN401 - torchvision has no types
    """Its backbone with batch norms that never learn, and a first layer that is not trained."""
    for name in ("stem", "first", "second"):
        block = getattr(network.backbone, name)
        norm = FrozenBatchNorm2d(32)
        norm.load_state_dict(block[1].state_dict())
        block[1] = norm
    network.backbone.stem.requires_grad_(requires_grad=False)
    return network.eval()


@pytest.mark.parametrize("backbone", ["trained", "frozen"])
@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("layer", ["stem", "second"])
def test_channels_that_count_for_nothing_go_without_changing_an_answer(
    kind: str, layer: str, backbone: str, tiny_detector: Detector
) -> None:
    network = _frozen(tiny_detector(kind)) if backbone == "frozen" else tiny_detector(kind)
    cutter = _groups(network)
    (group,) = (one for one in cutter.groups() if f"backbone.{layer}.0" in one.makes)
    if layer == "second" and kind != "ssd":
        assert "backbone.first.0" in group.makes  # both levels come to the same heads
    for name in group.makes:
        network.get_submodule(name).weight.data[::2] = 0
        for part in network.get_submodule(name.removesuffix(".0"))[1].state_dict().values():
            if part.ndim:
                part[::2] = 0
    for name in group.takes:  # of no weight, either
        taken = network.get_submodule(name).weight.data
        taken.view(len(taken), 32, -1)[:, ::2] *= 1e-3
    image = torch.rand(1, 3, SIDE, SIDE)
    follow = followed_detector(network, (SIDE, SIDE)).module
    before = follow(image)
    cutter.cut({group.root: 16})

    assert network.get_submodule(f"backbone.{layer}.0").weight.shape[0] == 16
    for ours, theirs in zip(follow(image), before, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_detector_of_another_make_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="this network has no deployable form as a detector") as raised:
        _groups(nn.Sequential(nn.Conv2d(3, 16, 3)))
    assert raised.value.where == "Sequential"
