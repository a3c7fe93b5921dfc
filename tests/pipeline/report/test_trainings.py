"""The curves of trainings: drawn, and left as files for other tools."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.report.training_charts import learning_curves
from pipeline.report.training_files import render_training_csv, write_tensorboard
from pipeline.report.training_record import EpochEntry, TrainingEntry

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.report.record import Report


def _training(stage: str, name: str, *losses: float, validation: tuple[float, ...] = ()) -> TrainingEntry:
    epochs = tuple(
        EpochEntry(
            steps=10 * (number + 1),
            loss=loss,
            learning_rate=1e-3,
            validation=validation[number] if validation else None,
        )
        for number, loss in enumerate(losses)
    )
    best = validation.index(max(validation)) if validation else None
    return TrainingEntry(stage=stage, name=name, epochs=epochs, best=best)


@pytest.fixture
def trained(report: Report) -> Report:
    trainings = (
        _training("baseline", "net", 2.0, 1.0, 0.5),
        _training("distill", "net, taught", 1.5, 0.25, validation=(0.7, 0.8)),
    )
    return report.model_copy(update={"trainings": trainings})


def test_every_training_has_its_line_and_the_kept_epoch_its_dot(trained: Report) -> None:
    loss, score = learning_curves(trained)
    assert "baseline, net from 2.000 to 0.500 in 3 epochs" in loss.words
    assert "distill, net, taught from 1.500 to 0.250 in 2 epochs" in loss.words
    assert "distill, net, taught from 70.00 % to 80.00 % in 2 epochs" in score.words
    assert "baseline" not in score.words


def test_the_table_has_a_row_an_epoch(trained: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(render_training_csv(trained))))
    assert [(row["stage"], row["epoch"], row["loss"]) for row in rows] == [
        ("baseline", "1", "2.0"), ("baseline", "2", "1.0"), ("baseline", "3", "0.5"),
        ("distill", "1", "1.5"), ("distill", "2", "0.25"),
    ]  # fmt: skip
    assert [row["validation"] for row in rows] == ["", "", "", "0.7", "0.8"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboardX about its own code
def test_tensorboard_finds_a_run_for_every_training_and_no_name_of_this_machine(
    trained: Report, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX")
    (folder,) = write_tensorboard(trained, tmp_path / "tensorboard")
    (write_again,) = write_tensorboard(trained, tmp_path / "tensorboard")
    assert write_again == folder
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["baseline net/events.out.tfevents.0", "distill net, taught/events.out.tfevents.0"]
    content = (folder / "distill net, taught" / "events.out.tfevents.0").read_bytes()
    assert all(tag in content for tag in (b"loss", b"learning_rate", b"validation"))
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboardX about its own code
def test_a_link_in_the_place_of_the_event_files_stays_one(trained: Report, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    folder, link = tmp_path / "runs" / "net", tmp_path / "out" / "tensorboard"
    folder.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to(folder)
    assert write_tensorboard(trained, link) == (link,)
    assert link.is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["baseline net", "distill net, taught"]
    assert [path.name for path in folder.parent.iterdir()] == ["net"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboardX about its own code
def test_pytorch_is_not_loaded_for_it(trained: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboardX")
    for name in [name for name in sys.modules if name.split(".")[0] in {"tensorboardX", "torch"}]:
        monkeypatch.delitem(sys.modules, name)
    write_tensorboard(trained, tmp_path / "tensorboard")
    assert "tensorboardX" in sys.modules
    assert "torch" not in sys.modules


def test_a_run_without_trainings_leaves_no_files(report: Report, tmp_path: Path) -> None:
    assert write_tensorboard(report, tmp_path / "tensorboard") == ()
    assert learning_curves(report) == ()
    assert list(tmp_path.iterdir()) == []
