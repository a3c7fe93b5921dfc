"""The commands that keep bundles as yardsticks: baseline accept, list."""

# No `from __future__ import annotations` here: see options.py.

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.bundle_options import BUNDLE, DATA, images_of
from pipeline.cli.failures import guarded
from pipeline.cli.options import DEVICE, JSON

if TYPE_CHECKING:
    from pipeline.gate.baselines.history import History

__all__ = ["baseline_app"]

_BASELINES = typer.Option("--baselines", help="Folder of accepted baselines.")

baseline_app = typer.Typer(
    name="baseline", help="Accept bundles as baselines, and list what was accepted.", rich_markup_mode=None,
    no_args_is_help=True,
)  # fmt: skip


def _accept(
    bundle: Annotated[Path, BUNDLE],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")],
    baselines: Annotated[Path, _BASELINES] = Path("baselines"),
    data: Annotated[str | None, DATA] = None,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Make BUNDLE the baseline of its case; measured alone, and beside what was accepted before.

    With --device of its case on devices of that class.
    """
    from benchmarks.workers.workplace import HERE
    from exporters.bundle import read_bundle
    from pipeline.cli.console import progress, say
    from pipeline.devices.device import reached
    from pipeline.errors import UsageError, printable
    from pipeline.gate.against_baselines import accept
    from pipeline.gate.baselines.shelf import Shelf

    if not reason.strip():
        raise UsageError("a reason is needed", where="--reason", fix="say why this one may be the yardstick")
    if any("\ud800" <= letter <= "\udfff" for letter in reason):  # how Python hands on bytes that are no letter
        raise UsageError("a reason is text", where="--reason", got=printable(reason), expected="UTF-8")
    found = read_bundle(bundle)
    with reached(device, progress()) as there:
        shelf, images = Shelf(baselines).of(there or HERE), images_of(found, data)
        case, line = accept(shelf, found, images, progress(), reason=reason.strip(), device=there)
        history = shelf.history(case)
    assert history is not None  # noqa: S101 - the line was added to it
    say(f"accepted {case}  {line.bundle[:12]}  {_beside_before(history)}", markup=False)


def _beside_before(history: "History") -> str:
    """What is told of the last line of a history beside the one before it."""
    *before, line = history.lines
    if not before:
        return "the first of its case"
    if before[-1].bundle == line.bundle:
        return "the same bundle as before"
    if line.verdict is None:
        return "not compared: what was accepted before answers something else"
    if "latency p50" not in line.changes:
        return "latency p50 could not be compared: the machine was unfit"
    return f"latency p50 {100 * line.changes['latency p50']:+.1f} %"


def _list(
    baselines: Annotated[Path, _BASELINES] = Path("baselines"),
    history: Annotated[bool, typer.Option("--history", help="Every acceptance, not only the current one.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the accepted baselines, those of devices by their class: devices/CLASS/CASE."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.report import figures

    cases = {case: found.lines if history else (found.current,) for case, found in Shelf(baselines).cases_everywhere()}
    if as_json:
        from pipeline.cli.documents import BaselineCase, BaselinesDocument, print_document

        print_document(BaselinesDocument(cases=tuple(BaselineCase(case=case, accepted=cases[case]) for case in cases)))
        return
    rows = []
    for case, lines in cases.items():
        for line in lines:
            told = line.figures
            rows.append(
                (
                    case,
                    line.time.strftime("%Y-%m-%d %H:%M"),
                    line.bundle[:12],
                    figures.milliseconds(told.latency_p50_s),
                    figures.megabytes(told.size_bytes),
                    figures.percent(told.accuracy),
                    told.machine_class,
                    line.reason,
                )
            )
    if not rows:
        say(f"nothing was accepted in {baselines}", markup=False)
        return
    columns = ("case", "accepted", "bundle", "p50 then", "size", "accuracy", "machine", "reason")
    out_console().print(table(columns, rows))


_SUBCOMMANDS: dict[str, Callable[..., None]] = {"accept": _accept, "list": _list}
for _name, _command in _SUBCOMMANDS.items():
    baseline_app.command(name=_name)(guarded(_command))
