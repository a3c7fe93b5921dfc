"""Writing the report: ``report.json``, and what people read, made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import IntegrityError, UsageError
from pipeline.report.html import render_html
from pipeline.report.junit import render_junit
from pipeline.report.markdown import render_markdown
from pipeline.report.record import Report
from pipeline.report.training_files import render_training_csv
from pipeline.store import room_for, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_report", "write_reports"]


def write_reports(
    report: Report, folder: Path, *, fix: str = "free some space, or choose another folder"
) -> tuple[Path, ...]:
    """Write ``report.json``, ``report.md``, ``report.html``, ``junit.xml`` and the curves of what was trained.

    Args:
        report: Of a run or a gate.
        folder: Written to.
        fix: What to do where there is no room.

    Returns:
        The paths of what was written.

    Raises:
        ResourceError: when the disk is full.
    """
    texts = {
        "report.json": report.model_dump_json(by_alias=True, indent=1) + "\n",
        "report.md": render_markdown(report),
        "report.html": render_html(report),
        "junit.xml": render_junit(report),
    }
    if report.trainings:
        texts["training.csv"] = render_training_csv(report)
    with room_for("the reports", folder, sum(len(text.encode()) for text in texts.values()), fix=fix):
        for name, text in texts.items():
            write_atomically(folder / name, text)
    return tuple(folder / name for name in texts)


def read_report(folder: Path) -> Report:
    """The record in a folder's ``report.json``.

    Raises:
        UsageError: when there is none.
        IntegrityError: when it is no report.
    """
    path = folder / "report.json" if folder.is_dir() else folder
    try:
        return Report.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            "there is no report here", where=str(path), fix="name the folder that `edgewright deploy` printed"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise IntegrityError("this is no report of ours", where=str(path), got=f"{place}: {first['msg']}") from error
