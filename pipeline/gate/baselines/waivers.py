"""Regressions that are let through for a while, each with a reason and a last day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.errors import RecipeError
from pipeline.report.comparison import Verdict
from pipeline.yaml_reading import safe_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.report.comparison import MetricRow

__all__ = ["Waiver", "apply_waivers", "read_waivers"]

FILE = "waivers.yaml"


class Waiver(BaseModel):
    """One metric of one case may be worse than its margin, up to a limit and a day.

    Attributes:
        case: As `edgewright baseline list` names it.
        metric: Such as ``latency p50``.
        max_change: Up to here, in the metric's own measure: 0.08 for eight percent, or for eight points of accuracy.
        reason: Shown wherever the waiver is used.
        expires: Its last day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case: str
    metric: str
    max_change: float = Field(gt=0)
    reason: str = Field(min_length=1)
    expires: date


def read_waivers(root: Path) -> tuple[Waiver, ...]:
    """The waivers of a baseline folder; none when there is no file.

    Raises:
        RecipeError: when the file is not a list of waivers.
    """
    path = root / FILE
    try:
        value = safe_yaml(path.read_text(encoding="utf-8"))
        return tuple(TypeAdapter(list[Waiver]).validate_python(value or []))
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecipeError(
            f"{place}: {first['msg']}",
            where=str(path),
            got=repr(first["input"]),
            fix="docs/gate.md has the keys of a waiver",
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = str(error).replace("\n", " ")
        raise RecipeError("not readable", where=str(path), got=told, expected="a YAML file of waivers") from error


def apply_waivers(
    rows: Sequence[MetricRow], waivers: Sequence[Waiver], *, case: str, today: date
) -> tuple[MetricRow, ...]:
    """The rows with what is waived marked; an expired or exceeded waiver leaves a note and lets nothing through."""
    return tuple(_waived(row, [w for w in waivers if (w.case, w.metric) == (case, row.name)], today) for row in rows)


def _waived(row: MetricRow, waivers: Sequence[Waiver], today: date) -> MetricRow:
    if row.verdict is not Verdict.REGRESSED or row.change is None:
        return row
    notes = [row.note] if row.note else []
    for waiver in waivers:
        if today > waiver.expires:
            notes.append(f"a waiver expired on {waiver.expires} ({waiver.reason})")
        elif row.change > waiver.max_change:
            notes.append(f"worse than the waiver allows, {waiver.max_change:g} ({waiver.reason})")
        else:
            return row.model_copy(update={"waived": f"{waiver.reason}, until {waiver.expires}"})
    return row.model_copy(update={"note": "; ".join(notes)})
