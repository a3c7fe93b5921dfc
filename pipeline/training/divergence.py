"""A training that diverges ends: before it moves a weight, leaves a state, or gives its network away."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from pipeline.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

    from pipeline.training.ranks import Ranks

__all__ = ["finite_loss", "refuse_infinite"]

_LEAST_SCALE = 2.0**-16
"""No gradient of a training overflows that is scaled by less: it is not finite by itself. A scaler, which halves its
scale of 65,536 whenever it leaves a step out, comes here after 33 of them in a row."""

_RUNNING = ("running_mean", "running_var")
"""Buffers of batch norms that follow the training; others may hold an infinity for good, such as a mask's."""


def finite_loss(
    value: Tensor, norm: Tensor | None, scaler: torch.amp.GradScaler | None, ranks: Ranks, *, where: str
) -> float:
    """The loss as a number; the gradient's length is looked at too, before it moves any weight.

    A gradient that is too long for fp16 is no error: the scaler leaves its step out and scales the next ones less.

    Args:
        value: The loss of this process's part of the step, a scalar.
        norm: Of the gradient before it was clipped, a scalar.
        scaler: Of the gradients, in fp16.
        ranks: Who shares the step: what is not finite in one of them ends the training in all.
        where: The step, for people.

    Returns:
        Its mean over the processes.

    Raises:
        EdgewrightError: when either is not finite.
    """
    assert norm is not None  # noqa: S101 - clipping by norm returns it
    told = ranks.mean(torch.stack([value.detach().float(), norm.detach().float()]))
    spoken, length = told.tolist()  # the one wait for the device in a step
    for what, figure in (("loss", spoken), ("gradient", length)):
        if not math.isfinite(figure) and not (what == "gradient" and _overflows(scaler)):
            raise _diverged(what, where, str(figure))
    return float(spoken)


def refuse_infinite(modules: Iterable[nn.Module], *, where: str) -> None:
    """See that weights and running statistics are finite: nobody has looked at them since the last step moved them.

    Args:
        modules: Whose; on any device.
        where: The step, for people.

    Raises:
        EdgewrightError: when one is not.
    """
    found = [pair for module in modules for pair in _followed(module)]
    if not found:
        return
    finite = torch.stack([tensor.detach().isfinite().all() for _, tensor in found]).tolist()
    astray = [name for (name, _), fine in zip(found, finite, strict=True) if not fine]
    if astray:
        raise _diverged("network", where, f"{astray[0]}, and {len(astray) - 1} more of {len(found)} tensors")


def _followed(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    for name, buffer in module.named_buffers():
        if name.rpartition(".")[2] in _RUNNING:
            yield name, buffer


def _overflows(scaler: torch.amp.GradScaler | None) -> bool:
    """Whether a gradient that is not finite may be so by its scale alone."""
    return scaler is not None and scaler.get_scale() >= _LEAST_SCALE


def _diverged(what: str, where: str, got: str) -> EdgewrightError:
    return EdgewrightError(
        f"training diverged: the {what} is no longer finite",
        where=where,
        got=got,
        fix="lower the learning rate of the schedule that this training follows: that of its stage, for example "
        "prune.schedule.learning_rate where it recovers; docs/training.md has the defaults",
    )
