"""What a network with fewer channels will cost, from what was measured of others: a rate for each block of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.scipy_parts import scipy_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.planning.goal.layer_costs import LayerCost

__all__ = ["CostModel", "Observation", "fit_cost_model", "work_by_block"]

_FIXED = "fixed"
_TOWARDS_PRIOR = 0.03
"""How strongly a rate is drawn to that of the whole network, where the measurements say little of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """A cost as a sum over the layers.

    Attributes:
        layers: Of the network.
        rates: Block to what a unit of work costs there.
        fixed: What is there without any.
        by_params: Whether a unit of work is a parameter; else a multiplication.
    """

    layers: tuple[LayerCost, ...]
    rates: Mapping[str, float]
    fixed: float
    by_params: bool

    def predict(self, left: Mapping[str, float]) -> float:
        """The cost with so much of each group's channels left, a fraction each."""
        work = work_by_block(self.layers, left, by_params=self.by_params)
        return self.fixed + sum(self.rates[block] * amount for block, amount in work.items())

    def saving(self, left: Mapping[str, float], root: str, fewer: float, touched: Sequence[LayerCost]) -> float:
        """How much less it would be with fewer channels of one group.

        Args:
            left: As of :meth:`predict`.
            root: Of the group.
            fewer: What would be left of its channels, a fraction.
            touched: The layers that make or take them.
        """
        then = {**left, root: fewer}
        return sum(
            self.rates[one.block] * (one.params if self.by_params else one.macs) * (one.share(left) - one.share(then))
            for one in touched
        )


def work_by_block(layers: Sequence[LayerCost], left: Mapping[str, float], *, by_params: bool) -> dict[str, float]:
    """Block to its work."""
    found: dict[str, float] = {}
    for layer in layers:
        whole = layer.params if by_params else layer.macs
        found[layer.block] = found.get(layer.block, 0.0) + whole * layer.share(left)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What a network was measured to cost.

    Attributes:
        layers: Of the network before channels went.
        left: What is left of each group's channels, a fraction each.
        cost: That was measured.
    """

    layers: Sequence[LayerCost]
    left: Mapping[str, float]
    cost: float


def fit_cost_model(measured: Sequence[Observation], *, by_params: bool) -> CostModel:
    """The model that explains what was measured best, with no rate below 0.

    Non-negative least squares (Lawson and Hanson, 1974), each measurement weighted by its inverse: it is the relative
    error that counts. The last measurement is met exactly, since the next network will be like it: the model is about
    its layers. Others may have had more of them, or less.

    Args:
        measured: At least one.
        by_params: Whether work is counted in parameters.
    """
    nnls = scipy_part("optimize").nnls

    works = [work_by_block(one.layers, one.left, by_params=by_params) for one in measured]
    costs = np.array([one.cost for one in measured])
    names = list(dict.fromkeys(name for work in works for name in work))
    whole = sum(works[0].values())
    scale = costs[0] / whole  # a rate of 1 is that of the whole network
    rows = np.array([[*(work.get(name, 0.0) * scale for name in names), costs[0]] for work in works]) / costs[:, None]
    prior = _TOWARDS_PRIOR * np.eye(len(names) + 1)[: len(names)]
    found, _ = nnls(
        np.vstack([rows, prior]), np.concatenate([np.ones(len(works)), np.full(len(names), _TOWARDS_PRIOR)])
    )
    off = 1.0 / float(rows[-1] @ found)
    rates = {name: float(value) * scale * off for name, value in zip(names, found[:-1], strict=True)}
    return CostModel(
        layers=tuple(measured[-1].layers), rates=rates, fixed=float(found[-1]) * costs[0] * off, by_params=by_params
    )
