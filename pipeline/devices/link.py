"""The client's end of the wire to the agent on a device: one question, one answer."""

from __future__ import annotations

import queue
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.devices.there.wire import GoneError, Wire, beat_until
from pipeline.errors import DeviceError, EdgewrightError, IntegrityError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Link"]

_SILENCE_S = 15.0
"""Longer than the agent's own patience: by then nothing of it is left."""

_START_S = 60.0
"""For the first word: a small or busy board takes long to start a Python."""


class Link:
    """Speaks with an agent whose pipes are given.

    Args:
        name: What the user calls the device.
        source: File descriptor of the agent's output.
        sink: Of its input.
        cut: Ends the connection at once.
        last_words: What the agent wrote to its standard error so far.
    """

    def __init__(
        self, name: str, source: int, sink: int, cut: Callable[[], None], last_words: Callable[[], str]
    ) -> None:
        self._name, self._cut, self._last_words = name, cut, last_words
        self._wire = Wire(source, sink, silence_s=_START_S)
        self._answers: queue.SimpleQueue[dict[str, Any] | GoneError] = queue.SimpleQueue()
        self._over, self._gone = threading.Event(), threading.Event()
        self._bodies = tempfile.TemporaryDirectory(prefix="edgewright-")
        self._reader = threading.Thread(target=self._read, daemon=True)

    def greet(self, code: str) -> None:
        """Wait for the agent's first message; what a login shell prints before it is passed over.

        Args:
            code: SHA-256 of the code that has to be running.

        Raises:
            DeviceError: when it does not come.
        """
        try:
            line = self._wire.text()
            while not line.startswith(b'{"agent"'):
                line = self._wire.text()
        except GoneError as error:
            raise self._lost(error) from error
        if code.encode() not in line:
            raise DeviceError(
                "other code answers than was sent",
                where=self._name,
                got=line.decode(errors="replace"),
                fix=f"`edgewright device clean {self._name}` removes what is there; then again",
            )
        self._wire.silence_s = _SILENCE_S
        beat_until(self._wire, self._over)
        self._reader.start()

    @property
    def is_gone(self) -> bool:
        """Whether the agent or the way to it was found to be gone."""
        return self._gone.is_set()

    def close(self) -> None:
        """Let the agent end; nothing is asked from here on."""
        self._over.set()
        with suppress(GoneError):  # it has ended, or will within its patience
            self._wire.send({"ask": "end"})
        self._bodies.cleanup()

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Raises:
            DeviceError: when the connection is lost or the device fails.
            ResourceError: when there is no room on the device.
        """
        self._send(message)
        return self.answer()

    def put_all(self, files: Iterable[tuple[str, Path]], tell: Callable[[], None]) -> None:
        """Send files by their SHA-256 without waiting for the answer to each.

        Raises:
            DeviceError: as :meth:`ask`.
            ResourceError: when the disk there is full.
            IntegrityError: when a file was changed since it was hashed.
        """
        waiting = 0
        try:
            for sha256, path in files:
                self._send({"ask": "put", "sha256": sha256}, path)
                waiting += 1
                while not self._answers.empty():
                    waiting -= 1
                    self.answer()
                tell()
            while waiting:
                waiting -= 1
                self.answer()
        except EdgewrightError:
            self._pass_over(waiting)  # else they would be taken for answers to what is asked next
            raise

    def answer(self) -> dict[str, Any]:
        """The next answer; of one with bytes behind it, ``file`` is where these lie until the link is closed.

        Raises:
            DeviceError: as :meth:`ask`.
            ResourceError: as :meth:`ask`.
        """
        found = self._answers.get()
        if isinstance(found, GoneError):
            self._answers.put(found)  # for whoever asks next
            raise self._lost(found) from found
        match found.get("error"):
            case "no room":
                raise ResourceError(
                    "there is too little room on the device",
                    where=self._name,
                    got=found["text"],
                    fix="free some there (edgewright device clean), or change its cache_mib or least_free_mib",
                )
            case "disk full":
                raise ResourceError(
                    "the disk of the device is full",
                    where=self._name,
                    got=found["text"],
                    fix="free some there (edgewright device clean)",
                )
            case "damaged":
                raise IntegrityError(
                    "a file did not arrive as it was, or was changed while it was sent",
                    where=self._name,
                    got=found["text"],
                    fix="see that nothing else writes it, then run the same command again",
                )
            case "system":
                raise DeviceError(
                    "the device failed",
                    where=self._name,
                    got=found["text"],
                    fix=f"`edgewright device check {self._name}` looks it over",
                )
        return found

    def _pass_over(self, answers: int) -> None:
        for _ in range(answers):
            found = self._answers.get()
            if isinstance(found, GoneError):
                self._answers.put(found)
                return

    def _send(self, message: Mapping[str, Any], body: Path | None = None) -> None:
        try:
            self._wire.send(message, body)
        except GoneError as error:
            self._gone.set()  # the thread that reads finds out a moment later
            raise self._lost(error) from error

    def _read(self) -> None:
        try:
            while True:
                message = self._wire.message()
                if "body" in message:
                    handle, name = tempfile.mkstemp(dir=self._bodies.name)
                    message["file"] = Path(name)
                    with open(handle, "wb") as file:  # noqa: PTH123 - a handle: it is closed with it
                        file.writelines(self._wire.body(message["body"]))
                self._answers.put(message)
        except GoneError as gone:
            self._gone.set()
            if not self._over.is_set():
                self._cut()  # whoever is writing is woken by it
            self._answers.put(gone)
        except OSError as error:
            self._give_up(f"what came could not be written here: {error}", error)
        except Exception as error:  # noqa: BLE001 - whatever ends this thread: whoever asks would wait for ever
            self._give_up(f"what came could not be read here: {error!r}", error)

    def _give_up(self, why: str, cause: Exception) -> None:
        self._gone.set()
        self._cut()
        gone = GoneError(why)
        gone.__cause__ = cause
        self._answers.put(gone)

    def _lost(self, error: GoneError) -> DeviceError:
        words = self._last_words().strip().splitlines()
        return DeviceError(
            "the connection was lost",
            where=self._name,
            got=words[-1] if words else str(error),
            fix="see that the device is on and reached, then run the same command again: what was sent is kept there, "
            "and nothing goes on running on it",
        )
