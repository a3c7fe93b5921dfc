"""What a network turns out to be when it is tried for a second: does it answer, can it be pruned, is it one function?

Tried with random images before hours are spent, and remembered: a later run of the same network asks the store.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.chain.keys import key_of
from pipeline.environment import versions
from pipeline.errors import EdgewrightError, ResourceError, UsageError
from pipeline.pruning.importance.criteria import NEED_GRADIENTS
from pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.chain.plan import Plan
    from pipeline.models.source import OneNumber
    from pipeline.pruning.stem_stride import StemStride
    from pipeline.session import Outputs
    from pipeline.store import Store
    from pipeline.subject import Parts
    from pipeline.tasks import Task

__all__ = ["FROZEN", "Trial", "known_trial", "try_network"]

FROZEN = "all its parameters are frozen (requires_grad=False)"
"""Why a network cannot be trained though it has a loss."""

_VERSION = 16
_RECORDS = "trials"
_IMAGES = 4
_FED_IMAGES = 64
_HELD_IMAGES = 8
"""On so many of which a user's own network with weights is compared with the form that is deployed."""
_OF_CUTTING = {"ratio", "blocks", "channels", "importance", "scope", "keep", "rounds", "round_to"}
"""Fields of prune that decide whether a network can be cut."""
_ALONE = 1e-3
"""Of the largest output: kernels for one image and for several differ in their last places."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What was found out.

    Attributes:
        unprunable: Why its channels cannot be pruned; None when they can, or pruning is left out.
        one_number: What it answers with where it answers for two classes with one number.
        reading: What it says of how its outputs are to be read; None where it says nothing.
        notes: What the user should know of the network before they believe a figure of it.
        fed_otherwise: Why its given weights were made on inputs of another kind; None where nothing says so.
        weights_bytes: Of all its tensors; None where that was not looked at.
        untrained: Why it cannot be trained; None when it can.
    """

    unprunable: str | None = None
    one_number: OneNumber | None = None
    reading: Json = None
    notes: tuple[str, ...] = ()
    fed_otherwise: str | None = None
    weights_bytes: int | None = field(default=None, compare=False)
    untrained: str | None = None


def _key(plan: Plan, parts: Parts, *, prune: bool) -> str:
    section = plan.recipe.prune
    components: dict[str, Json] = {
        "stage": "trial",
        "version": _VERSION,
        "model": parts.model.identity(),
        "weights": parts.weights.identity(),
        "classes": len(parts.dataset.classes),
        "input": list(parts.preprocess.shape),
        "smaller": [list(shape) for shape in _smaller(plan, parts)],
        "stem": _stem(plan, parts),
        "prune": section.model_dump(mode="json", include=_OF_CUTTING) if prune else None,
        "trains": _trains(plan, parts),
        "fed": _fed(plan, parts),
        "held": _is_own_student(plan, parts),
        "versions": versions(("torch", "torchvision", "timm", "torch-pruning")),
    }
    return key_of(components)


def _fed(plan: Plan, parts: Parts) -> Json:
    """The images that given weights are asked about, and how they become inputs; None where there are none given."""
    if parts.weights.origin == "scratch":
        return None
    return {
        "images": parts.dataset.split_identity("calibration"),
        "preprocess": parts.preprocess.model_dump(mode="json"),
        "open": {**_open(plan, parts)},
    }


def _open(plan: Plan, parts: Parts) -> dict[str, bool]:
    """Of what of its input the network's own transform is asked: of what the user did not say.

    That of a YOLO network is a form of ours, which nobody's weights were trained with.
    """
    ours = parts.model.origin == "yolo"
    return {
        "colours": not ours and parts not in plan.normalised_as_said,
        "sides": not ours and parts not in plan.sized_as_said,
        "ratio": parts.model.origin == "file" and parts not in plan.resized_as_said,
    }


def known_trial(plan: Plan, parts: Parts, store: Store, *, prune: bool) -> Trial | None:
    """What an earlier run found out about a network; None when it was never tried. Arguments as of `try_network`.

    An ONNX file is tried by its import, which is the first stage and takes seconds.
    """
    if parts.model.origin == "onnx":
        return Trial()
    value = store.get_record(_RECORDS, _key(plan, parts, prune=prune))
    return None if value is None else Trial(**{**value, "notes": tuple(value["notes"])})


