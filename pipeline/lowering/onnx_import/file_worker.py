"""``python -m pipeline.lowering.onnx_import.file_worker``: loads, runs and rewrites the graphs of a user's file.

Nobody knows of a file whether it ends: a loop in it may have 2^62 turns, and a library that is in one hears no signal.
So it is done here, where the parent (:mod:`pipeline.lowering.onnx_import.child`) can end it.

A message is a line of JSON, whose ``parts`` are the sizes of the blocks of bytes behind it. Asked are ``load`` with a
graph, ``run`` with an input as numpy writes it, ``rewrite`` with a graph; answered is ``error`` or what was asked for.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import first_line
from pipeline.lowering.cpu import cpu_session
from pipeline.parent import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.session import Array

__all__ = ["array_from", "bytes_of", "write_message"]


def write_message(stream: IO[bytes], head: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write one message."""
    stream.write(json.dumps({**head, "parts": [len(part) for part in parts]}).encode() + b"\n")
    stream.writelines(parts)
    stream.flush()


def bytes_of(array: Array) -> bytes:
    """As numpy writes it; texts, which it keeps as objects, with their letters."""
    buffer = io.BytesIO()
    np.save(buffer, array.astype(str) if array.dtype == object else array, allow_pickle=False)
    return buffer.getvalue()


def array_from(data: bytes) -> Array:
    """What :func:`bytes_of` wrote."""
    array: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return array


class _Work:
    """What is asked for, by name."""

    def __init__(self) -> None:
        self._sessions: list[Any] = []

    def load(self, _head: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        self._sessions.append(cpu_session(parts[0], optimised=False))
        return {"session": len(self._sessions) - 1}, []

    def run(self, head: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        values = self._sessions[head["session"]].run(None, {head["input"]: array_from(parts[0])})
        tensors = [isinstance(value, np.ndarray) for value in values]
        return {"tensors": tensors}, [bytes_of(value) for value in values if isinstance(value, np.ndarray)]

    def rewrite(self, head: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        import onnx

        from pipeline.lowering.onnx_import.opset import in_opset
        from pipeline.lowering.tidy import tidied

        model = onnx.load_model_from_string(parts[0])
        graph = tidied(in_opset(model, head["opset"]), simplify=head["simplify"])
        return {}, [graph.SerializeToString()]


def main() -> None:
    """Answer until the input ends."""
    end_with_parent()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        work = _Work()
        while line := sys.stdin.buffer.readline():
            head = json.loads(line)
            parts = [sys.stdin.buffer.read(size) for size in head["parts"]]
            try:
                told, given = getattr(work, head["ask"])(head, parts)
            except Exception as error:  # noqa: BLE001 - runtimes and converters have no common base; the parent says it
                told, given = {"error": first_line(error)}, []
            write_message(answers, told, given)


if __name__ == "__main__":
    main()
