"""The curves of a run's trainings as files for other tools: a table, and event files for TensorBoard."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline.import_path import without_loading
from pipeline.leftovers import folder_beside, sweep
from pipeline.replacing import replace_folder

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.report.record import Report
    from pipeline.report.training_record import TrainingEntry

__all__ = ["EVENTS", "render_training_csv", "write_tensorboard"]

EVENTS = "events.out.tfevents."
"""How names of event files begin."""

_COLUMNS = ("stage", "training", "epoch", "steps", "loss", "learning_rate", "validation")


def render_training_csv(report: Report) -> str:
    """A row an epoch of every training."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for training in report.trainings:
        for number, epoch in enumerate(training.epochs, 1):
            validation = "" if epoch.validation is None else epoch.validation
            writer.writerow(
                [training.stage, training.name, number, epoch.steps, epoch.loss, epoch.learning_rate, validation]
            )
    return text.getvalue()


def write_tensorboard(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write event files into ``folder``, one folder a training: TensorBoard shows each as a run of that name.

    What an earlier run left there goes.

    Returns:
        The folder; nothing where nothing was trained or tensorboardX is not installed.
    """
    if not report.trainings or find_spec("tensorboardX") is None:
        return ()
    place = folder.resolve()  # a link stays one, to the new files
    place.parent.mkdir(parents=True, exist_ok=True)
    with folder_beside(place) as work:
        for training in report.trainings:
            _write_run(training, work / f"{training.stage} {training.name}".replace("/", "-"))
        replace_folder(work, place)  # what an earlier run left is now in the temporary folder, which goes
    sweep(place.parent)
    return (folder,)


def _write_run(training: TrainingEntry, folder: Path) -> None:
    with without_loading("torch"):  # which it loads, for seconds, to take tensors; here are only numbers
        from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for epoch in training.epochs:
            values = {
                "loss": epoch.loss,
                "learning_rate": epoch.learning_rate,
                "validation": epoch.validation,
            }
            for name, value in values.items():
                if value is not None:
                    writer.add_scalar(name, value, epoch.steps)
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"{EVENTS}{number}")  # its own name holds the host's
