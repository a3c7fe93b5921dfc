"""The commands that measure and compare what was made: measure, gate."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.report.comparison import Comparison, MetricRow

__all__ = ["COMMANDS"]


def gate(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help="A bundle.", show_default=False)],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="A bundle.", show_default=False)],
    data: Annotated[
        str | None, typer.Option("--data", help="Images to judge with; default: those the baseline was made with.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Six processes, one look.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Twenty processes, one false alarm in a hundred.")] = False,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of both runtimes.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of orders and draws.")] = 0,
) -> None:
    """Run two bundles side by side and say whether CANDIDATE got slower, bigger or less accurate."""
    from benchmarks.margins import EFFORTS
    from exporters.bundle import read_bundle
    from pipeline.cli.console import progress, say
    from pipeline.runner.bundle_data import images_for
    from pipeline.runner.gate import GateOptions
    from pipeline.runner.gate import gate as run
    from pipeline.store import Store, default_root

    effort = EFFORTS["strict" if strict else "quick" if quick else "default"]
    first, second = read_bundle(baseline), read_bundle(candidate)
    dataset = images_for(first, data, Store(default_root()), progress())
    found = run(first, second, dataset, GateOptions(effort=effort, threads=threads, seed=seed), progress())
    _show(found)
    say(f"{found.wall_s:.0f} s")
    raise typer.Exit(found.exit_code)


def _show(found: "Comparison") -> None:
    from pipeline.cli.console import out_console, say, table

    say(found.sentence, markup=False)
    out_console().print(
        table(
            ("metric", "baseline", "candidate", "change", "low", "high", "limit", "verdict"),
            [_cells(row) for row in found.metrics],
        )
    )


def _cells(row: "MetricRow") -> tuple[str, ...]:
    return tuple(
        str(value)
        for value in (row.name, row.baseline, row.candidate, row.change, row.low, row.high, row.limit, row.verdict)
    )


COMMANDS = (gate,)
