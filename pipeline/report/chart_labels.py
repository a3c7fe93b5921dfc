"""Labels beside the points of a picture, each where nothing else is."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["MARKER", "label_apart"]

_INK = "#1d2733"
MARKER = 6
"""Points across, of what is drawn at a place."""

_PLACES: tuple[tuple[float, float, str, str], ...] = (
    (6, 5, "left", "bottom"), (6, -5, "left", "top"), (-6, 5, "right", "bottom"), (-6, -5, "right", "top"),
    (0, 10, "center", "bottom"), (0, -10, "center", "top"), (10, 16, "left", "bottom"), (10, -16, "left", "top"),
    (-10, 16, "right", "bottom"), (-10, -16, "right", "top"), (10, 28, "left", "bottom"), (10, -28, "left", "top"),
)  # fmt: skip
"""Where a label may stand beside its point: away from it in points, and aligned so; the first that is free is taken."""

_BELOW_CHARACTERS = 80
"""So long a line below the axis is as wide as the picture."""


def label_apart(
    figure: Any,  # noqa: ANN401 - matplotlib has no types
    axes: Any,  # noqa: ANN401 - as above
    labels: Mapping[tuple[float, float], str],
    beside: Iterable[tuple[float, float]] = (),
) -> None:
    """Write a label beside each point, on none of the others, on no text that is there and on no other point.

    For some there may be no such place: these are left out, and named below the axis.

    Args:
        figure: Drawn otherwise.
        axes: With all its points and its own label.
        labels: Point in the units of the axes to its text.
        beside: Further points, without a label.
    """
    texts, below = list(axes.texts), axes.get_xlabel()
    shown, left_out = dict(labels), list[str]()
    while homeless := _place(figure, axes, shown, {*labels, *beside}, texts):
        left_out += [shown.pop(point) for point in homeless]
        for note in axes.texts[len(texts) :]:
            note.remove()
        told = textwrap.wrap(f"without room for a name: {', '.join(left_out)}", _BELOW_CHARACTERS)
        axes.set_xlabel("\n".join((below, *told)))


def _place(
    figure: Any,  # noqa: ANN401 - matplotlib has no types
    axes: Any,  # noqa: ANN401 - as above
    labels: Mapping[tuple[float, float], str],
    points: Collection[tuple[float, float]],
    texts: Sequence[Any],
) -> list[tuple[float, float]]:
    """Write what has a free place; the points that have none."""
    figure.draw_without_rendering()  # from here on places on the paper are known
    taken = [_around(axes.transData.transform(point), figure) for point in points]
    taken += [text.get_window_extent() for text in texts]
    homeless = []
    for point, text in sorted(labels.items()):
        note = axes.annotate(text, point, (0, 0), textcoords="offset points", fontsize=8.5, color=_INK)
        note.set_in_layout(False)  # it stands within the axes, and these stay where they are
        for right, up, horizontally, vertically in _PLACES:
            note.set(position=(right, up), horizontalalignment=horizontally, verticalalignment=vertically)
            box = note.get_window_extent()
            inside = (
                axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0 <= box.y1 <= axes.bbox.y1
            )
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
        else:
            note.remove()
            homeless.append(point)
    return homeless


def _around(place: Any, figure: Any) -> Any:  # noqa: ANN401 - matplotlib
    """The box of a marker at a place on the paper."""
    from matplotlib.transforms import Bbox

    half = MARKER / 2 * figure.dpi / 72
    return Bbox.from_extents(place[0] - half, place[1] - half, place[0] + half, place[1] + half)
