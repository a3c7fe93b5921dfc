"""What was decided about channels, with every network that was measured on the way."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Json

__all__ = ["ChannelPlan", "TriedNetwork"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TriedNetwork:
    """A network that was built and measured.

    Attributes:
        label: What it is, for a table.
        predicted: Quantity to what the cost model said it would be; empty for those the model was made from.
        found: Quantity to what was measured: seconds, pieces, bytes, or a fraction of the unpruned network.
        accuracy: On the test split, before recovery.
        params: Of the network.
        p50_s: Median time of an inference on the target, seconds.
    """

    label: str
    predicted: Mapping[str, float]
    found: Mapping[str, float]
    accuracy: float
    params: int
    p50_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelPlan:
    """How many channels stay.

    Attributes:
        channels: Root layer to number; empty where the network holds its budgets as it is.
        precision: In which everything was measured.
        tried: The unpruned network first, the one that was chosen last.
        reason: One sentence.
    """

    channels: Mapping[str, int]
    precision: str
    tried: tuple[TriedNetwork, ...]
    reason: str

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChannelPlan:
        """Inverse of :meth:`to_json`."""
        return cls(**{**value, "tried": tuple(TriedNetwork(**one) for one in value["tried"])})
