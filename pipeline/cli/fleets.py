"""The command that runs many deploys: fleet."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.baseline_folder import BASELINES, baseline_folder

if TYPE_CHECKING:
    from pipeline.report.fleet_record import FleetCell, FleetReport

__all__ = ["COMMANDS"]


def fleet(
    file: Annotated[
        Path, typer.Argument(metavar="FLEET.yaml", help="Models, data, recipes, targets, devices.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for all results; default deployments/, then the file's name.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="A running Ray: auto, host:port or ray://host:port; default: one of its own, on this machine alone.",
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of the store that all cells share; wins over the file's.")
    ] = None,
    baselines: Annotated[Path | None, BASELINES] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells; nothing is run.")] = False,
) -> None:
    """Deploy many at once, and compare them on one page.

    Models x data x recipes x targets x devices: each cell is a deploy of its own, run as a Ray task; cells that share
    stages share them through the store. What is there so far is always in OUT/fleet.html and OUT/fleet.json. Started
    again, it goes on where it stopped.

    \b
    edgewright fleet fleet.yaml --dry-run
    edgewright fleet fleet.yaml
    edgewright fleet fleet.yaml --address ray://head:10001 --store /nfs/store

    Ends with 0 when all is well, else as the worst cell would have ended alone.
    """  # noqa: D301 - the backslash is click's: keep these lines as they are
    from pipeline import __version__
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.devices.entries import HERE, device_entry
    from pipeline.fleet.cell_run import Order
    from pipeline.fleet.cells import cells_of, read_fleet
    from pipeline.fleet.fleet_run import FleetRun, exit_code
    from pipeline.fleet.folder_lock import folder_of_ones_own
    from pipeline.fleet.preflight import preflight
    from pipeline.fleet.ray_crew import RayCrew, refuse_without_ray
    from pipeline.gate.baselines.shelf import DEFAULT_ROOT
    from pipeline.runner.output_folder import check_writable
    from pipeline.typed_path import typed_path

    read = read_fleet(file)
    cells = cells_of(read, file)
    elsewhere = address is not None
    preflight(cells, elsewhere=elsewhere)
    folder = out or Path("deployments", file.stem)
    for place in (folder, *(folder / cell.folder for cell in cells)):
        check_writable(place)
    if dry_run:
        columns = ("model", "data", "recipe", "target", "device")
        out_console().print(table(columns, [[getattr(cell.axes, axis) for axis in columns] for cell in cells]))
        say(f"{len(cells)} cells", markup=False)
        return
    refuse_without_ray()
    # On a cluster a typed folder may be where the cells run alone; each looks for it.
    yardsticks = (baselines or DEFAULT_ROOT) if elsewhere else baseline_folder(baselines)
    shared = store or (typed_path(read.store) if read.store else None)
    orders = [
        Order(
            cell=cell,
            edgewright=__version__,
            working_folder=Path.cwd(),
            store=shared.absolute() if shared else None,
            baselines=yardsticks.absolute(),
            gated=baselines is not None or yardsticks.is_dir(),
            device=None if cell.axes.device == HERE else device_entry(cell.axes.device)[1],
        )
        for cell in cells
    ]
    with folder_of_ones_own(folder), RayCrew(address) as crew:
        say(f"{len(cells)} cells; how far they are: {folder / 'fleet.html'}", markup=False)
        run = FleetRun(
            orders=orders,
            crew=crew,
            out=folder,
            name=file.stem,
            retries=read.retries,
            progress=progress(),
            announce=_announce,
        )
        report = run.run()
    _show(report, folder)
    if code := exit_code(report):
        raise typer.Exit(code)


def _announce(cell: "FleetCell") -> None:
    from pipeline.cli.console import progress
    from pipeline.report.fleet_texts import cell_brief

    progress().note(f"{cell.name}: {cell_brief(cell)}")


def _show(report: "FleetReport", folder: Path) -> None:
    from pipeline.cli.console import out_console, say, table
    from pipeline.report.fleet_texts import CELL_COLUMNS, best, cell_cells, failures, groups, headline

    say("")
    out_console().print(table(CELL_COLUMNS, [cell_cells(cell) for cell in report.cells]))
    for name, code, why in failures(report):
        say(f"\n{name} ended with {code}: {why}", markup=False)
    say("")
    say(headline(report), markup=False)
    for group in groups(report):
        say(f"  {best(group)}", markup=False)
    for name in ("fleet.html", "fleet.json"):
        say(f"  {folder / name}", markup=False)


COMMANDS = (fleet,)
