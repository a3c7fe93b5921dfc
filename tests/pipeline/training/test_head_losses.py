"""Heads of student and teacher: compared place by place, where they say the same of the same places."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.ops import generalized_box_iou

from pipeline.errors import UsageError
from pipeline.models.torchvision_detectors import fed_as_it_is
from pipeline.models.yolo.build import build_yolo
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.head_losses import HeadLosses
from pipeline.training.images import Batch
from pipeline.training.inside_losses import inside_losses
from pipeline.training.teacher_pyramids import TeacherPyramids

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDE = 32
CLASSES = 3
"""With the background."""


class _Body(nn.Module):
    """Two levels, at strides 4 and 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels: Any = 32
        self.first, self.second = nn.Conv2d(3, width, 3, 4, 1), nn.Conv2d(width, 32, 3, 2, 1)
        self.same = nn.Conv2d(width, 32, 1)

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        seen = self.first(images).relu()
        return OrderedDict([("0", self.same(seen)), ("1", self.second(seen))])


def _detector(kind: str, width: int = 8, *, side: int = 8, seed: int = 0) -> nn.Module:
    """Of a kind, with random weights of some size, for inputs as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Any
        if kind.startswith("yolo/"):
            network = build_yolo(kind.removeprefix("yolo/"), CLASSES - 1)
        else:
            body = _Body(width)
            square = AnchorGenerator(sizes=((side,), (2 * side,)), aspect_ratios=((1.0,),) * 2)
            if kind == "ssd":
                body.out_channels = [32, 32]
                network = SSD(body, DefaultBoxGenerator([[2], [2]], scales=[0.1, 0.3, 0.6]), (SIDE, SIDE), CLASSES)
            elif kind == "faster-rcnn":
                network = detection.FasterRCNN(body, CLASSES, rpn_anchor_generator=square)
            elif kind == "fcos":
                network = detection.FCOS(body, CLASSES, anchor_generator=square)
            else:
                network = detection.RetinaNet(body, CLASSES, anchor_generator=square)
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d) and "head" in name:
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return fed_as_it_is(network).eval()


@pytest.fixture
def batch() -> Batch:
    inputs = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    labels = BoxLabels((torch.tensor([[4.0, 4, 20, 20]]), torch.tensor([[8.0, 2, 30, 25]])), (torch.tensor([0]),) * 2)
    return Batch(indices=torch.arange(2), inputs=inputs, labels=labels, view=0)


def _losses(student: nn.Module, teachers: list[nn.Module], batch: Batch, **weights: float) -> HeadLosses:
    return HeadLosses(student, TeacherPyramids(teachers), batch.inputs, weights)


def _said(network: Any, inputs: torch.Tensor) -> Mapping[str, torch.Tensor]:  # noqa: ANN401 - torchvision has no types
    with torch.no_grad():
        return network.head(list(network.backbone(inputs).values()))


def _after_the_student_ran(student: nn.Module, losses: HeadLosses, batch: Batch) -> torch.Tensor:
    task = Detection()
    task.loss(task.answers(student.train(), batch), batch)
    return losses(batch)


def test_each_teacher_has_its_share(batch: Batch) -> None:
    student, teachers = _detector("retinanet"), [_detector("retinanet", 12, seed=1), _detector("retinanet", 8, seed=2)]
    first, second = (_losses(student, [one], batch, scores=1.0) for one in teachers)
    both = HeadLosses(student, TeacherPyramids(teachers), batch.inputs, {"scores": 1.0}, [0.75, 0.25])
    found = _after_the_student_ran(student, both, batch).item()
    assert found == pytest.approx(0.75 * first(batch).item() + 0.25 * second(batch).item())
    assert first(batch).item() != pytest.approx(second(batch).item())


def test_of_a_retinanet_it_is_the_formula_over_all_anchors(batch: Batch) -> None:
    """Scores by sigmoid, boxes by the network's own coder, divided by what the teacher sees."""
    student, teacher = _detector("retinanet"), _detector("retinanet", 12, seed=1)
    losses = _losses(student, [teacher], batch, scores=0.5, iou=4.0)
    found = _after_the_student_ran(student, losses, batch)

    mine, theirs = _said(student, batch.inputs), _said(teacher, batch.inputs)
    likely, wanted = (said["cls_logits"][..., 1:].sigmoid() for said in (mine, theirs))  # label 0 is no class
    apart = (likely - wanted).abs()
    entropy = functional.binary_cross_entropy(likely, wanted, reduction="none")
    anchors = student.anchor_generator(_as_list(batch), list(student.backbone(batch.inputs).values()))
    overlap = torch.zeros(2)
    for number in range(2):
        boxes, others = (
            student.box_coder.decode_single(said["bbox_regression"][number], anchors[number]) for said in (mine, theirs)
        )
        lacking = 1 - generalized_box_iou(boxes, others).diagonal()
        overlap[number] = (lacking * apart[number].amax(dim=1)).sum()
    objects = max(1.0, float(wanted.amax(dim=2).sum()))

    assert float(found.detach()) == pytest.approx(
        (0.5 * float((entropy * apart).sum()) + 4.0 * float(overlap.sum())) / objects, rel=1e-4
    )


def _as_list(batch: Batch) -> Any:  # noqa: ANN401 - torchvision has no types
    from torchvision.models.detection.image_list import ImageList

    return ImageList(batch.inputs, [(SIDE, SIDE)] * len(batch.inputs))


