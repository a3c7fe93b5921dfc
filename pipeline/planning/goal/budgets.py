"""What a network may cost, and how far a measured one is from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.report.figures import amount, fine_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.recipe.goal import Budget

__all__ = ["Budgets", "above"]

_MEASURED_WITHIN = 1.02
"""A time or memory so little above its budget holds it as far as can be measured: that is how exact a comparison is."""
_SHOWN = 0.005
"""Of a budget: what whole percents show."""
_EXACT = frozenset({"macs", "params", "size"})
_FIGURES = {"latency": "p50_s", "size": "size_bytes", "memory": "memory_bytes"}


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of a goal together; costs are seconds, pieces or bytes, or fractions of the unpruned network.

    Attributes:
        every: One of a quantity; none where accuracy is all that was asked for.
    """

    every: tuple[Budget, ...]

    @property
    def asked(self) -> dict[str, str]:
        """Key of the recipe to what it says."""
        return {f"goal.{budget.quantity}": budget.text for budget in self.every}

    @property
    def are_counted(self) -> bool:
        """Whether nothing has to be measured to know what a network costs."""
        return all(budget.is_counted for budget in self.every)

    @property
    def ask_for_seconds(self) -> bool:
        """Whether a latency in seconds is asked for, and not one beside the unpruned network's."""
        return any(budget.quantity == "latency" and not budget.relative for budget in self.every)

    @property
    def need_processes(self) -> bool:
        """Whether a budget is held by what processes of their own find: a latency in seconds, or memory."""
        return self.ask_for_seconds or any(budget.quantity == "memory" for budget in self.every)

    def missed(self, found: Mapping[str, float]) -> str | None:
        """The quantity furthest above its budget, as far as can be measured; None: all hold."""
        return self.furthest(_at_least(found), 1.0)

    def over(self, found: Mapping[str, float]) -> list[str]:
        """Every quantity that is above its budget, as far as can be measured."""
        least = _at_least(found)
        return [budget.quantity for budget in self.every if least[budget.quantity] > budget.most]

    def furthest(self, costs: Mapping[str, float], aim: float) -> str | None:
        """The quantity furthest above its budget; None: all hold.

        Args:
            costs: Quantity to what it is.
            aim: Fraction of a budget that may be used.
        """
        over = {budget.quantity: costs[budget.quantity] / (budget.most * aim) for budget in self.every}
        worst = max(over, key=lambda name: over[name], default=None)
        return worst if worst is not None and over[worst] > 1 else None

    def distance(self, found: Mapping[str, float]) -> float:
        """How far from its budget the quantity is that comes nearest to it, or is the furthest above; a fraction."""
        return abs(1 - max(found[budget.quantity] / budget.most for budget in self.every))

    def outcome(self, found: Mapping[str, float]) -> str:
        """What is to be said of a network that was measured."""
        missed = self.missed(found)
        if missed is None:
            if self.furthest(found, 1.0) is None:
                return f"holds, {self.distance(found):.0%} below"
            return f"holds as far as can be measured, {self.distance(found):.0%} above"
        most = next(budget.most for budget in self.every if budget.quantity == missed)
        return f"{missed} {above(found[missed] / most)}"

    def figures(self, costs: Mapping[str, float]) -> dict[str, float]:
        """Costs by the names of :data:`pipeline.report.choice_record.Figure`; those that are not known are left out."""
        names: dict[str, str] = {
            one.quantity: f"{one.quantity}_ratio" if one.relative else _FIGURES.get(one.quantity, one.quantity)
            for one in self.every
        }
        return {names[quantity]: cost for quantity, cost in costs.items()}

    def told(self, found: Mapping[str, float]) -> str:
        """``latency 0.47x of at most 0.5x``, for every budget; what is lacking was not measured."""
        return ", ".join(
            f"{b.quantity} {amount(b.quantity, found[b.quantity], relative=b.relative)} of at most {b.text}"
            if b.quantity in found
            else f"{b.quantity} of at most {b.text} not measured here"
            for b in self.every
        )


def _at_least(found: Mapping[str, float]) -> dict[str, float]:
    """What the quantities are without what a measurement may add to them."""
    return {name: value / (1.0 if name in _EXACT else _MEASURED_WITHIN) for name, value in found.items()}


def above(share: float) -> str:
    """How far a quantity is above its budget, ``7% above``; one byte too many is told too.

    Args:
        share: Of the budget, more than 1.
    """
    over = share - 1
    return f"{f'{over:.0%}' if over >= _SHOWN else fine_percent(over)} above"
