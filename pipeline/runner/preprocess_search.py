"""Which of the usual preprocessings a trained network was trained with: tried on calibration images and their labels.

The test split is not looked at. First every size with every normalisation on few images, then the best of these and the
plan's own on more, with the channels in both orders, resized as the plan has it, and with and without a centre crop;
where places count, in a letterbox too.
"""

from __future__ import annotations

import math
import shlex
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.data.dataset import judged_samples, read_image, shorter_side
from pipeline.errors import DataError, UsageError
from pipeline.image_input import normalised
from pipeline.preprocess import PreprocessSpec
from pipeline.recipe import InputSection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pipeline.chain.plan import Plan
    from pipeline.data import Sample
    from pipeline.progress import Progress
    from pipeline.session import Array, Outputs
    from pipeline.tasks import Task

__all__ = ["Tried", "try_preprocessings"]

_Colours = tuple[float, float, float]

NORMALISATIONS: dict[str, tuple[_Colours, _Colours]] = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "to -1..1": ((0.5,) * 3, (0.5,) * 3),
    "to 0..1": ((0.0,) * 3, (1.0,) * 3),
    "0..255": ((0.0,) * 3, (1 / 255,) * 3),
    "0..255 less ImageNet's mean": ((0.485, 0.456, 0.406), (1 / 255,) * 3),
}
"""Those that published networks are trained with: torchvision's, TensorFlow's, none, raw bytes, Caffe's."""

_FEW, _MANY = 64, 256
_BEST = 4
"""The last of them is the plan's own, where that is not among the others."""
_BATCH = 16
_BATCH_PIXELS = _BATCH * 224 * 224
"""Of larger inputs fewer are a batch, which so needs no more memory."""
_CROPPED = 256 / 224


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A preprocessing and what the network makes of images prepared so.

    Attributes:
        name: Of its normalisation.
        accuracy: The task's metric, a fraction of 1.
        loss: The task's mean loss, by which equal accuracies are told apart.
        images: How many.
    """

    spec: PreprocessSpec
    name: str
    accuracy: float
    loss: float
    images: int

    def settings(self) -> str:
        """As typed for ``deploy``."""
        height, width = self.spec.size
        size = str(height) if height == width else f"[{height},{width}]"
        values = {
            "size": size,
            "resize": str(self.spec.resize),
            "mean": _short(self.spec.mean),
            "std": _short(self.spec.std),
            "channels": self.spec.channels,
        }
        if self.spec.resize == "letterbox":
            values |= {"place": str(self.spec.place), "fill": str(self.spec.fill)}
        return " ".join(f"--set {shlex.quote(f'input.{key}={value}')}" for key, value in values.items())


def _short(values: Sequence[float]) -> str:
    told = [f"{value:.6g}" for value in values]
    return told[0] if len(set(told)) == 1 else f"[{','.join(told)}]"


def try_preprocessings(plan: Plan, progress: Progress) -> list[Tried]:
    """Every candidate with its accuracy, the best first.

    Args:
        plan: Its network, weights and calibration images; its preprocessing is one of the candidates.
        progress: Told of each of them.

    Raises:
        UsageError: when the network is not trained, or takes none of the candidates.
        DataError: when there are no calibration images.
    """
    if plan.parts.weights.origin == "scratch":
        raise UsageError(
            "a network that is not trained answers the same however it is fed",
            got=plan.parts.weights.reason,
            fix="give its weights with --weights",
        )
    samples = plan.parts.dataset.calibration[:_MANY]
    if not samples:
        raise DataError("there are no calibration images", where=plan.recipe.data.source, fix="add images to the data")
    with _network(plan) as network:
        return _searched(plan, network, samples, progress)


def _searched(plan: Plan, network: _Network, samples: Sequence[Sample], progress: Progress) -> list[Tried]:
    """As of :func:`try_preprocessings`, on those samples."""
    few, base, task = judged_samples(samples, _FEW), plan.parts.preprocess, network.task
    sizes, normalisations = _sizes(plan, samples, network.size), _normalisations(base)
    found: list[Tried] = []
    refused = ""
    trials = len(sizes) * len(normalisations) + _BEST * len(_variants(base, base, placed=task.placed))
    with progress.track("trying preprocessings", trials) as ticker:
        for size in sizes:
            sized = base.resized("squash").at(size)
            images = _Images(few, sized)
            for name, normalisation in normalisations.items():
                try:
                    found.append(_tried(task, network, name, sized.model_copy(update=normalisation), images))
                except UsageError as error:
                    refused = str(error)
                ticker.advance()
        if not found:
            raise UsageError("the network takes none of the usual sizes", got=refused, fix="set input.size")
        *others, last = sorted(found, key=_rank)[:_BEST]
        own = next((one for one in found if one.spec.resized_as(base) == base), last)
        best = [*others, last if own in others else own]
        judged = []
        for one in best:
            for spec in _variants(one.spec, base, placed=task.placed):
                judged.append(_tried(task, network, one.name, spec, _Images(samples, spec)))
                ticker.advance()
    rest = [one for one in found if one not in best]
    return sorted(judged, key=_rank) + sorted(rest, key=_rank)


def _rank(one: Tried) -> tuple[float, float]:
    return -one.accuracy, one.loss


def _sizes(plan: Plan, samples: Sequence[Sample], own: tuple[int, int] | None) -> list[tuple[int, int]]:
    """The plan's, the network's own, that of the images where it can be one, and those that are usual for the task.

    Of a file with one size that alone.
    """
    image = plan.parts.model.image
    if image is not None and image.size is not None:
        return [image.size]
    side = round(shorter_side(samples[:_FEW]))
    sizes = [plan.parts.preprocess.size, *([own] if own else [])]
    sizes += [(side, side)] if 16 <= side <= 512 else []
    return list(dict.fromkeys([*sizes, *((usual, usual) for usual in plan.parts.task.usual_sizes)]))


def _normalisations(base: PreprocessSpec) -> dict[str, dict[str, Any]]:
    """Name to mean and std, for so many channels: the usual ones, and the plan's own where it is none of these."""
    names = {(base.mean, base.std): "the plan's"}
    for name, (mean, std) in NORMALISATIONS.items():
        fitting = InputSection(channels=base.channels).over(PreprocessSpec(size=base.size, mean=mean, std=std))
        names[fitting.mean, fitting.std] = name
    return {name: {"mean": mean, "std": std} for (mean, std), name in names.items()}


