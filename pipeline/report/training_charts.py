"""How the trainings of a run went, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import figures
from pipeline.report.charts import Chart, blank_axes, own_style, svg_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.report.record import Report
    from pipeline.report.training_record import EpochEntry, TrainingEntry

__all__ = ["learning_curves"]

_WIDTH_IN, _HEIGHT_IN = 4.6, 2.5
_COLOURS = ("#1f6f54", "#7a93b8", "#b9772a", "#8e5ba6", "#a3312a", "#66717f")
_INK = "#1d2733"


@own_style()
def learning_curves(report: Report) -> tuple[Chart, ...]:
    """The loss of every training over its epochs; the score on held-back images where there are such."""
    drawn = (
        _curves(report.trainings, "Training loss by epoch", lambda epoch: epoch.loss, lambda value: f"{value:.3f}"),
        _curves(
            report.trainings,
            "Score on held-back images by epoch (dot: the epoch that was kept)",
            lambda epoch: epoch.validation,
            figures.percent,
            dotted=True,
        ),
    )
    return tuple(chart for chart in drawn if chart is not None)


def _curves(
    trainings: Sequence[TrainingEntry],
    title: str,
    value_of: Callable[[EpochEntry], float | None],
    written: Callable[[float], str],
    *,
    dotted: bool = False,
) -> Chart | None:
    """One line a training; None where nothing has that value."""
    lines = [
        (training, [value for epoch in training.epochs if (value := value_of(epoch)) is not None])
        for training in trainings
    ]
    lines = [(training, values) for training, values in lines if values]
    if not lines:
        return None
    figure, axes = blank_axes(_WIDTH_IN, _HEIGHT_IN + 0.2 * len(lines))
    axes.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8.5, labelcolor=_INK)
    for number, (training, values) in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        label = f"{_label(training)}: {written(values[-1])}"
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.6, label=label)
        if dotted and training.best is not None:
            axes.plot([training.best + 1], [values[training.best]], "o", color=colour, markersize=5)
    axes.set_title(title, loc="left", fontsize=9.5, color=_INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside lower left", fontsize=8.5, frameon=False, labelcolor=_INK, ncols=1)
    words = f"{title}: " + ", ".join(
        f"{_label(training)} from {written(values[0])} to {written(values[-1])} in {len(values)} epochs"
        for training, values in lines
    )
    return Chart(title=title, svg=svg_text(figure), words=words)


def _label(training: TrainingEntry) -> str:
    return f"{training.stage}, {training.name}"
