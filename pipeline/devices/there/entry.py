"""Where the sent code starts: ``python CODE.pyz agent ...`` and ``python CODE.pyz worker MODULE ...``."""

from __future__ import annotations

import os
import runpy
import sys

from pipeline.devices.there.older_pythons import lend
from pipeline.parent import end_with_parent

__all__ = ["main"]


def main() -> None:
    """Do what the first argument says."""
    lend()
    command, *rest = sys.argv[1:]
    if command == "agent":
        from pipeline.devices.there.agent import serve

        serve(*rest)
    elif command == "worker":
        _end_with(int(rest[0]))
        folder = os.path.dirname(rest[2])  # noqa: PTH120
        os.chdir(folder)  # what it may leave, killed with its connection, goes with its job's folder
        os.environ["TMPDIR"] = folder
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        sys.exit(f"not a command: {command!r}")


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when its agent dies, where it can; at once when that has happened already."""
    end_with_parent()
    if os.getppid() != parent:
        sys.exit("the agent that started this process is gone")
