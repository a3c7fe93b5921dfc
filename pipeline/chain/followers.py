"""A run of several processes: the first leads, the others train along wherever it trains.

``torchrun`` starts the same command in each. Only the first plans, measures, writes and speaks; when it comes to a
stage that trains, it hands the stage and its inputs to the others, and all run it together.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.environment import processes_together
from pipeline.errors import EdgewrightError, printable
from pipeline.progress import SilentProgress
from pipeline.stage import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.stage import Inputs, Stage

__all__ = ["TRAINING_STAGES", "call_followers", "led"]

TRAINING_STAGES = frozenset({"baseline", "answers", "distill", "downsample", "prune"})
"""Stages whose work is shared among the processes."""

_PATIENCE = timedelta(days=7)
"""The others wait while the first one measures."""

_SAID_WITHIN_S = 60.0
"""In which the first process has ended or said what comes next, where an error that another one met is its own too."""


@contextmanager
def led() -> Iterator[bool]:
    """Whether this process leads; one that does not has followed to the end when the block begins, and skips it.

    Alone, a process leads nobody.
    """
    if processes_together() == 1:
        yield True
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or each process says what it thinks of our settings
    from torch import cuda, distributed

    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda.is_available() else "gloo", timeout=_PATIENCE)
    if distributed.get_rank():
        _follow()
        yield False
        return
    yield True
    _tell(None)
    distributed.destroy_process_group()


def call_followers(stage: Stage, inputs: Inputs, *, seed: int, kept: Path | None) -> None:
    """Let the others run the stage too, now.

    Args:
        stage: About to run here.
        inputs: Of it; their files have to be where the others see them.
        seed: Of its randomness.
        kept: Where it finds what an earlier run left.
    """
    if processes_together() > 1 and stage.name in TRAINING_STAGES:
        _tell((stage, inputs, seed, kept))


def _tell(work: object) -> None:
    from torch import distributed

    from pipeline.training.ranks import peers_may_end

    with peers_may_end():
        distributed.broadcast_object_list([work], src=0)


def _follow() -> None:
    """Run what the first process runs, until it says that this is all.

    What a stage raises is left to the first process, which it happens to as well. Where it does not, the first one
    waits for this process within the training: this one then tells the error and ends, which ends the others too.
    Waiting is done outside of Python, which would notice a signal only afterwards: signals end this process at once,
    and there is nothing to tidy up.

    Raises:
        SystemExit: when the first process has ended.
    """
    from torch import distributed

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    failed: EdgewrightError | None = None
    while True:
        told: list[Any] = [None]
        try:
            with _ending_with(failed):
                distributed.broadcast_object_list(told, src=0)
        except RuntimeError:  # the first one has said, or its end has shown, what there is to say
            sys.exit(1)
        if told[0] is None:
            distributed.destroy_process_group()
            return
        stage, inputs, seed, kept = told[0]
        failed = None
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            work = Workspace(folder=Path(folder), seed=seed, progress=SilentProgress(), kept=kept)
            try:
                stage.run(inputs, work)
            except EdgewrightError as error:
                failed = error


@contextmanager
def _ending_with(failed: EdgewrightError | None) -> Iterator[None]:
    """End this process, from another thread, should the block wait too long after an error that was met here."""
    if failed is None:
        yield
        return
    timer = threading.Timer(_SAID_WITHIN_S, _end, [failed])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(error: EdgewrightError) -> None:
    """Tell what was met here alone; the process ends around whatever it waits in."""
    sys.stderr.write(printable(f"error: in one of the processes that train along: {error}\n"))
    sys.stderr.flush()
    os._exit(1)
