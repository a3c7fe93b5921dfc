"""Losses on what is inside the networks: pairs of layers of student and teacher, found by their resolution."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from pipeline.errors import UsageError
from pipeline.tasks.distillation.precision import at_least_single
from pipeline.tasks.distillation.teaching import OF_LAYERS
from pipeline.training.beside import Beside, shares_of
from pipeline.training.renormalised import renormalised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from pipeline.training.images import Batch

__all__ = ["FeatureLosses", "LayerPair", "attention", "pairs_by_name", "pairs_by_resolution"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerPair:
    """Two layers that are compared.

    Attributes:
        student: Name of the layer in the student.
        teacher: Name of the layer in the teacher.
        channels: Of each.
    """

    student: str
    teacher: str
    channels: tuple[int, int]


def pairs_by_resolution(student: nn.Module, teacher: nn.Module, images: Tensor) -> list[LayerPair]:
    """For every resolution that both have, the last module of each that gives it, of the outermost that do.

    So a stage is compared with a stage, and no layer within the first block of the next one, which may still be of
    that resolution. A module that is called several times is known by its last call.

    Args:
        student: Network; is left in evaluation mode.
        teacher: Likewise.
        images: A few inputs, (batch, channels, height, width).

    Raises:
        UsageError: when they have none in common.
    """
    ours, theirs = (_last_of_each_resolution(network, images) for network in (student, teacher))
    common = [size for size in ours if size in theirs]
    if not common:
        raise UsageError(
            "student and teacher have no layers of the same resolution, so that none can be compared",
            got=f"{sorted(ours)} and {sorted(theirs)}",
            fix="leave 'features' and 'attention' out of distill.losses, or take a teacher of the same strides",
        )
    return [
        LayerPair(student=ours[size][0], teacher=theirs[size][0], channels=(ours[size][1], theirs[size][1]))
        for size in common
    ]


def pairs_by_name(student: nn.Module, teacher: nn.Module, images: Tensor, named: Mapping[str, str]) -> list[LayerPair]:
    """The pairs that a user names: layers of the student to layers of the teacher.

    Args:
        student: Network; is left in evaluation mode.
        teacher: Likewise.
        images: A few inputs, (batch, channels, height, width).
        named: Module names, the student's first.

    Raises:
        UsageError: when there is no such layer, or both do not answer with maps of one resolution.
    """
    ours = _maps_of("student", student, set(named), images)
    theirs = _maps_of("teacher", teacher, set(named.values()), images)
    for before, after in named.items():
        if ours[before].shape[-2:] != theirs[after].shape[-2:]:
            raise UsageError(
                "layers of different resolutions cannot be compared",
                where="distill.pairs",
                got=f"{before} {tuple(ours[before].shape[-2:])}, {after} {tuple(theirs[after].shape[-2:])}",
                fix="name layers of one resolution; without names they are found by it",
            )
    return [
        LayerPair(student=before, teacher=after, channels=(ours[before].shape[1], theirs[after].shape[1]))
        for before, after in named.items()
    ]


def _maps_of(whom: str, network: nn.Module, names: set[str], images: Tensor) -> dict[str, Tensor]:
    """What the layers of these names answer, (batch, channels, height, width).

    Raises:
        UsageError: when there is no such layer, or it answers with no map.
    """
    there = [name for name, _ in network.named_modules() if name]
    for name in sorted(names):
        if name not in there:
            near = get_close_matches(name, there, n=3, cutoff=0.0)
            raise UsageError(
                f"the {whom} has no such layer",
                where="distill.pairs",
                got=name,
                expected=f"one of its {len(there)}, such as {', '.join(near)}",
            )
    seen: dict[str, object] = {}
    _watched(network, images, seen.__setitem__)
    maps = {name: one for name in names if isinstance(one := seen.get(name), torch.Tensor) and one.ndim == 4}
    flat = sorted(names - maps.keys())
    if flat:
        raise UsageError(
            f"this layer of the {whom} gives no map",
            where="distill.pairs",
            got=f"{flat[0]}, which {_described(seen.get(flat[0]))}",
            expected="a layer that answers (batch, channels, height, width)",
        )
    return maps


def _described(output: object) -> str:
    if isinstance(output, torch.Tensor):
        return f"answers {tuple(output.shape)}"
    return "is not called" if output is None else f"answers {type(output).__name__}"


def _last_of_each_resolution(network: nn.Module, images: Tensor) -> dict[tuple[int, int], tuple[str, int]]:
    """Resolution, largest first, to the name and channels of the module that gives it; 1x1 has no resolution."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: object) -> None:
        shapes.pop(name, None)  # what is watched later is the last call, in its place among the others
        if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[-2:]) > 1:
            shapes[name] = tuple(output.shape)

    _watched(network, images, note)
    found: dict[tuple[int, int], tuple[str, int]] = {}
    for name, (_, channels, *size) in shapes.items():
        resolution = (size[0], size[1])
        if resolution not in found or name.count(".") <= found[resolution][0].count("."):
            found[resolution] = (name, channels)
    return dict(sorted(found.items(), reverse=True))


