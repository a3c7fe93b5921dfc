"""What is said when a piece of work ends by an error, and the exit code that it stands for."""

from __future__ import annotations

import errno
import os
import resource
import traceback

from pipeline.errors import EdgewrightError, ResourceError, out_of_memory

__all__ = ["ending"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def ending(error: Exception) -> tuple[str, int]:
    """The message, without a word before it, and the code.

    An error that is not addressed to the user is a defect: it says so, names the place and how to see all of it.
    """
    said = out_of_memory(error)
    if said is not None and not isinstance(error, ResourceError):
        return _no_memory(said), ResourceError.exit_code
    if isinstance(error, EdgewrightError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", ResourceError.exit_code if error.errno in _FULL else 2
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119 - no path of this machine
    message = (
        f"a defect in edgewright: {type(error).__name__} at {place}\n  got: {error}\n"
        "  fix: run again with --debug and report what it prints"
    )
    return message, 70


def _no_memory(said: str) -> str:
    """The message, with what was asked for as far as the library says, and what the process had by then."""
    had = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return (
        f"out of memory\n  got: {said}; up to {had} MiB were in use\n"
        "  fix: close other programs, or use a smaller input or batch; finished stages are kept"
    )
