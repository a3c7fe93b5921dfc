"""Image classification: one label an image."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.errors import DataError, UsageError
from pipeline.scipy_parts import scipy_part
from pipeline.tasks.accuracy import Accuracy
from pipeline.tasks.noise import largest_difference, output_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.models.source import OneNumber
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array, Outputs
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.tasks.followed import Followed
    from pipeline.tasks.labels import Labels
    from pipeline.tasks.lesson import Lesson
    from pipeline.tasks.marks import Mark
    from pipeline.tasks.moves import Moves, Tile
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.schedule import Augmentation

__all__ = ["Classification"]

_BINS = 15
_LEARNED = 0.2
"""Of the way from guessing to perfection."""
_ADDS_UP = 1e-3
"""Probabilities of float32 add up to 1 within this."""


class Classification:
    """Networks that give (batch, classes) logits."""

    name = "classification"
    metric = "top1"
    hit_or_miss = True
    embedded = "digits"
    follows: frozenset[Augmentation] = frozenset(
        ("flip", "shift", "scale", "affine", "colour", "erase", "randaugment", "trivialaugment", "mixup", "cutmix")
    )
    output_names: tuple[str, ...] = ("output",)
    placed = False
    chosen = False
    usual_sizes: tuple[int, ...] = (224, 32)
    schedule: Mapping[str, Json] = {}
    teachers: tuple[str, ...] = ("resnet18", "resnet34")
    """They learn quickly from few images; seconds an epoch on two cores. Larger ones that have to be trained in the
    same time teach worse: ResNet-101 and RegNetY-3.2GF made 98.0 and 96.4 % on digits, and their student, of 99.3 %
    without them, 98.0 %."""
    teaching: Mapping[str, Json] = {}
    teaching_by_answers: Mapping[str, Json] = {}
    compares = frozenset(("kd", "dist", "dkd", "features", "attention"))
    answers_teach = True
    family_schedules: Mapping[str, Mapping[str, Json]] = {}
    lesson_schedule: Mapping[str, Json] = {}

    def check(self, network: nn.Module, input_shape: tuple[int, ...], *, classes: int, trained: bool) -> None:
        """See that it answers with one tensor, (batch, classes); see :func:`pipeline.models.build.check_outputs`."""
        from pipeline.models.build import check_outputs

        check_outputs(network, input_shape, classes=classes, trained=trained)

    def why_untrained(self, network: nn.Module) -> str | None:  # noqa: ARG002 - its loss is the task's
        """None: whatever answers with logits can be trained."""
        return None

    def one_number(self, network: nn.Module, inputs: Tensor) -> OneNumber | None:
        """See :func:`pipeline.models.one_output.kind_of_one_number`."""
        from pipeline.models.one_output import kind_of_one_number

        try:
            return kind_of_one_number(network.eval(), inputs)
        except Exception:  # noqa: BLE001 - any failure of a user's forward, which the check after this tells as it is
            return None

    def read_from(self, network: nn.Module) -> Json:  # noqa: ARG002 - a logit is a logit
        """Nothing: outputs say themselves what they are, see :meth:`told_with`."""
        return None

    def reading(self, said: Json) -> Self:  # noqa: ARG002 - as above
        """This one."""
        return self

    def identity(self) -> Json:
        """The name."""
        return self.name

    def remarks(
        self, outputs: Sequence[Outputs], classes: Sequence[str], one_number: OneNumber | None, *, trained: bool
    ) -> tuple[str, ...]:
        """What is done with answers that are no logits of all classes."""
        told = []
        if one_number is not None:
            told.append(f"answers with one {one_number}, taken as that of {classes[1]!r}; here it gives one for each")
        if self.gives_probabilities(outputs):
            how = "it is trained on their logarithm, and " if trained else ""
            told.append(f"answers with probabilities; {how}the bundle gives them as they are")
        elif one_number is None and all(bool(((one > 0) & (one < 1)).all()) for one in _logits(outputs)):
            told.append(
                "answers with numbers between 0 and 1 that do not add up to 1, as after a sigmoid: taken as logits "
                "they can never be sure, so let it answer without"
            )
        return tuple(told)

    def outputs_of(self, network: nn.Module, inputs: Tensor) -> list[Outputs]:
        """The rows of (batch, classes)."""
        return [(row,) for row in network(inputs).float().cpu().numpy()]

    def deployable(self, network: nn.Module, shape: tuple[int, int, int, int]) -> nn.Module:  # noqa: ARG002 - it takes its own
        """The network itself: logits out, softmax is left to the reader (it changes no decision)."""
        return network

    def doubt_of_form(self, network: nn.Module, inputs: Tensor, *, trained: bool) -> str | None:  # noqa: ARG002 - any
        """None: it is deployed as it is."""
        return None

    def followed(self, network: nn.Module, shape: tuple[int, int, int, int]) -> Followed | None:  # noqa: ARG002 - one tensor in, one out
        """None: as it is."""
        return None

    def shrunk(self, network: nn.Module, before: tuple[int, int], after: tuple[int, int]) -> None:
        """Nothing in a classifier is in pixels."""

    def suppression(self, classes: int) -> None:
        """None: nothing overlaps."""

    def collated(self, samples: Sequence[Sample], preprocess: PreprocessSpec) -> Labels:  # noqa: ARG002 - whatever is seen
        """The classes' indices, int64 (images,)."""
        import torch

        return torch.tensor([_class_of(sample) for sample in samples])

    def moved(self, labels: Labels, moves: Moves) -> Labels:  # noqa: ARG002 - wherever it is
        """The same: an image's class does not depend on where things are."""
        return labels

    def put_together(
        self,
        parts: Sequence[Labels],  # noqa: ARG002 - whatever they are
        tiles: Sequence[Sequence[Tile]],  # noqa: ARG002
        size: tuple[int, int],  # noqa: ARG002
    ) -> Labels:
        """Refuse: an image of four images has no one class.

        Raises:
            UsageError: always.
        """
        raise UsageError("an image that is put together of several has no one class", got="mosaic", fix="use cutmix")

    def lesson(self, network: nn.Module, images: TrainingImages, *, classes: int) -> Lesson | None:  # noqa: ARG002 - of any
        """None: nothing is easier than what it learns."""
        return None

    def doubt(self, network: nn.Module, images: TrainingImages, preprocess: PreprocessSpec) -> str | None:  # noqa: ARG002 - any
        """None."""
        return None

    def answers(self, network: nn.Module, batch: Batch) -> Any:  # noqa: ANN401 - a tensor, or a tuple of them
        """Logits, (batch, classes)."""
        return network(batch.inputs)

    def reader(self, network: nn.Module, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """From outputs to logits: see :func:`pipeline.tasks.logits.reader_of_logits`."""
        import torch

        from pipeline.tasks.logits import reader_of_logits

        device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
        with torch.no_grad():
            outputs = self.outputs_of(network.eval(), inputs.to(device))
        return reader_of_logits(probabilities=self.gives_probabilities(outputs))

    def loss(self, outputs: Tensor, batch: Batch, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of (batch, classes) logits against the labels, mixed as the images are; a scalar."""
        from torch.nn import functional

        if batch.mixed is None:
            return functional.cross_entropy(outputs, _tensor(batch.labels), label_smoothing=smoothing)
        own, other = (
            functional.cross_entropy(outputs, _tensor(labels), label_smoothing=smoothing, reduction="none")
            for labels in (batch.labels, batch.mixed.labels)
        )
        return (batch.mixed.share * own + (1 - batch.mixed.share) * other).mean()

    def remembered(self, network: nn.Module, inputs: Tensor, read: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Its logits; see :func:`pipeline.tasks.distillation.kept_logits.kept_logits`."""
        from pipeline.tasks.distillation.kept_logits import kept_logits

        return kept_logits(read(network(inputs).float()))

    def shared(self, kept: Mapping[str, Tensor], classes: int) -> dict[str, Tensor]:
        """All logits, float16 (images, classes)."""
        from pipeline.tasks.distillation.kept_logits import logits_of

        return {"logits": logits_of(kept, classes).half()}

    def taken(self, shared: Mapping[str, Tensor], have: Sequence[str], want: Sequence[str]) -> dict[str, Tensor]:
        """The logits with their columns in the wanted order."""
        from pipeline.tasks.distillation.kept_logits import kept_logits

        if shared["logits"].shape[1] != len(have):
            raise IndexError(shared["logits"].shape[1])  # which column is which class nobody knows
        return kept_logits(shared["logits"][:, [have.index(name) for name in want]])

    def distillation_loss(
        self, student: Tensor, teachers: Sequence[Mapping[str, Tensor]], batch: Batch, teaching: Teaching
    ) -> Tensor:
        """The weighted sum of the losses that are asked for, each against what the teachers say together; a scalar.

        Args:
            student: Logits, (batch, classes).
            teachers: What each says of the batch, as of :meth:`remembered`.
            batch: Whose labels some losses look at.
            teaching: Which losses, and how.
        """
        from pipeline.tasks.distillation.kept_logits import logits_of
        from pipeline.tasks.distillation.losses import LOSSES
        from pipeline.tasks.distillation.precision import at_least_single
        from pipeline.tasks.distillation.soft_targets import ensemble_logits, standardised

        student = at_least_single(student)
        logits = [logits_of(said, student.shape[1]).to(student.device) for said in teachers]
        said = ensemble_logits(logits, teaching.weighting)
        if teaching.standardise:
            student, said = standardised(student), standardised(said)
        targets = (said / teaching.temperature).softmax(dim=1)
        terms = [
            weight * LOSSES[name](student, targets, _tensor(batch.labels), temperature=teaching.temperature)
            for name, weight in teaching.losses.items()
            if name in LOSSES
        ]
        return sum(terms, start=student.new_zeros(()))

    def gives_probabilities(self, outputs: Sequence[Outputs]) -> bool:
        """Whether every image's answers are at least 0 and add up to 1: the network ends in softmax."""
        return all(bool((one >= 0).all()) and abs(float(one.sum()) - 1) < _ADDS_UP for one in _logits(outputs))

    def told_with(self, outputs: Sequence[Outputs]) -> Json:
        """``probabilities`` of a network that ends in softmax or sigmoid, else ``logits``."""
        return "probabilities" if self.gives_probabilities(outputs) else "logits"

    def in_images(
        self,
        outputs: Sequence[Outputs],
        samples: Sequence[Sample],  # noqa: ARG002 - a class has no place
        preprocess: PreprocessSpec,  # noqa: ARG002
    ) -> Sequence[Outputs]:
        """The same."""
        return outputs

    def score(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> Accuracy:
        """Top-1: the fraction of images whose largest logit is their label's."""
        classes = self.decide(outputs)
        hits = tuple(float(one == _class_of(sample)) for one, sample in zip(classes, samples, strict=True))
        return Accuracy(
            metric=self.metric,
            value=sum(hits) / len(hits),
            n=len(hits),
            per_image=hits,
            decisions=classes,
            calibration_error=_calibration_error(self._shares(outputs).max(axis=1), np.array(hits)),
        )

    def _shares(self, outputs: Sequence[Outputs]) -> Array:
        """Probabilities, (images, classes)."""
        rows: Array = np.stack(_logits(outputs)).astype(np.float64)
        shares: Array = rows if self.gives_probabilities(outputs) else scipy_part("special").softmax(rows, axis=1)
        return shares

    def told_in_images(self, told: Json) -> Json:
        """The same."""
        return told

    def metric_of(self, per_image: Sequence[Json]) -> Callable[[Sequence[int]], float]:
        """The mean of hits and misses."""
        return lambda times: float(np.average(per_image, weights=times))

    def hardly_learned(self, found: Accuracy, samples: Sequence[Sample]) -> str | None:
        """That it is right hardly more often than who always names the commonest class."""
        guess = max(Counter(_class_of(sample) for sample in samples).values()) / len(samples)
        if found.value - guess >= _LEARNED * (1 - guess):
            return None
        return f"is right on {100 * found.value:.2f} %, guessing the commonest class on {100 * guess:.2f} %"

    def mean_loss(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> float:
        """Mean cross-entropy, nats."""
        likely = scipy_part("special").log_softmax(np.stack(_logits(outputs)).astype(np.float64), axis=1)
        return -float(np.mean([row[_class_of(sample)] for row, sample in zip(likely, samples, strict=True)]))

    def in_order(self, outputs: Sequence[Outputs], have: Sequence[str], want: Sequence[str]) -> Sequence[Outputs]:
        """The logits with their columns in the wanted order.

        Raises:
            DataError: when a wanted class is not among those there are.
        """
        if tuple(have) == tuple(want):
            return outputs
        place = {name: column for column, name in enumerate(have)}
        lacking = [name for name in want if name not in place]
        if lacking:
            raise DataError(
                f"the model does not know class {lacking[0]!r}",
                got=f"{len(have)} classes",
                expected="those of the data",
            )
        columns = [place[name] for name in want]
        return [(logits[columns],) for logits in _logits(outputs)]

    def difference(self, wanted: Sequence[Array], found: Sequence[Array]) -> float:
        """The largest difference of a logit."""
        return largest_difference(wanted, found)

    def noise(self, outputs: Sequence[Outputs], reference: Sequence[Outputs]) -> float:
        """Energy of the change over energy of the logits."""
        return output_noise(outputs, reference)

    def about_equal(self, first: Outputs, second: Outputs, tolerance: float) -> bool:
        """Of logits the largest difference counts."""
        (one,), (other,) = first, second
        return bool(np.abs(one - other).max() <= tolerance * np.abs(one).max()) if one.size else True

    def decide(self, outputs: Sequence[Outputs]) -> tuple[Json, ...]:
        """The index of each image's largest logit."""
        return tuple(int(np.argmax(logits)) for logits in _logits(outputs))

    def alike(self, first: Sequence[Json], second: Sequence[Json]) -> tuple[bool, ...]:
        """Whether both say the same class."""
        return tuple(a == b for a, b in zip(first, second, strict=True))

    def marks(self, sample: Sample, decision: Json | None = None) -> tuple[Mark, ...]:  # noqa: ARG002 - no places
        """None: a class is of the whole image."""
        return ()


def _calibration_error(confidence: Array, hits: Array) -> float:
    """Expected calibration error over 15 bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", 2017 (arXiv:1706.04599), equation 3.
    """
    bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    gaps = [abs(float((hits - confidence)[bins == one].sum())) for one in range(_BINS)]
    return sum(gaps) / len(hits)


def _class_of(sample: Sample) -> int:
    """The image's class.

    Raises:
        DataError: for an image of which objects are known in place of a class.
    """
    if not isinstance(sample.label, int):
        raise DataError("this image has boxes and no class", where=str(sample.path), fix="name a network that detects")
    return sample.label


def _tensor(labels: Labels) -> Tensor:
    """Labels of a classification, which are a tensor."""
    from torch import Tensor

    assert isinstance(labels, Tensor)  # noqa: S101 - made by collated
    return labels


def _logits(outputs: Sequence[Outputs]) -> list[Array]:
    """The one output of each image, (classes,)."""
    return [logits for (logits,) in outputs]
