"""Starting a worker: a fresh process that answers one request and imports little."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import EdgewrightError, ResourceError, tells_of_memory
from pipeline.leftovers import shared_temporary_folder
from pipeline.threads import users_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.artifact import Json

__all__ = ["SENT_WORKER", "lost", "one_at_a_time", "run_worker", "start_worker"]

SENT_WORKER = "EDGEWRIGHT_SENT_WORKER"
"""On a device: the words, as JSON, that start a worker of what was sent; its parent's number comes behind them."""

_KILLED = -9
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_worker(
    module: str, request: Mapping[str, Json], *, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run ``python -m module`` on a request and return its answer.

    Args:
        module: Of a worker.
        request: What it is asked.
        environment: Variables it gets besides the user's.

    Raises:
        EdgewrightError: with the worker's last words when it failed.
        ResourceError: when it was killed, as the kernel does when memory runs out.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        asked, answered = Path(scratch, "request.json"), Path(scratch, "result.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        command = [*_command(module), str(asked), str(answered)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(environment or {}))  # noqa: S603 - ourselves
        if done.returncode != 0:
            raise lost(module, done.returncode, done.stderr)
        result: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        return result


def start_worker(module: str, request: Path, errors: IO[str]) -> subprocess.Popen[str]:
    """Start ``python -m module REQUEST``, which is spoken to line by line.

    Args:
        module: Of a worker.
        request: File it reads first.
        errors: Where its last words go.
    """
    command = [*_command(module), str(request)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=_environment({}))  # noqa: S603 - ourselves


def lost(module: str, code: int, words: str) -> EdgewrightError:
    """The error for a worker that ended without its answer.

    Args:
        module: Which.
        code: Its exit code; negative: the signal that killed it.
        words: What it wrote to standard error.
    """
    if code == _KILLED:
        return ResourceError(
            "a measuring process was killed, as happens when memory runs out",
            where=module,
            fix="close other programs, or measure on a machine with more memory",
        )
    lines = words.strip().splitlines()
    if said := next((line for line in reversed(lines) if tells_of_memory(line)), None):
        return ResourceError(
            "a measuring process ran out of memory",
            where=module,
            got=said,
            fix="close other programs, or measure on a machine with more memory",
        )
    if lines and any(os.strerror(number) in lines[-1] for number in _FULL):
        return ResourceError(
            "the disk is full", where=module, got=lines[-1], fix="free some, or name another folder: TMPDIR=..."
        )
    return EdgewrightError(
        "the model could not be measured",
        where="a fresh process on the target's runtime",
        got=lines[-1] if lines else f"exit code {code}",
    )


def _command(module: str) -> list[str]:
    """-P: a folder of the same name where the user stands must not be imported in place of ours."""
    if SENT_WORKER in os.environ:
        return [*json.loads(os.environ[SENT_WORKER]), str(os.getpid()), module]
    return [sys.executable, "-P", "-m", module]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The user's, but with a fixed hash seed and without helper threads of numeric libraries beside the runtime's."""
    return {**users_environment(), "PYTHONHASHSEED": "0", **dict.fromkeys(_THREAD_POOLS, "1"), **own}


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """One measurement of this user at a time: two would measure each other."""
    path = Path(shared_temporary_folder(), f"edgewright-measure-{os.getuid()}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
