"""What was decided for a goal, with every network that was measured on the way."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Json

__all__ = ["GoalPlan", "TriedNetwork", "WeighedSize"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TriedNetwork:
    """A network that was built and measured.

    Attributes:
        label: What it is, for a table.
        size: Height and width of its input, pixels.
        predicted: Quantity to what the cost model said it would be; empty for those the model was made from.
        found: Quantity to what was measured: seconds, pieces, bytes, or a fraction of the unpruned network.
        accuracy: On the test split, before recovery.
        params: Of the network.
        p50_s: Median time of an inference on the target, seconds.
    """

    label: str
    size: tuple[int, int]
    predicted: Mapping[str, float]
    found: Mapping[str, float]
    accuracy: float
    params: int
    p50_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class WeighedSize:
    """A way to hold the goal: an input size with as many channels as the goal then leaves, tried by a short recovery.

    Attributes:
        size: Height and width, pixels.
        channels_left: Fraction of all channels that stay.
        accuracy: After the short recovery, on training images that it was not shown, a fraction of 1.
        loss: On the same, nats.
    """

    size: tuple[int, int]
    channels_left: float
    accuracy: float
    loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GoalPlan:
    """How large the input is and how many channels stay.

    Attributes:
        size: Height and width of the input, pixels; None: it stays as it is.
        channels: Root layer to number; empty where all stay.
        precision: In which everything was measured.
        tried: The unpruned network first, the one that was chosen last.
        weighed: The sizes that were tried against each other, the chosen one first; empty where there was one way only.
        reason: One sentence.
    """

    size: tuple[int, int] | None
    channels: Mapping[str, int]
    precision: str
    tried: tuple[TriedNetwork, ...]
    weighed: tuple[WeighedSize, ...]
    reason: str

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GoalPlan:
        """Inverse of :meth:`to_json`."""
        fields = _fields(value)
        fields["tried"] = tuple(TriedNetwork(**_fields(one)) for one in value["tried"])
        fields["weighed"] = tuple(WeighedSize(**_fields(one)) for one in value["weighed"])
        return cls(**fields)


def _fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record, its size a tuple again."""
    return {**value, "size": value["size"] and tuple(value["size"])}
