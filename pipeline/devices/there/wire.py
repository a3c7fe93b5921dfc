"""Messages over two pipes: a line of JSON each, with the bytes it announces behind it.

Both ends send a beat every second. An end that hears nothing for a while knows that the other is gone, also where no
pipe was closed: a stopped process, a cable pulled out.
"""

from __future__ import annotations

import json
import os
import select
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["BEAT", "GoneError", "Wire", "beat_until"]

BEAT = "beat"
"""The one key of a message that says only that its sender lives."""

_BEAT_EVERY_S = 1.0
_CHUNK_BYTES = 1 << 16


class GoneError(Exception):
    """Nobody is at the other end."""


class Wire:
    """One end.

    Args:
        source: File descriptor that is read.
        sink: File descriptor that is written.
        silence_s: After so long without a byte the other end counts as gone.
    """

    def __init__(self, source: int, sink: int, *, silence_s: float) -> None:
        self._source, self._sink, self.silence_s = source, sink, silence_s
        self._held = bytearray()
        self._writing = threading.Lock()

    def text(self) -> bytes:
        """The next line, whatever it is, without its end.

        Raises:
            GoneError: when the other end is gone.
        """
        while b"\n" not in self._held:
            self._held += self._more()
        line, _, rest = bytes(self._held).partition(b"\n")
        self._held = bytearray(rest)
        return line

    def message(self) -> dict[str, Any]:
        """The next message that is no beat.

        Raises:
            GoneError: when the other end is gone, or says what is no message.
        """
        while True:
            try:
                found = json.loads(self.text())
            except ValueError as error:
                message = "what came is no message"
                raise GoneError(message) from error
            if BEAT not in found:
                told: dict[str, Any] = found
                return told

    def body(self, size: int) -> Iterator[bytes]:
        """The ``size`` bytes behind a message, in pieces.

        Raises:
            GoneError: when the other end is gone.
        """
        left = size
        while left:
            if not self._held:
                self._held += self._more()
            piece = bytes(self._held[:left])
            del self._held[: len(piece)]
            left -= len(piece)
            yield piece

    def send(self, message: Mapping[str, Any], body: Path | None = None) -> None:
        """Send a message, with a file's bytes behind it where one is given.

        As many bytes come as are announced, also of a file that others change meanwhile: what it grows by stays here,
        and zeros stand for what it loses. Its receiver has to compare hashes.

        Raises:
            GoneError: when the other end is gone.
            OSError: when the file cannot be opened; then nothing was sent.
        """
        if body is None:
            with self._writing:
                self._write(json.dumps(message).encode() + b"\n")
            return
        with body.open("rb") as file, self._writing:
            left = os.fstat(file.fileno()).st_size
            self._write(json.dumps({**message, "body": left}).encode() + b"\n")
            while left:
                most = min(left, _CHUNK_BYTES)
                piece = file.read(most) or bytes(most)
                self._write(piece)
                left -= len(piece)

    def _more(self) -> bytes:
        ready, _, _ = select.select([self._source], [], [], self.silence_s)
        found = os.read(self._source, _CHUNK_BYTES) if ready else b""
        if not found:
            raise GoneError("closed" if ready else f"silent for {self.silence_s:.0f} s")
        return found

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._sink, view) :]
        except OSError as error:
            raise GoneError(str(error)) from error


def beat_until(wire: Wire, over: threading.Event) -> None:
    """Send beats from a thread of their own until ``over`` is set or nobody is there to hear them."""

    def beat() -> None:
        with suppress(GoneError):  # whoever reads this wire is told the same
            while not over.wait(_BEAT_EVERY_S):
                wire.send({BEAT: 1})

    threading.Thread(target=beat, daemon=True).start()