def try_network(plan: Plan, parts: Parts, store: Store, *, prune: bool) -> Trial:
    """Build a network, load its weights, let it answer, take channels out of it; nothing of it is kept.

    Given weights are fed calibration images too: what its batch norms remember is only known before any training.

    Args:
        plan: Says how it would be trained and pruned.
        parts: The network: the student's or a teacher's.
        store: Where what was found out is remembered.
        prune: Whether it is to be pruned.

    Raises:
        UsageError: when a factory fails, the network does not take the input or answer for the classes, or its stem
            cannot be what is asked for.
        WeightsError: when given weights do not fit.
        DataError: when a calibration image cannot be read.
    """
    import torch

    from pipeline.models.build import build_network
    from pipeline.models.reparametrised import make_plain
    from pipeline.models.weights import load_weights
    from pipeline.pruning.stem_stride import stride_further

    classes, task = len(parts.dataset.classes), parts.task
    shape, key = parts.preprocess.shape, _key(plan, parts, prune=prune)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.randn(_IMAGES, *shape[1:])
        one_number = task.one_number(build_network(parts.model, classes=classes), images) if classes == 2 else None
        model = replace(parts.model, one_number=one_number)
        network = build_network(model, classes=classes)
        loaded = load_weights(network, parts.weights, classes=classes)
        untrained = task.why_untrained(network) or (_why_frozen(network) if _trains(plan, parts) else None)
        trains = untrained is None and _trains(plan, parts)
        task.check(network, shape, classes=classes, trained=False)
        # Asked before training mode moves what norms remember.
        fed_otherwise = None if loaded.fresh_head else _fed_otherwise(network, plan, parts)
        with torch.no_grad():
            answers = task.outputs_of(network.eval(), images)
        remarks = task.remarks(answers, parts.dataset.classes, one_number, trained=trains)
        told = (*remarks, *_otherwise_deployed(network, plan, parts, images))
        notes = (*(f"{parts.model.name}: {remark}" for remark in told), *_doubts(task, network, images))
        task.check(network, shape, classes=classes, trained=trains)
        smaller = _smaller(plan, parts)
        for fed in smaller:
            with _asked_for("downsample.size"):
                task.check(network, fed, classes=classes, trained=trains)
        reading = task.read_from(network)
        make_plain(network, torch.randn(shape))
        weights_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
        if stem := _stem(plan, parts):
            fed = [shape, *smaller][-1]
            stride_further(network, fed, stem)
            with _asked_for("downsample.stem"):
                task.check(network, fed, classes=classes, trained=trains)
        prune = prune and untrained is None
        unprunable = _why_dense(network, plan, replace(parts, model=model)) if prune else None
    trial = Trial(
        unprunable=unprunable,
        one_number=one_number,
        reading=reading,
        notes=notes,
        fed_otherwise=fed_otherwise,
        weights_bytes=weights_bytes,
        untrained=untrained,
    )
    store.put_record(_RECORDS, key, asdict(trial) | {"notes": list(notes)})
    return trial


def _fed_otherwise(network: nn.Module, plan: Plan, parts: Parts) -> str | None:
    """Why given weights were made on inputs of another kind, as far as the network says so or remembers those."""
    from pipeline.data.dataset import read_images, side_ratio
    from pipeline.models.normalisation import contradiction, normalisation_doubt

    if parts.weights.origin == "scratch":
        return None
    asked, samples = _open(plan, parts), parts.dataset.calibration[:_FED_IMAGES]
    ratio = side_ratio(samples) if asked["ratio"] and samples else None
    doubt = contradiction(network, parts.preprocess, colours=asked["colours"], sides=asked["sides"], ratio=ratio)
    if doubt is not None:
        return doubt
    images = list(read_images(samples, parts.preprocess))
    return normalisation_doubt(network.eval(), images)


def _otherwise_deployed(network: nn.Module, plan: Plan, parts: Parts, images: Tensor) -> tuple[str, ...]:
    """What is to be said of a user's own network whose class may answer otherwise than the form that is deployed.

    Args:
        network: In evaluation mode.
        plan: As of :func:`try_network`.
        parts: Likewise. A teacher is asked itself.
        images: Random ones, for a network that knows nothing of the data's.
    """
    import torch

    from pipeline.data.dataset import read_images

    if not _is_own_student(plan, parts):
        return ()
    trained = parts.weights.origin != "scratch"
    if trained:
        samples = parts.dataset.calibration[:_HELD_IMAGES]
        if not samples:  # of a data set of next to nothing
            return ()
        read = read_images(samples, parts.preprocess)
        images = torch.cat([torch.from_numpy(image) for image in read])
    doubt = parts.task.doubt_of_form(network, images, trained=trained)
    return () if doubt is None else (doubt,)


def _is_own_student(plan: Plan, parts: Parts) -> bool:
    """Whether it is what will be deployed, and a network of the user's."""
    return parts == plan.parts and parts.model.origin == "file"


