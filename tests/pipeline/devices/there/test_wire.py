"""What goes over two pipes stays in step, whatever happens to a file meanwhile."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pipeline.devices.there.wire import Wire

_BYTES = 1 << 20
"""More than a pipe holds: its sender waits in the middle of it."""


@pytest.mark.parametrize("length", [0, 1000, _BYTES, 2 * _BYTES])
def test_a_file_that_changes_while_it_is_sent_does_not_break_what_follows(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"x" * _BYTES)
    source, sink = os.pipe()
    sender, receiver = (Wire(source, sink, silence_s=10.0) for _ in range(2))

    def send() -> None:
        sender.send({"ask": "put"}, path)
        sender.send({"ask": "next"})

    sending = threading.Thread(target=send)
    sending.start()
    message = receiver.message()
    os.truncate(path, length)
    body = b"".join(receiver.body(message["body"]))
    following = receiver.message()
    sending.join()
    os.close(source)
    os.close(sink)

    assert (message, len(body), following) == ({"ask": "put", "body": _BYTES}, _BYTES, {"ask": "next"})
    assert (body == b"x" * _BYTES) == (length >= _BYTES)


def test_of_a_file_that_is_not_there_nothing_is_announced(tmp_path: Path) -> None:
    source, sink = os.pipe()
    wire = Wire(source, sink, silence_s=1.0)
    with pytest.raises(FileNotFoundError):
        wire.send({"ask": "put"}, tmp_path / "gone")
    wire.send({"ask": "next"})
    assert wire.message() == {"ask": "next"}
    os.close(source)
    os.close(sink)
