"""Starting a worker: a fresh process that answers one request and imports little."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import EdgewrightError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.artifact import Json

__all__ = ["one_at_a_time", "run_worker"]

_KILLED = -9
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
        # -P: a folder of the same name where the user stands must not be imported in place of ours.
        command = [sys.executable, "-P", "-m", module, str(asked), str(answered)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(environment or {}))  # noqa: S603 - ourselves
        if done.returncode == _KILLED:
            raise ResourceError(
                "a measuring process was killed, as happens when memory runs out",
                where=module,
                fix="close other programs, or measure on a machine with more memory",
            )
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()
            raise EdgewrightError(
                "the model could not be measured",
                where="a fresh process on the target's runtime",
                got=words[-1] if words else f"exit code {done.returncode}",
            )
        result: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        return result


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The user's, but with a fixed hash seed and without helper threads of numeric libraries beside the runtime's."""
    return {**os.environ, "PYTHONHASHSEED": "0", **dict.fromkeys(_THREAD_POOLS, "1"), **own}


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """One measurement of this user at a time: two would measure each other."""
    path = Path(tempfile.gettempdir(), f"edgewright-measure-{os.getuid()}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