@contextmanager
def _asked_for(key: str) -> Iterator[None]:
    """Within it what a network does not take is told of the key that asks for it: as it is it takes its input.

    Raises:
        UsageError: that of within.
    """
    try:
        yield
    except UsageError as error:
        raise UsageError(error.what, where=key, got=error.got, expected=error.expected, fix="leave it out") from error


def _smaller(plan: Plan, parts: Parts) -> list[tuple[int, ...]]:
    """The shape of the smaller input that is asked for of the student."""
    size = plan.recipe.downsample.height_and_width
    if size is None or not plan.downsamples or parts != plan.parts:
        return []
    return [parts.preprocess.at(size).shape]


def _stem(plan: Plan, parts: Parts) -> StemStride | None:
    """What is asked for of the student's stem."""
    return plan.recipe.downsample.stem if plan.downsamples and parts == plan.parts else None


def _trains(plan: Plan, parts: Parts) -> bool:
    return parts.weights.origin == "scratch" or bool({"distill", "prune"} - set(plan.skipped)) or plan.downsamples


def _why_frozen(network: nn.Module) -> str | None:
    """Why nothing of the network can learn; None where some of it can."""
    return None if any(parameter.requires_grad for parameter in network.parameters()) else FROZEN


def _why_dense(network: nn.Module, plan: Plan, parts: Parts) -> str | None:
    """Why no channels can be taken out of the network; it is of no use afterwards."""
    from pipeline.pruning.channel_groups import ChannelGroups, kept_layers
    from pipeline.pruning.residual_blocks import removable, remove_blocks

    section, shape = plan.recipe.prune, parts.preprocess.shape
    kept_layers(network, section.keep)
    if section.blocks and section.blocks != "auto":
        found = removable(network, shape, section.blocks, section.keep)
        remove_blocks(network, found[: section.blocks] if isinstance(section.blocks, int) else found)
    if not section.cuts_channels:
        return None
    try:
        cutter = ChannelGroups.of(network, Subject(parts=parts), importance=section.importance, keep=section.keep)
        if section.importance in NEED_GRADIENTS:
            _hold_gradients(network)
        before: dict[str, int] = {}
        for number in range(1, section.rounds + 1):
            section.cut_round(cutter, before, number)
    except (UsageError, ResourceError):
        raise
    except EdgewrightError as error:
        return f"{error.what}: {error.got}" if error.got else error.what
    network.zero_grad(set_to_none=True)
    try:
        parts.task.check(network, shape, classes=len(parts.dataset.classes), trained=_trains(plan, parts))
    except UsageError as error:
        return f"with fewer channels {error.what}: {error.got}"
    return None


def _hold_gradients(network: nn.Module) -> None:
    """Any: which channels go does not matter here, but whether they can be judged so."""
    import torch

    for parameter in network.parameters():
        if parameter.is_floating_point():
            parameter.grad = torch.randn_like(parameter)


def _doubts(task: Task, network: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Whether the network is one function of one image: figures of one that is not depend on what it saw before."""
    import torch

    before = {name: buffer.detach().clone() for name, buffer in network.named_buffers()}
    with torch.no_grad():
        (alone,), (again,) = (_copied(task.outputs_of(network, images[:1].clone())) for _ in range(2))
        among = _among_others(task, network, images)
    moved = [name for name, buffer in network.named_buffers() if not _same(before[name], buffer)]
    notes = []
    if moved:
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        notes.append(
            f"the network changes its own buffers when it answers ({moved[0]}{more}): what it answers depends on the "
            "images before; is a batch norm left in training mode?"
        )
    elif not task.about_equal(alone, again, _ALONE):
        notes.append("the network answers the same image differently each time; is something random left on?")
    elif among is not None and not task.about_equal(alone, among, _ALONE):
        notes.append(
            "the network's answer for an image depends on the other images of its batch: on the device, which sees "
            "one at a time, it is another function than in training"
        )
    return tuple(notes)


def _copied(outputs: Sequence[Outputs]) -> list[Outputs]:
    """Outputs that no later call of the network can change."""
    return [tuple(one.copy() for one in image) for image in outputs]


def _among_others(task: Task, network: nn.Module, images: Tensor) -> Outputs | None:
    """The answer for the first image as one of several; None for a network that takes one image only."""
    try:
        answers = task.outputs_of(network, images.clone())
    except Exception:  # noqa: BLE001 - any failure of a user's forward; with training ahead it was met before this
        return None
    return answers[0] if len(answers) == len(images) else None


def _same(one: Tensor, other: Tensor) -> bool:
    return bool((one == other).all())
