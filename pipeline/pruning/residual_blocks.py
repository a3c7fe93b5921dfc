"""Whole residual blocks that change little: what a network still does when one is left out.

Veit, Wilber and Belongie, "Residual Networks Behave Like Ensembles of Relatively Shallow Networks", 2016
(arXiv:1605.06431): a residual network goes on working when a block is taken out, since the sum passes its input on.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.recorded_forms import NoBlock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from torch import Tensor

    from pipeline.training.images import TrainingImages

__all__ = ["BlockChange", "changes", "changes_on", "removable", "remove_blocks", "residual_blocks"]

_IMAGES, _A_PASS = 512, 64
"""Of the training, to see what blocks do."""
_TOLERANCE = 1e-6
"""Of inputs up to 1: layouts that are changed and changed back are exact, and sums with zero too."""


@dataclass(frozen=True, slots=True)
class BlockChange:
    """How much a block does.

    Attributes:
        name: In the network.
        change: ||f(x) - x|| / ||x|| for what it answers to what it is given; the mean over images.
    """

    name: str
    change: float


@torch.no_grad()
def residual_blocks(network: nn.Module, input_shape: tuple[int, ...]) -> list[str]:
    """Names of the blocks that can be left out: those that pass their input on when all their weights are zero.

    So the smallest modules that answer their input plus what they make of it, in whichever words their ``forward``
    says so; also where a rectification follows the sum, since their input then has been through one.

    Args:
        network: In eval mode, on the CPU; as before afterwards.
        input_shape: (1, channels, height, width).
    """
    names = {module: name for name, module in network.named_modules() if name and _has_layers(module)}
    draw = torch.Generator().manual_seed(0)
    found: list[str] = []
    for module, shape in _shapes(network, names, torch.zeros(input_shape)).items():
        given = torch.rand(shape, generator=draw)  # not negative: a rectification leaves it as it is
        with _at_zero(module):
            answered = module(given.clone())
        if torch.allclose(answered, given, rtol=0, atol=_TOLERANCE):
            found.append(names[module])
    return [name for name in found if not any(other.startswith(f"{name}.") for other in found)]


def _has_layers(module: nn.Module) -> bool:
    """Whether it consists of others with weights: no layer, and more than a change of layout."""
    return next(module.children(), None) is not None and next(module.parameters(), None) is not None


def _shapes(network: nn.Module, modules: Collection[nn.Module], example: Tensor) -> dict[nn.Module, torch.Size]:
    """What the modules are given that are asked once, with one tensor, and answer with one of the same shape."""
    asked: dict[nn.Module, list[torch.Size | None]] = {module: [] for module in modules}

    def note(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], answered: object) -> None:
        alone = len(given) == 1 and not keywords and isinstance(given[0], torch.Tensor)
        same = alone and isinstance(answered, torch.Tensor) and answered.shape == given[0].shape
        asked[module].append(given[0].shape if same else None)

    handles = [module.register_forward_hook(note, with_kwargs=True) for module in modules]
    try:
        network(example)
    finally:
        for handle in handles:
            handle.remove()
    return {module: shapes[0] for module, shapes in asked.items() if len(shapes) == 1 and shapes[0] is not None}


@contextmanager
def _at_zero(module: nn.Module) -> Iterator[None]:
    """Parameters at zero, and what a frozen batch norm has in their place: buffers of those names."""
    frozen = (buffer for name, buffer in module.named_buffers() if name.rpartition(".")[2] in {"weight", "bias"})
    before = [(tensor, tensor.detach().clone()) for tensor in (*module.parameters(), *frozen)]
    for tensor, _ in before:
        tensor.zero_()
    try:
        yield
    finally:
        for tensor, value in before:
            tensor.copy_(value)


@torch.no_grad()
def changes(network: nn.Module, blocks: Collection[str], batches: Iterable[Tensor]) -> list[BlockChange]:
    """How much each block changes what passes through it, the least first.

    Args:
        network: In eval mode, on the CPU.
        blocks: Their names.
        batches: Inputs, each (batch, channels, height, width).
    """
    told: dict[str, list[Tensor]] = {name: [] for name in blocks}

    def note(name: str, given: Tensor, answered: Tensor) -> None:
        base = given.flatten(1).norm(dim=1).clamp_min(torch.finfo(given.dtype).tiny)
        told[name].append((answered - given).flatten(1).norm(dim=1) / base)

    given: dict[str, Tensor] = {}
    handles = [
        handle
        for name in blocks
        for handle in (
            network.get_submodule(name).register_forward_pre_hook(
                lambda _module, inputs, name=name: given.update({name: inputs[0].clone()})
            ),
            network.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, answered, name=name: note(name, given.pop(name), answered)
            ),
        )
    ]
    try:
        for batch in batches:
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return sorted(
        (BlockChange(name, float(torch.cat(figures).mean())) for name, figures in told.items()),
        key=lambda block: block.change,
    )


def changes_on(network: nn.Module, blocks: Collection[str], images: TrainingImages) -> list[BlockChange]:
    """The same on some of the training images, whoever asks on the same ones."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:_IMAGES]
    return changes(network, blocks, (batch.inputs for batch in images.batches(order, _A_PASS)))


def removable(
    network: nn.Module, input_shape: tuple[int, ...], asked: int | Collection[str], keep: Collection[str] = ()
) -> list[str]:
    """Names of the residual blocks of which some are to go; those that are named, where they are.

    Args:
        network: In eval mode, on the CPU.
        input_shape: (1, channels, height, width).
        asked: How many are to go, or which.
        keep: Names of layers; blocks around or inside one of them stay.

    Raises:
        UsageError: when there are fewer, or not those.
    """
    found = [
        name
        for name in residual_blocks(network, input_shape)
        if not any(f"{one}.".startswith(f"{name}.") or f"{name}.".startswith(f"{one}.") for one in keep)
    ]
    missing = [] if isinstance(asked, int) else [name for name in asked if name not in found]
    if missing or (isinstance(asked, int) and asked > len(found)):
        raise UsageError(
            "this network has no such residual block to give"
            if missing
            else "this network has not so many residual blocks to give",
            where="prune.blocks",
            got=", ".join(missing) if missing else str(asked),
            expected=("some of" if missing else f"at most {len(found)}:") + f" {', '.join(found)}"
            if found
            else "none: it has no such block",
        )
    return found if isinstance(asked, int) else list(dict.fromkeys(asked))  # named twice, a block still goes once


def remove_blocks(network: nn.Module, names: Iterable[str]) -> None:
    """Leave blocks out: what they are given goes on as it is."""
    for name in names:
        network.set_submodule(name, NoBlock())
