"""The command that proves what the gate can see: selftest."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.bundle_options import DATA, THREADS, check_there, images_of
from pipeline.cli.gate_options import gate_options, slowdowns_of
from pipeline.cli.options import DEVICE

__all__ = ["COMMANDS"]


def selftest(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="Default: a small network made for it.", show_default=False),
    ] = None,
    gates: Annotated[int, typer.Option("--gates", min=1, help="Gates of each kind.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Quick gates instead of default ones.")] = False,
    slowed: Annotated[
        list[str] | None,
        typer.Option(
            "--slowed",
            metavar="SHARE",
            help="By how much candidates are slowed; repeatable; default: 0, 1%, 3% and 5%.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, DATA] = None,
    threads: Annotated[int | None, THREADS] = None,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Prove what the gate can see on this machine.

    Gates without any difference, and against a candidate slowed by a known amount of real work.

    The slowdown is real work behind every inference of one side. Ends with 0 when no false alarm was raised and every
    fit gate saw the large slowdown; with 4 when the machine was unfit for all of them.
    """
    from exporters.bundle import read_bundle
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.devices.device import reached
    from pipeline.gate.selftest import COLUMNS, SLOWDOWNS, rows_of, run_selftest, worst_code
    from pipeline.runner.selftest_bundle import made_for_selftest
    from pipeline.store import Store, default_root

    slowdowns = slowdowns_of(slowed) if slowed else SLOWDOWNS
    store = Store(default_root())
    with reached(device, progress()) as there:
        options = gate_options(
            effort="quick" if quick else "default", margins=[], threads=threads, affinity=(), seed=0, place=there
        )
        found = read_bundle(bundle) if bundle else made_for_selftest(store, progress(), options.place)
        check_there(there, found)
        results = run_selftest(
            found,
            images_of(found, data),
            options,
            progress(),
            gates=gates,
            tell=lambda line: say(line, markup=False),
            slowdowns=slowdowns,
        )
    out_console().print(table(COLUMNS, rows_of(results)))
    raise typer.Exit(worst_code(results))


COMMANDS = (selftest,)
