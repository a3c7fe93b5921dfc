"""A limit on memory while a network's graph is followed: for some networks that would take all the machine has."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ResourceError, first_line, out_of_memory
from pipeline.pruning.unprunable import unprunable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GRAPH_BYTES", "limited_memory", "of_little_memory"]

GRAPH_BYTES = 4 << 30
"""A ResNet-152's graph takes a tenth of it; that of shifted windows, an index for every value of every feature map,
takes more than a workstation has."""

_STATUS = Path("/proc/self/statm")
_PAGE_BYTES = 4096


@contextmanager
def limited_memory(more_bytes: int = GRAPH_BYTES) -> Iterator[None]:
    """Within it this process may take so much more address space than it has; without a /proc nothing is limited.

    Args:
        more_bytes: How much.

    Raises:
        EdgewrightError: when that was not enough.
        ResourceError: when the user's own limit is below that and was not enough: it says nothing of the network.
    """
    try:
        import resource

        taken = int(_STATUS.read_text(encoding="ascii").split()[0]) * _PAGE_BYTES
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    users = [limit for limit in before if limit != resource.RLIM_INFINITY]
    most = min([taken + more_bytes, *users])
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    except Exception as error:
        # C code that gets no memory may return an error and set none, which Python calls a SystemError.
        said = out_of_memory(error) or (first_line(error) if isinstance(error, SystemError) else None)
        if said and most in users:
            raise _ran_out(said, most) from error
        if not isinstance(error, MemoryError):
            raise
        raise unprunable(
            f"following which of them depend on each other takes more than {more_bytes >> 30} GiB"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def of_little_memory(error: object) -> ResourceError | None:
    """What an error is that says nothing of the network, since the user limits memory; None for any other.

    Python reads a source file that it has no memory for as an empty one, and says that it could not get the source.
    """
    if not isinstance(error, MemoryError | OSError | SystemError):
        return None
    try:
        import resource
    except ImportError:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if most == resource.RLIM_INFINITY else _ran_out(first_line(error), most)


def _ran_out(said: str, most_bytes: int) -> ResourceError:
    return ResourceError(
        "memory ran out while it was followed which channels depend on each other",
        where="prune",
        got=f"{said}, with a limit of {most_bytes >> 20} MiB of address space",
        fix="raise the limit (ulimit -v), or run without it: --skip prune",
    )
