"""What Ray runs for a fleet: a cell in its worker, and the board on which workers write how far they are."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from pipeline.fleet.cell_run import run_cell

if TYPE_CHECKING:
    from pipeline.fleet.cell_run import CellEnd, Order

__all__ = ["Board", "work"]


class Board:
    """Where workers write how far they are: an actor of Ray's, so that it can be written from every machine."""

    def __init__(self) -> None:
        self._told: list[tuple[int, str, str, int]] = []

    def tell(self, cell: int, stage: str, machine: str, group: int) -> None:
        """A cell has come to a stage, on a machine, in a process group there."""
        self._told.append((cell, stage, machine, group))

    def take(self) -> list[tuple[int, str, str, int]]:
        """What was told since this was asked last."""
        told, self._told = self._told, []
        return told


def work(cell: int, order: Order, board: Any) -> CellEnd:  # noqa: ANN401 - a handle of Ray's
    """Run a cell in this process and tell how far it is.

    Args:
        cell: Its number.
        order: What.
        board: A handle of the :class:`Board`.
    """
    import ray

    machine = ray.get_runtime_context().get_node_id()
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # so that its measuring processes can be ended together with it
    # Ray lets the kernel forget children that ended: their exit codes, and the CPU time that tells ours from others'.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    group = os.getpgrp()
    board.tell.remote(cell, "", machine, group)
    return run_cell(order, lambda stage: board.tell.remote(cell, stage, machine, group))
