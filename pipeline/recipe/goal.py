"""What the result has to hold: accuracy, and what it may cost on its target."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.errors import UsageError, nearest

__all__ = ["QUANTITIES", "Budget", "GoalSection", "Quantity", "asks_for_fewer_pixels", "goal_settings"]

Quantity = Literal["latency", "macs", "params", "size", "memory"]

_COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
QUANTITIES: dict[Quantity, dict[str, float]] = {
    "latency": {"us": 1e-6, "ms": 1e-3, "s": 1.0},
    "macs": _COUNTS,
    "params": _COUNTS,
    "size": _BYTES,
    "memory": _BYTES,
}
"""Quantity to its units, each with what it is worth in seconds, pieces or bytes."""

_COUNTED = frozenset({"macs", "params"})

_OF_PIXELS = frozenset({"latency", "macs", "memory"})
"""What smaller images cost less of; parameters and the file stay as they are."""

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """At most so much of something.

    Attributes:
        quantity: Of what.
        most: Seconds, pieces or bytes; where ``relative``, a fraction of what the network has before it is pruned.
        text: As it was typed.
    """

    quantity: Quantity
    most: float
    relative: bool
    text: str

    @property
    def is_counted(self) -> bool:
        """Whether nothing has to be measured to know what a network has of it."""
        return self.quantity in _COUNTED


def _budget(quantity: Quantity, text: str) -> Budget:
    units = QUANTITIES[quantity]
    match = _AMOUNT.fullmatch(text)
    number, unit = (float(match[1]), match[2]) if match else (0.0, "")
    relative = unit == "x"
    if quantity in _COUNTED and not unit and 0 < number < 1:
        message = f"{text.strip()} of {quantity} is less than one; a fraction of what it is unpruned is {text.strip()}x"
        raise ValueError(message)
    if not number or not (relative or unit in units) or (relative and number >= 1):
        known = ", ".join(f"2{one}" for one in units)
        message = f"{quantity} is an amount such as {known}, or a fraction of what it is unpruned, such as 0.5x"
        raise ValueError(message)
    return Budget(quantity=quantity, most=number * units.get(unit, 1.0), relative=relative, text=text.strip())


def _checked(quantity: Quantity) -> AfterValidator:
    def check(text: str) -> str:
        return _budget(quantity, text).text

    return AfterValidator(check)


def _listed(value: object) -> object:
    """``int8,prune`` as the list it stands for; nothing is an empty list."""
    if value is None:
        return ()
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _share(value: object) -> object:
    """``40%`` as the fraction it stands for."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.endswith("%"):
        return value
    try:
        return float(text[:-1]) / 100
    except ValueError:
        return value


class GoalSection(BaseModel):
    """What the result has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    max_accuracy_drop: Annotated[float, Field(ge=0, le=1), BeforeValidator(_share)] = Field(
        default=0.01,
        description="at most this fraction of accuracy may be lost: by INT8 against its float network, and by what is "
        "shipped against the baseline",
    )
    min_agreement: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="least share of test images on which INT8 answers like its float network"
    )
    expect_accuracy: Annotated[float, Field(ge=0, le=1), BeforeValidator(_share)] | None = Field(
        default=None,
        description="what the baseline makes where it is fed rightly, as 0.4 or 40%; the run ends where it makes less "
        "than chance explains",
    )
    latency: Annotated[str, _checked("latency")] | None = Field(
        default=None,
        description="most time of an inference on the target, as 5ms, or 0.5x of the unpruned network in the same "
        "precision; channels go until it holds",
    )
    macs: Annotated[str, _checked("macs")] | None = Field(
        default=None, description="most multiply-accumulates, as 200M or 0.5x"
    )
    params: Annotated[str, _checked("params")] | None = Field(
        default=None, description="most parameters, as 2M or 0.5x"
    )
    size: Annotated[str, _checked("size")] | None = Field(
        default=None, description="most bytes of what the target loads, as 2MB or 0.5x"
    )
    memory: Annotated[str, _checked("memory")] | None = Field(
        default=None, description="highest peak of resident memory, as 80MB or 0.5x"
    )
    require: Annotated[tuple[Literal["int8", "prune", "goal"], ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="'int8': fail rather than ship float when INT8 cannot hold the limit; "
        "'prune': fail rather than leave a network dense that cannot be pruned; "
        "'goal': fail where latency, macs, params, size or memory are missed, or more accuracy is lost than may be",
    )

    def budgets(self) -> tuple[Budget, ...]:
        """What the network may cost; empty where nothing was said."""
        asked = {quantity: getattr(self, quantity) for quantity in QUANTITIES}
        return tuple(_budget(quantity, text) for quantity, text in asked.items() if text is not None)

    @property
    def most_bytes(self) -> float:
        """What is loaded may be so large; infinite where no size in bytes was said."""
        sizes = [one.most for one in self.budgets() if one.quantity == "size" and not one.relative]
        return min(sizes, default=math.inf)


def asks_for_fewer_pixels(goal: GoalSection) -> bool:
    """Whether there is a budget that a smaller input helps to hold."""
    return any(budget.quantity in _OF_PIXELS for budget in goal.budgets())


def goal_settings(text: str | None) -> dict[str, str]:
    """``latency=5ms,drop=1%`` as keys of the recipe.

    Raises:
        UsageError: for a part that is no ``name=value``, an unknown name, one that is named twice, or a drop that is no
            percentage.
    """
    settings: dict[str, str] = {}
    for part in (text or "").split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        known = ("drop", *QUANTITIES)
        if not equals or not value or name not in known:
            close = nearest(name, known)
            raise UsageError(
                "--goal is a list of name=value",
                got=part.strip(),
                expected=f"did you mean {' or '.join(close)}?"
                if close and name not in known
                else f"such as latency=5ms,drop=1%; names are {', '.join(known)}",
            )
        if name == "drop" and not value.endswith("%"):
            raise UsageError(
                "drop is a percentage",
                where="--goal",
                got=part.strip(),
                expected="such as drop=1%: one point of accuracy",
            )
        key = "goal.max_accuracy_drop" if name == "drop" else f"goal.{name}"
        if key in settings:
            raise UsageError(
                f"{name} is named twice",
                where="--goal",
                got=f"{settings[key]} and {value}",
                fix="leave one of them out",
            )
        settings[key] = value
    return settings
