"""A limit on time while a network's graph is followed: for some networks that would take days."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from pipeline.pruning.unprunable import unprunable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GRAPH_S", "limited_time"]

GRAPH_S = 120.0
"""A DenseNet-121's graph took less than six seconds; that of a network which multiplies its maps with each other, as
bilinear pooling does, two with 16 channels and 17 with 32."""

_AGAIN_S = 1.0
"""Where the signal comes while Python ignores what is raised, as in a destructor, it comes again."""


@contextmanager
def limited_time(seconds: float = GRAPH_S) -> Iterator[None]:
    """Within it this process may compute for so long; how busy the machine is does not count.

    A process has one such clock, which its main thread alone may set: elsewhere, and on a system that has none, nothing
    is limited.

    Args:
        seconds: How long.

    Raises:
        EdgewrightError: when that was not enough.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def end(_signal: int, _frame: object) -> NoReturn:
        raise unprunable(f"following which of them depend on each other takes more than {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
