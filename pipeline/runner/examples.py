"""The test images that the report shows, with what is on them and what was found."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.image_input import load_image
from pipeline.report.example_record import ExampleEntry, MarkEntry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan
    from pipeline.tasks.marks import Mark

__all__ = ["examples_of"]

_SIDE = 320
"""Pixels of the longer side of what is shown."""
_QUALITY = 75


def examples_of(plan: Plan, baseline: Measured | None, shipped: Measured | None) -> tuple[ExampleEntry, ...]:
    """As many as ``measure.examples`` says, always the same: half of them where both found different things.

    Nothing where one was not measured, and of a task that says nothing of places.
    """
    count, parts = plan.recipe.measure.examples, plan.parts
    if baseline is None or shipped is None or not count:
        return ()
    task, samples = parts.task, parts.dataset.test
    first, second = baseline.accuracy.decisions, shipped.accuracy.decisions
    shown = [number for number, sample in enumerate(samples) if task.marks(sample)]
    if not shown:
        return ()
    alike = task.alike(first, second)
    chosen = _spread([number for number, same in enumerate(alike) if not same], (count + 1) // 2)
    chosen += _spread([number for number in shown if alike[number]], count - len(chosen))
    found = []
    for number in chosen:
        sample = samples[number]
        size, picture = _small_copy(sample.path)
        asked = (None, first[number], second[number])
        truth, before, after = (_entries(task.marks(sample, one), parts.dataset.classes) for one in asked)
        found.append(
            ExampleEntry(
                image=sample.name.encode("utf-8", "backslashreplace").decode(),  # a name may be no text
                size=size,
                picture=picture,
                alike=alike[number],
                truth=truth,
                baseline=before,
                shipped=after,
            )
        )
    return tuple(found)


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """So many of them, or all of fewer, at equal distances."""
    return [numbers[place * len(numbers) // count] for place in range(count)] if len(numbers) > count else [*numbers]


def _small_copy(path: Path) -> tuple[tuple[int, int], str]:
    """Width and height of an upright image, and a small JPEG file of it in base64."""
    image, file = load_image(str(path)), io.BytesIO()
    size = image.size
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    image.save(file, "JPEG", quality=_QUALITY)
    return size, base64.b64encode(file.getvalue()).decode()


def _entries(marks: Sequence[Mark], classes: Sequence[str]) -> tuple[MarkEntry, ...]:
    return tuple(MarkEntry(label=classes[one.label], box=one.box, score=one.score, right=one.right) for one in marks)
