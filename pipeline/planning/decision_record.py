"""What was decided about INT8 for one target, with everything that was tried on the way."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.artifact import FLOAT_MODEL, qdq_model
from pipeline.quantization.sensitivity import LayerDamage
from pipeline.quantization.share import Int8Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision
    from pipeline.artifact import Json
    from pipeline.quantization.ranges import Method

__all__ = ["Candidate", "Decision", "Tried"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One way to write the network in INT8.

    Attributes:
        method: How ranges are chosen.
        dialect: How Q/DQ is written, the bits of the weights included.
        float_nodes: ONNX nodes that stay float.
        kept: Why, in a word or two; empty when there are none.
    """

    method: Method
    dialect: str
    float_nodes: tuple[str, ...] = ()
    kept: str = ""

    @property
    def label(self) -> str:
        """For a table: ``mse ranges, ort-x86, depthwise float``."""
        return f"{self.method} ranges, {self.dialect}" + (f", {self.kept} float" if self.kept else "")

    @property
    def file(self) -> str:
        """Its file within an export artifact."""
        return qdq_model(self.dialect)

    def source(self, precision: Precision) -> str:
        """The file within an export artifact that an engine of that precision is built from."""
        return self.file if precision == "int8" else FLOAT_MODEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A candidate, what was measured of it, and what became of it. What was not measured is None.

    Attributes:
        label: The candidate's.
        noise: Energy of the output's error over that of the output, on calibration images.
        agreement: Fraction of these images with the float network's answer.
        time_ratio: Its latency over that of the float graph, side by side on the target.
        accuracy_drop: On the test split, fraction of 1; below 0 for a gain.
        size_bytes: Of what the target loads.
        outcome: ``shipped``, or why not.
    """

    label: str
    noise: float | None = None
    agreement: float | None = None
    time_ratio: float | None = None
    accuracy_drop: float | None = None
    size_bytes: int | None = None
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is shipped and why.

    Attributes:
        precision: Of the engine that is shipped.
        reason: One sentence, with figures.
        candidate: The best INT8 form, shipped or not.
        options: Of the runtime, over the target's own defaults.
        tried: Everything that was looked at, in order.
        damages: Layers by what their INT8 does to the output, the worst first.
        share: How much of the candidate's arithmetic is INT8; None where nothing was measured.
    """

    precision: Precision
    reason: str
    candidate: Candidate
    options: Mapping[str, Json] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()
    damages: tuple[LayerDamage, ...] = ()
    share: Int8Share | None = None

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Decision:
        """Inverse of :meth:`to_json`."""
        candidate = value["candidate"]
        return cls(
            precision=value["precision"],
            reason=value["reason"],
            candidate=Candidate(**{**candidate, "float_nodes": tuple(candidate["float_nodes"])}),
            options=value["options"],
            tried=tuple(Tried(**one) for one in value["tried"]),
            damages=tuple(LayerDamage(**one) for one in value["damages"]),
            share=None if value["share"] is None else Int8Share(**value["share"]),
        )
