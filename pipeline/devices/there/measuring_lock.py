"""One measurement on a machine at a time, whoever asks for it."""

from __future__ import annotations

import fcntl
import getpass
import os
import tempfile
from pathlib import Path

__all__ = ["MeasuringLock"]


class MeasuringLock:
    """The right to measure; the kernel takes it back when its holder dies."""

    def __init__(self) -> None:
        self._handles: list[int] = []

    def take(self) -> str | None:
        """None when it is ours from now on, else who has it.

        Of two locks the first is everybody's, the second the one that this user's measurements on the machine itself
        wait for (``benchmarks.workers.launch``).
        """
        if self._handles:
            return None
        folder = Path(tempfile.gettempdir())
        names = ("edgewright-measure.lock", f"edgewright-measure-{os.getuid()}.lock")
        for name, mode in zip(names, (0o666, 0o600)):
            handle = _opened(folder / name, mode)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
                os.close(handle)
                self.give_back()
                return holder or "another process"
            self._handles.append(handle)
        os.ftruncate(self._handles[0], 0)
        os.pwrite(self._handles[0], f"{getpass.getuser()}, process {os.getpid()}\n".encode(), 0)
        return None

    def give_back(self) -> None:
        """Let others have it."""
        while self._handles:
            os.close(self._handles.pop())


def _opened(path: Path, mode: int) -> int:
    """The lock file, made where there is none.

    Not by one call that opens or makes it: in a folder that is everybody's the kernel refuses that for another's file.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
        os.fchmod(handle, mode)  # whatever the umask says
        return handle