def _watched(network: nn.Module, images: Tensor, note: Callable[[str, object], None]) -> None:
    """Let the network, left in evaluation mode, answer, and hear what each of its layers answers."""
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()


class FeatureLosses(nn.Module):
    """What layers of the student lack to those of the teachers, watched while the student runs.

    The teachers run beside the student on the same inputs: their features are too large to be kept.

    ``features``: mean squared difference after a learned 1x1 projection of the student's channels; Romero et al.,
    "FitNets", 2014 (arXiv:1412.6550), section 2.2, here all pairs at once and each divided by the energy of the
    teacher's features, so that no pair drowns another. ``attention``: squared difference of the normalised maps of
    squared activations, Zagoruyko and Komodakis, "Paying More Attention to Attention", 2017 (arXiv:1612.03928),
    equation 2.

    Args:
        student: Is watched; the hooks stay as long as this object.
        teachers: Networks; are not trained.
        images: A few inputs, to find the pairs by.
        weights: Of ``features`` and ``attention``; what is lacking is not compared.
        beside: What is to be known of each teacher; none: nothing.

    Raises:
        UsageError: when there is nothing to compare, or not what is named.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Sequence[nn.Module],
        images: Tensor,
        weights: Mapping[str, float],
        beside: Sequence[Beside] = (),
    ) -> None:
        super().__init__()
        beside = beside or [Beside()] * len(teachers)
        self._shares = shares_of(beside)
        self._weights = {name: weights[name] for name in OF_LAYERS if name in weights}
        self._changes = [one.change for one in beside]
        self._teachers = [teacher.eval().requires_grad_(requires_grad=False) for teacher in teachers]
        self.pairs = [
            pairs_by_name(student, teacher, images, one.pairs)
            if one.pairs
            else pairs_by_resolution(student, teacher, images)
            for teacher, one in zip(teachers, beside, strict=True)
        ]
        self._ours = _Watch(student, {pair.student for pairs in self.pairs for pair in pairs})
        self._theirs = [
            _Watch(teacher, {pair.teacher for pair in pairs})
            for teacher, pairs in zip(teachers, self.pairs, strict=True)
        ]
        projected = [pair for pairs in self.pairs for pair in pairs if "features" in self._weights]
        with torch.random.fork_rng(devices=[]):  # the same call trains to the same bits, whatever was drawn before
            torch.manual_seed(0)
            self.projections = nn.ModuleList(nn.Conv2d(*pair.channels, kernel_size=1, bias=False) for pair in projected)

    def forward(self, batch: Batch) -> Tensor:
        """A scalar, after the student has run on the batch."""
        total = batch.inputs.new_zeros(())
        projections = iter(self.projections)
        of_each = zip(self._teachers, self._changes, self._theirs, self.pairs, self._shares, strict=True)
        for teacher, change, watch, pairs, share in of_each:
            with torch.no_grad():
                teacher.to(batch.inputs.device)(renormalised(batch.inputs, change))
            for pair in pairs:
                ours, theirs = self._ours.seen[pair.student], at_least_single(watch.seen[pair.teacher])
                if "features" in self._weights:
                    projected = at_least_single(next(projections)(ours))
                    energy = theirs.pow(2).mean().clamp(min=1e-12)
                    total = total + share * self._weights["features"] * functional.mse_loss(projected, theirs) / energy
                if "attention" in self._weights:
                    apart = (attention(ours) - attention(theirs)).pow(2).sum(dim=1).mean()
                    total = total + share * self._weights["attention"] * apart
        return total

    def release(self) -> None:
        """Watch no longer; the student is as it was, and the teachers are on the CPU, where the next ones find them."""
        for watch in (self._ours, *self._theirs):
            watch.release()
        for teacher in self._teachers:
            teacher.to("cpu")


def attention(features: Tensor) -> Tensor:
    """Where a layer looks: the sum of its squared channels, of length 1, (batch, height * width)."""
    return functional.normalize(at_least_single(features).pow(2).mean(dim=1).flatten(start_dim=1), dim=1)


class _Watch:
    """Remembers the outputs of some layers of a network."""

    def __init__(self, network: nn.Module, names: set[str]) -> None:
        self.seen: dict[str, Tensor] = {}
        self._hooks = [
            network.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, output, name=name: self.seen.__setitem__(name, output)
            )
            for name in names
        ]

    def release(self) -> None:
        for hook in self._hooks:
            hook.remove()