def _variants(spec: PreprocessSpec, base: PreprocessSpec, *, placed: bool) -> list[PreprocessSpec]:
    """Both orders of colours, resized as the plan has it, and with and without the customary centre crop.

    Args:
        spec: Its size and normalisation are those of all.
        base: The plan's.
        placed: Whether places count: then a letterbox is one of them.
    """
    resized = [spec.resized_as(base), spec.resized("squash"), spec.resized(round(_CROPPED * max(spec.size)))]
    if placed and base.resize != "letterbox":
        resized.append(spec.resized("letterbox"))
    return [
        one.model_copy(update={"channels": channels})
        for channels in (("gray",) if spec.channels == "gray" else ("RGB", "BGR"))
        for one in dict.fromkeys(resized)
    ]


class _Images:
    """Labelled images as bytes, resized and cropped; decoded once for all normalisations."""

    def __init__(self, samples: Sequence[Sample], spec: PreprocessSpec) -> None:
        self.pixels = [read_image(sample, spec, "uint8") for sample in samples]
        self.samples = samples


def _tried(task: Task, network: _Network, name: str, spec: PreprocessSpec, images: _Images) -> Tried:
    fields, count = spec.model_dump(mode="json"), len(images.samples)
    each = min(_BATCH, max(1, _BATCH_PIXELS // math.prod(spec.size)))
    batches = [images.pixels[start : start + each] for start in range(0, count, each)]
    answered = [
        row for batch in batches for row in network.answers(np.stack([normalised(one, fields) for one in batch]))
    ]
    outputs = task.in_images(answered, images.samples, spec)
    return Tried(
        spec=spec,
        name=name,
        accuracy=task.score(outputs, images.samples).value,
        loss=task.mean_loss(outputs, images.samples),
        images=count,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Network:
    """What is asked.

    Attributes:
        answers: From inputs, float32 (images, 3, height, width), to outputs, image by image; raises a UsageError for a
            size that the network does not take.
        task: That reads its outputs as the network says.
        size: Height and width to which it resizes images itself; None where it says nothing.
    """

    answers: Callable[[Array], list[Outputs]]
    task: Task
    size: tuple[int, int] | None = None


def _network(plan: Plan) -> AbstractContextManager[_Network]:
    """It ends with the block."""
    return _of_onnx(plan) if plan.parts.model.origin == "onnx" else nullcontext(_of_torch(plan))


def _of_torch(plan: Plan) -> _Network:
    import torch

    from pipeline.models.build import build_network
    from pipeline.models.model_file import describe
    from pipeline.models.normalisation import own_size
    from pipeline.models.weights import load_weights

    parts, classes = plan.parts, len(plan.parts.dataset.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        probe = torch.randn(2, *parts.preprocess.shape[1:])
        network = build_network(parts.model, classes=classes).eval()
        one_number = parts.task.one_number(network, probe) if classes == 2 else None
        network = build_network(replace(parts.model, one_number=one_number), classes=classes)
    if load_weights(network, parts.weights, classes=classes).fresh_head:
        raise UsageError(
            "these weights are for other classes, so that no preprocessing can be told from another",
            where=plan.recipe.model,
            fix="give weights that were trained on the data's classes",
        )
    network.eval()

    def answers(batch: Array) -> list[Outputs]:
        try:
            with torch.inference_mode():
                return parts.task.outputs_of(network, torch.from_numpy(batch))
        except Exception as error:  # whatever a user's forward raises
            raise UsageError("the network does not take this", got=describe(error)) from error

    reading = parts.task.read_from(network)
    task = parts.task if reading is None else parts.task.reading(reading)
    return _Network(answers=answers, task=task, size=own_size(network))


@contextmanager
def _of_onnx(plan: Plan) -> Iterator[_Network]:
    from pipeline.lowering.onnx_import.child import OnnxChild
    from pipeline.lowering.onnx_import.file_reference import FileReference
    from pipeline.models.onnx_file import load_onnx, read_onnx_file

    parts = plan.parts
    assert parts.model.file is not None  # noqa: S101 - an ONNX model has one
    with OnnxChild() as child:
        reference = FileReference(read_onnx_file(parts.model.file), load_onnx(parts.model.file), child)

        def answers(batch: Array) -> list[Outputs]:
            if not reference.answer:
                reference.choose_answer(batch[:1], asked=parts.model.output, classes=len(parts.dataset.classes))
            return [tuple(output[0] for output in reference.outputs(image[None])) for image in batch]

        yield _Network(answers=answers, task=parts.task)