@pytest.mark.parametrize("kind", ["ssd", "retinanet", "fcos", "yolo/x-nano", "yolo/9-t"])
def test_heads_of_every_family_learn_and_their_teachers_do_not(kind: str, batch: Batch) -> None:
    student, teacher = _detector(kind), _detector(kind, seed=1)
    losses = _losses(student, [teacher], batch, scores=1.0, iou=1.0)
    _after_the_student_ran(student, losses, batch).backward()

    first = next(student.backbone.parameters())
    assert first.grad is not None
    assert bool(first.grad.isfinite().all())
    assert float(first.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not list(losses.parameters())


def test_distributions_are_compared_where_there_are_some(batch: Batch) -> None:
    student, teacher = _detector("yolo/9-t"), _detector("yolo/9-t", seed=1)
    losses = _losses(student, [teacher], batch, ld=0.25)
    found = _after_the_student_ran(student, losses, batch)
    student.eval()
    losses.release()

    teacher_said = _said(teacher, batch.inputs)
    weights = teacher_said["cls_logits"].sigmoid().amax(dim=2)
    sides = [losses._seen["bbox_regression"].detach(), teacher_said["bbox_regression"]]
    mine, theirs = (said.reshape(2, -1, 4, 16) / 10 for said in sides)
    divergence = (theirs.softmax(3) * (theirs.log_softmax(3) - mine.log_softmax(3))).mean(dim=(2, 3)) * 100
    wanted = 0.25 * float((divergence * weights).sum()) / max(1.0, float(weights.sum()))
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-4)
    assert wanted > 0


def test_a_head_beside_itself_has_nothing_to_learn(batch: Batch) -> None:
    network = _detector("fcos")
    losses = _losses(network, [_detector("fcos"), _detector("fcos")], batch, scores=1.0, iou=4.0)

    assert float(_after_the_student_ran(network, losses, batch).detach()) == pytest.approx(0, abs=1e-5)


def test_several_teachers_are_averaged(batch: Batch) -> None:
    student, teachers = _detector("ssd"), [_detector("ssd", seed=seed) for seed in (1, 2)]
    whole = _losses(student, teachers, batch, scores=1.0)
    alone = [_losses(student, [one], batch, scores=1.0) for one in teachers]
    together = float(_after_the_student_ran(student, whole, batch).detach())

    assert together == pytest.approx(sum(float(one(batch).detach()) for one in alone) / 2)


def test_a_copy_of_the_student_takes_no_teachers_with_it(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moving average is one."""
    student = _detector("retinanet")
    losses = _losses(student, [_detector("retinanet", seed=1)], batch, scores=1.0)

    def copied(*_: object) -> None:
        raise AssertionError("teachers are copied")

    monkeypatch.setattr(TeacherPyramids, "__deepcopy__", copied, raising=False)
    assert deepcopy(student) is not student
    assert float(_after_the_student_ran(student, losses, batch).detach()) > 0


def test_once_released_the_student_is_watched_no_longer(batch: Batch) -> None:
    student = _detector("retinanet")
    _losses(student, [_detector("retinanet", seed=1)], batch, scores=1.0).release()

    assert not any(module._forward_hooks for module in student.modules())


@pytest.mark.parametrize(
    ("student", "teacher", "said"),
    [
        ("retinanet", "fcos", "the heads of student and teacher differ"),
        ("faster-rcnn", "faster-rcnn", "its second stage looks at places of its own"),
        ("retinanet", "faster-rcnn", "its second stage looks at places of its own"),
    ],
)
def test_heads_that_say_other_things_are_refused(student: str, teacher: str, said: str, batch: Batch) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        _losses(_detector(student), [_detector(teacher)], batch, scores=1.0, iou=1.0)
    assert "leave 'scores' and 'iou' out of distill.losses" in (raised.value.fix or "")


def test_other_anchors_are_refused_although_the_heads_have_one_shape(batch: Batch) -> None:
    with pytest.raises(UsageError, match="the heads of student and teacher differ"):
        _losses(_detector("retinanet"), [_detector("retinanet", side=9)], batch, scores=1.0)


def test_distributions_that_nobody_says_are_refused(batch: Batch) -> None:
    with pytest.raises(UsageError, match="this head says a box as four numbers"):
        _losses(_detector("retinanet"), [_detector("retinanet")], batch, ld=1.0)


class _Images:
    """As much of the training images as is looked at."""

    def first(self, count: int) -> torch.Tensor:
        return torch.zeros(count, 3, SIDE, SIDE)


def test_pyramids_and_heads_are_added_up_and_the_teachers_backbone_runs_once(batch: Batch) -> None:
    student, teacher = _detector("retinanet"), _detector("retinanet", 12, seed=1)
    both = Teaching(losses={"pkd": 2.0, "scores": 1.0, "boxes": 1.0})
    whole = inside_losses(both, student, lambda: [teacher], _Images())
    assert whole is not None
    runs: list[int] = []
    teacher.backbone.register_forward_hook(lambda *_: runs.append(1))
    task = Detection()
    task.loss(task.answers(student.train(), batch), batch)
    parts = [float(part(batch).detach()) for part in whole.parts]

    assert float(whole(batch).detach()) == pytest.approx(sum(parts))
    assert min(parts) > 0
    assert len(runs) == 1
