"""A class of a user's own that answers otherwise than torchvision's is not deployed as torchvision's unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import nms

from pipeline.errors import UsageError
from pipeline.models.torchvision_detectors import fed_as_it_is
from pipeline.tasks.detection.own_answers import doubt_of_form, own_methods

Detector = Callable[[str], nn.Module]
Pictures = Callable[..., list[torch.Tensor]]


class Named(detection.RetinaNet):
    """Torchvision's by another name, with more parameters of its factory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever torchvision takes
        super().__init__(*args, **kwargs)


class Agnostic(detection.RetinaNet):
    """Of two boxes of any classes in one place the likelier one is left."""

    def postprocess_detections(self, *args: Any) -> Any:  # noqa: ANN401 - torchvision's interface
        """See the class."""
        found = super().postprocess_detections(*args)
        kept = [nms(one["boxes"], one["scores"], 0.3) for one in found]
        return [{name: value[keep] for name, value in one.items()} for one, keep in zip(found, kept, strict=True)]


class Moved(detection.RetinaNet):
    """Boxes are a fourth larger than torchvision's."""

    def forward(self, images: Any, targets: Any = None) -> Any:  # noqa: ANN401 - torchvision's interface
        """See the class."""
        answered = super().forward(images, targets)
        return answered if self.training else [{**one, "boxes": one["boxes"] * 1.25} for one in answered]


class Observed(detection.RetinaNet):
    """Something else in training alone."""

    def forward(self, images: Any, targets: Any = None) -> Any:  # noqa: ANN401 - torchvision's interface
        """See the class."""
        answered = super().forward(images, targets)
        return {"all": sum(answered.values())} if self.training else answered


class OwnHeads(RoIHeads):
    """Boxes of no classes but the first."""

    def postprocess_detections(self, *args: Any) -> Any:  # noqa: ANN401 - torchvision's interface
        """See the class."""
        boxes, scores, labels = super().postprocess_detections(*args)
        firsts = [one == 1 for one in labels]
        return tuple([one[first] for one, first in zip(each, firsts, strict=True)] for each in (boxes, scores, labels))


@pytest.fixture
def retinanet(tiny_detector: Detector) -> Callable[[type[nn.Module]], nn.Module]:
    """Makes a lively one of a class that derives from torchvision's, without building it anew."""

    def make(kind: type[nn.Module]) -> nn.Module:
        network = fed_as_it_is(tiny_detector("retinanet"))
        network.__class__ = kind
        return network.eval()

    return make


@pytest.mark.parametrize(
    ("kind", "method"), [(Agnostic, "postprocess_detections"), (Moved, "forward")], ids=["suppression", "boxes"]
)
def test_methods_that_find_something_else_are_refused_by_name(
    kind: type[nn.Module], method: str, retinanet: Callable[[type[nn.Module]], nn.Module], pictures: Pictures
) -> None:
    with pytest.raises(UsageError, match="methods of its own would not be deployed") as raised:
        doubt_of_form(retinanet(kind), torch.stack(pictures(4)), trained=True)
    assert raised.value.where == kind.__name__
    assert str(raised.value.got).startswith(f"its own {method}; on 4 of 4 images it finds something else")


def test_methods_of_a_part_are_seen_too(tiny_detector: Detector, pictures: Pictures) -> None:
    network: Any = fed_as_it_is(tiny_detector("faster-rcnn"))
    network.roi_heads.__class__ = OwnHeads
    with pytest.raises(UsageError, match=r"its own roi_heads\.postprocess_detections"):
        doubt_of_form(network, torch.stack(pictures(4)), trained=True)


@pytest.mark.parametrize("kind", ["faster-rcnn", "ssd", "retinanet", "fcos", "yolo/x-nano"])
def test_torchvision_s_own_and_ours_are_not_doubted(kind: str, tiny_detector: Detector, pictures: Pictures) -> None:
    network = fed_as_it_is(tiny_detector(kind))

    assert own_methods(network) == ()
    assert doubt_of_form(network, torch.stack(pictures(4)), trained=True) is None


@pytest.mark.parametrize("kind", [Named, Observed])
@pytest.mark.parametrize("trained", [False, True])
def test_a_class_that_finds_the_same_is_taken(
    kind: type[nn.Module],
    retinanet: Callable[[type[nn.Module]], nn.Module],
    pictures: Pictures,
    *,
    trained: bool,
) -> None:
    assert doubt_of_form(retinanet(kind), torch.stack(pictures(4)), trained=trained) is None


def test_what_is_not_trained_yet_or_finds_nothing_is_doubted(
    retinanet: Callable[[type[nn.Module]], nn.Module], pictures: Pictures
) -> None:
    network: Any = retinanet(Observed)
    network.score_thresh = 1.0
    images = torch.stack(pictures(2))
    before, blind = (doubt_of_form(network, images, trained=trained) for trained in (False, True))

    assert str(before).startswith("its own forward will not be deployed, torchvision's in its place; it is not trained")
    assert "on 2 images it finds nothing" in str(blind)
    assert "its own postprocess_detections" in str(doubt_of_form(retinanet(Agnostic), images, trained=False))


def test_a_difference_that_no_method_explains_is_told(tiny_detector: Detector, pictures: Pictures) -> None:
    network = fed_as_it_is(tiny_detector("ssd"))
    network.register_forward_hook(lambda _module, _given, found: [{**one, "boxes": one["boxes"] / 2} for one in found])

    assert str(doubt_of_form(network, torch.stack(pictures(2)), trained=True)).startswith("on 2 of 2 images the form")
