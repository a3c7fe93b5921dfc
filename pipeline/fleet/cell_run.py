"""One cell, on whichever machine it came to: the same deploy that the command runs."""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.devices.connection import configured_host
from pipeline.devices.entries import host_of
from pipeline.ending import ending
from pipeline.errors import UsageError
from pipeline.fleet.parcel import packed
from pipeline.leftovers import own_scratch
from pipeline.progress import SilentProgress
from pipeline.recipe.places import told_without_home
from pipeline.store import Store, default_root
from pipeline.threads import rest_between_work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.workers.workplace import Workplace
    from pipeline.devices.entries import DeviceEntry
    from pipeline.fleet.cells import Cell
    from pipeline.runner.report_rows import Outcome

__all__ = ["CellEnd", "Order", "run_cell"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A cell, and what a worker has to know besides.

    Attributes:
        edgewright: Version of whoever asks.
        working_folder: Relative paths of recipes start there, where the machine has it.
        store: That all cells share; None for the machine's own.
        baselines: Folder of accepted baselines.
        gated: Whether it has to be there: it was typed, or is there for whoever asks.
        device: How the cell's device is reached, as whoever asks has noted it; None for the machine that it runs on.
    """

    cell: Cell
    edgewright: str
    working_folder: Path
    store: Path | None
    baselines: Path
    gated: bool = False
    device: DeviceEntry | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CellEnd:
    """How a cell ended.

    Attributes:
        exit_code: Which deploy would have ended with.
        error: What it would have printed; None where it made a bundle.
        wall_s: How long it took.
        ran: Stages that ran here, rather than having come from the store.
        files: What it made, by relative path.
    """

    exit_code: int
    error: str | None = None
    wall_s: float
    ran: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


def run_cell(order: Order, tell: Callable[[str], None]) -> CellEnd:
    """Deploy a cell; whatever goes wrong in it is its end, and nobody else's.

    Args:
        order: What.
        tell: Called with the name of every stage as soon as it is measured.
    """
    rest_between_work()  # before torch is loaded
    if order.working_folder.is_dir():
        os.chdir(order.working_folder)
    ran: list[str] = []
    start = time.perf_counter()
    with own_scratch(), tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        folder, error = Path(scratch, "cell"), None
        try:
            code = _deploy(order, folder, ran, tell)
        except Exception as raised:  # noqa: BLE001 - as at a command's end
            error, code = ending(raised)
        return CellEnd(
            exit_code=code,
            error=error and told_without_home(_without_address(error, order)),
            wall_s=time.perf_counter() - start,
            ran=tuple(ran),
            files=packed(folder) if error is None else {},
        )


def _without_address(text: str, order: Order) -> str:
    """The device by its name: the page may be shown to others, and an address tells users and hosts."""
    if order.device is None:
        return text
    address = order.device.address
    for host in {host_of(address), configured_host(address) or host_of(address)}:
        place = rf"(?:ssh://)?(?:[\w.-]+@)?(?<![\w.-])\[?{re.escape(host)}\]?(?::\d+)?(?![\w-]|\.\w)"
        text = re.sub(place, order.cell.axes.device, text)
    return text


def _deploy(order: Order, folder: Path, ran: list[str], tell: Callable[[str], None]) -> int:
    """The one place where a fleet deploys; the exit code."""
    from benchmarks.workers.workplace import HERE as THIS_MACHINE
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import make_plan
    from pipeline.devices.device import Device
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.runner.deploy import deploy

    if order.edgewright != __version__:
        raise UsageError(
            "the cluster has another edgewright",
            got=__version__,
            expected=order.edgewright,
            fix="install the same version on its machines",
        )
    if order.gated and not order.baselines.is_dir():  # else no gate would be run, and nobody told
        raise UsageError(
            "the folder of baselines is not on the machine of this cell",
            where="--baselines",
            got=str(order.baselines),
            fix="put it where every machine has it, and name it by its full path: --baselines /nfs/baselines",
        )
    store, progress = Store(order.store or default_root()), SilentProgress()

    def announce(outcome: Outcome) -> None:
        if outcome.result.status == "ran":
            ran.append(outcome.result.stage)
        tell(outcome.result.stage)

    with ExitStack() as opened:
        place: Workplace = THIS_MACHINE
        if order.device is not None:  # other cells measure there too: each waits for its turn, however long that takes
            reached = Device(order.cell.axes.device, order.device, progress, wait_s=math.inf, lasting=True)
            place = opened.enter_context(reached)
        chain = Chain(make_plan(order.cell.recipe, store, progress, place=place), store, progress, announce)
        (deployed,) = deploy(chain, out=folder, shelf=Shelf(order.baselines).of(place))
        return deployed.exit_code
