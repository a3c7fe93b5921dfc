"""Models and inputs on their way to a device: what is there already is not sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.devices.entries import DeviceEntry
    from pipeline.devices.link import Link
    from pipeline.progress import Progress

__all__ = ["Sending", "Sent"]

_MIB = 1 << 20


class Sent:
    """What went to a device: files and bytes, of models and inputs; and the measuring code, if it was not there."""

    def __init__(self) -> None:
        self.files = self.bytes = self.code_bytes = 0

    def __str__(self) -> str:
        """For people."""
        code = f", {self.code_bytes / 1000:.0f} kB of measuring code" if self.code_bytes else ""
        return f"{self.files} files, {self.bytes / 1e6:.1f} MB{code}" if self.files or code else "nothing"


class Sending:
    """What goes to one device.

    Args:
        name: What the user calls it.
        progress: Told of what is sent.
    """

    def __init__(self, name: str, progress: Progress) -> None:
        self.sent = Sent()
        self._name, self._progress = name, progress
        self._there: set[str] = set()

    def forget(self) -> None:
        """The device may have lost what was there."""
        self._there.clear()

    def send(self, link: Link, entry: DeviceEntry, files: Mapping[str, Path]) -> None:
        """Send those files, by SHA-256, that the device has not.

        Raises:
            DeviceError: when the connection is lost.
            ResourceError: when there is no room, whether or not anything has to be sent.
        """
        if set(files) <= self._there:
            return
        sizes = {sha256: path.stat().st_size for sha256, path in files.items()}
        lacking = link.ask({"ask": "lacking", "sizes": sizes})["lacking"]
        total = sum(sizes[sha256] for sha256 in lacking)
        limits = {"limit": entry.cache_mib * _MIB, "least_free": entry.least_free_mib * _MIB}
        link.ask({"ask": "room", "size": total, "keep": list(sizes), **limits})
        if lacking:
            with self._progress.track(f"sending to {self._name}", len(lacking)) as ticker:
                link.put_all(((sha256, files[sha256]) for sha256 in lacking), ticker.advance)
        self._there = set(files)  # older ones may have had to go
        self.sent.files += len(lacking)
        self.sent.bytes += total
