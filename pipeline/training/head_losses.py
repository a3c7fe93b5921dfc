"""Losses on what the heads of detectors say, place by place: for student and teachers with the same anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.raw_detector import kind_of
from pipeline.tasks.detection.deployable import deployable
from pipeline.tasks.detection.deployable.one_stage import OneStageForm
from pipeline.tasks.detection.deployable.raw import RawForm
from pipeline.tasks.distillation.binary_scores import binary_scores
from pipeline.tasks.distillation.box_overlap import box_overlap
from pipeline.tasks.distillation.localisation import localisation
from pipeline.training.beside import Beside, shares_of
from pipeline.training.teacher_pyramids import pyramid_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.training.images import Batch
    from pipeline.training.teacher_pyramids import TeacherPyramids

__all__ = ["OF_HEADS", "HeadLosses"]

OF_HEADS = ("scores", "iou", "ld")
_SIDES = 4
"""Of a box; a head that says more numbers of it says a distribution of each."""

_Said = dict[str, "Tensor"]


class HeadLosses(nn.Module):
    """What the student's head says otherwise than those of the teachers, watched while the student runs.

    ``scores``: see :func:`~pipeline.tasks.distillation.binary_scores.binary_scores`; ``iou``:
    :func:`~pipeline.tasks.distillation.box_overlap.box_overlap`; ``ld``:
    :func:`~pipeline.tasks.distillation.localisation.localisation`, where each place counts by how sure the teacher is
    that anything is there, in place of the regions that the paper chooses by the labels. All three are added up over
    the places and divided by how many objects the teacher sees there: the sum of its largest likelihoods, at least 1.

    Args:
        student: Is watched; the hook stays as long as this object. Ends in evaluation mode.
        teachers: Run beside it.
        images: A few inputs, to see by that the heads are of one make.
        weights: Of ``scores``, ``iou`` and ``ld``; what is lacking is not compared.
        shares: Of each teacher in their sum, adding up to 1; none: all alike.

    Raises:
        UsageError: for detectors of two stages, heads that differ, and ``ld`` where no distributions are said.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: TeacherPyramids,
        images: Tensor,
        weights: Mapping[str, float],
        shares: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self._shares = shares or shares_of([Beside()] * len(teachers.networks))
        self._weights = {name: weights[name] for name in OF_HEADS if name in weights}
        self._teachers = teachers
        ours, *forms = (self._form(network, images) for network in (student, *teachers.networks))
        self._forms = tuple(forms)  # no module of this one: teachers learn nothing
        with torch.no_grad():
            said = _said(ours, pyramid_of(student, images))
            for form, levels in zip(self._forms, teachers.of(images), strict=True):
                self._check_alike(ours, said, form, _said(form, levels))
        if "ld" in self._weights and said["bbox_regression"].shape[-1] == _SIDES:
            raise UsageError(
                "'ld' compares distributions of distances, and this head says a box as four numbers",
                where=kind_of(student),
                expected="a network such as yolo/9-t",
                fix="compare 'iou' in place of it",
            )
        self._seen: _Said = {}
        # no bound method: a copy of the student would take a copy of this object with it, and of the teachers
        self._hook = ours.head.register_forward_hook(lambda _module, _inputs, output: self._see(output))

    def forward(self, batch: Batch) -> Tensor:
        """A scalar, after the student has run on the batch."""
        total = batch.inputs.new_zeros(())
        ours = _in_32_bits(self._seen)
        for form, levels, share in zip(self._forms, self._teachers.of(batch.inputs), self._shares, strict=True):
            with torch.no_grad():
                theirs = _in_32_bits(_said(form, levels))
            total = total + share * self._apart(form, ours, theirs)
        return total

    def release(self) -> None:
        """Watch no longer; the student is as it was, and the teachers are on the CPU."""
        self._hook.remove()
        self._teachers.release()

    def _see(self, output: _Said) -> None:
        self._seen = output

    def _apart(self, form: OneStageForm, ours: _Said, theirs: _Said) -> Tensor:
        """The weighted losses of one teacher, whose form it is, a scalar."""
        likely, wanted = form.likelihoods(ours), form.likelihoods(theirs)
        present = wanted.amax(dim=-1)
        codes, aimed = ours["bbox_regression"], theirs["bbox_regression"]
        total = likely.new_zeros(())
        if "scores" in self._weights:
            total = total + self._weights["scores"] * binary_scores(likely, wanted).sum()
        if "iou" in self._weights:
            anchors = form.anchors.to(codes.device).repeat(len(codes), 1)
            boxes, truth = (form.decoded(one.flatten(0, 1), anchors) for one in (codes, aimed))
            differ = (likely - wanted).abs().amax(dim=-1).flatten()
            total = total + self._weights["iou"] * box_overlap(boxes, truth, differ).sum()
        if "ld" in self._weights:
            first, second = (one.reshape(present.numel(), _SIDES, -1) for one in (codes, aimed))
            total = total + self._weights["ld"] * (localisation(first, second) * present.flatten()).sum()
        return total / present.sum().clamp(min=1.0)

    def _form(self, network: nn.Module, images: Tensor) -> OneStageForm:
        """The network as what it says of its anchors can be read."""
        form = deployable(network, (images.shape[2], images.shape[3]), channels=images.shape[1])
        if isinstance(form, OneStageForm):
            return form
        why = "its outputs are raw" if isinstance(form, RawForm) else "its second stage looks at places of its own"
        raise UsageError(
            f"what this detector says cannot be compared place by place: {why}",
            where=kind_of(network),
            expected="SSD, RetinaNet, FCOS or YOLO",
            fix=f"leave {self._named()} out of distill.losses",
        )

    def _check_alike(self, ours: OneStageForm, said: _Said, theirs: OneStageForm, other: _Said) -> None:
        """See that both heads say the same things of the same places."""
        shapes = [{name: tuple(one.shape[1:]) for name, one in sorted(both.items())} for both in (said, other)]
        same_places = ours.anchors.shape == theirs.anchors.shape and torch.equal(ours.anchors, theirs.anchors)
        if type(ours) is type(theirs) and shapes[0] == shapes[1] and same_places:
            return
        raise UsageError(
            "the heads of student and teacher differ, so that what they say of a place cannot be compared",
            got=f"{_told(ours, shapes[0])} and {_told(theirs, shapes[1])}",
            expected="detectors of one family with the same anchors",
            fix=f"leave {self._named()} out of distill.losses, or take a larger teacher of the student's family",
        )

    def _named(self) -> str:
        return " and ".join(f"'{name}'" for name in self._weights)


def _said(form: Any, levels: Mapping[str, Tensor]) -> _Said:  # noqa: ANN401 - torchvision's head has no type
    """By the head about all anchors, (batch, anchors, numbers) each."""
    said: _Said = form.head(list(levels.values()))
    return said


def _in_32_bits(said: _Said) -> _Said:
    return {name: one.float() for name, one in said.items()}


def _told(form: OneStageForm, shapes: Mapping[str, tuple[int, ...]]) -> str:
    kind = type(form).__name__.removesuffix("Form")
    return f"{kind} with {len(form.anchors)} anchors, {shapes['cls_logits'][-1]} class scores"
