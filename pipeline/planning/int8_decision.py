"""What was decided about INT8 for one target, with everything that was tried on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Their classes are read again from the store by the types of the fields.
from exporters.target import Precision  # noqa: TC001
from pipeline.artifact import Json  # noqa: TC001
from pipeline.planning.int8_candidate import Candidate  # noqa: TC001
from pipeline.quantization.sensitivity import LayerDamage  # noqa: TC001
from pipeline.quantization.share import Int8Share  # noqa: TC001
from pipeline.report.choice_record import MeasuredChoice  # noqa: TC001

__all__ = ["Decision"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is shipped and why.

    Attributes:
        precision: Of the engine that is shipped.
        candidate: The best INT8 form, shipped or not.
        choice: Among which forms, and why; floats among them.
        options: Of the runtime, over the target's own defaults.
        damages: Layers by what their INT8 does to the output, the worst first.
        share: How much of the candidate's arithmetic is INT8; None where nothing was measured.
    """

    precision: Precision
    candidate: Candidate
    choice: MeasuredChoice
    options: Mapping[str, Json] = field(default_factory=dict)
    damages: tuple[LayerDamage, ...] = ()
    share: Int8Share | None = None
