"""A user's file is loaded, run and rewritten in a process of its own, which can be ended when it does not end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any, Self

from pipeline.errors import ResourceError
from pipeline.lowering.onnx_import.file_worker import array_from, bytes_of, write_message

if TYPE_CHECKING:
    from types import TracebackType

    from pipeline.session import Array

__all__ = ["ChildError", "OnnxChild"]

_MODULE = "pipeline.lowering.onnx_import.file_worker"
_BLOCK = 1 << 20
_LOADING_S = 600.0
"""Of a graph; no loop is run for it."""
_REWRITING_S = 600.0
"""Simplifying a graph of two gigabytes takes minutes on a busy machine; one that folds an endless loop never ends."""


class ChildError(Exception):
    """What was asked for failed there; the text is what the library said."""


class OnnxChild:
    """Started when it is first asked, ended with the block; one that was ended for its time is started again.

    What it loaded is gone then, so a file that does not end should not be asked again.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def load(self, model: Any) -> int:  # noqa: ANN401 - ModelProto
        """The number of a session that rewrites nothing of the model.

        Raises:
            ChildError: when ONNX Runtime does not take it.
            TimeoutError: when it has not loaded within ten minutes.
            ResourceError: when the process was killed, as the kernel does when memory runs out.
        """
        told, _ = self._ask({"ask": "load"}, model.SerializeToString(), limit_s=_LOADING_S)
        session: int = told["session"]
        return session

    def run(self, session: int, name: str, batch: Array, *, limit_s: float) -> list[Array | None]:
        """The outputs for a batch; None for one that is no tensor.

        Args:
            session: As :meth:`load` gave it.
            name: Of the input.
            batch: As the graph takes it.
            limit_s: Seconds after which the process is ended.

        Raises:
            ChildError: when the graph does not take it.
            TimeoutError: when it is not done within ``limit_s``.
            ResourceError: as of :meth:`load`.
        """
        told, parts = self._ask({"ask": "run", "session": session, "input": name}, bytes_of(batch), limit_s=limit_s)
        tensors = iter(parts)
        return [array_from(next(tensors)) if is_tensor else None for is_tensor in told["tensors"]]

    def rewritten(self, model: Any, *, opset: int, simplify: bool) -> Any:  # noqa: ANN401 - ModelProto
        """The model in that operator set, spelled as the rest wants it.

        Args:
            model: One that takes and gives what the rest wants.
            opset: As of :func:`pipeline.lowering.onnx_import.opset.in_opset`.
            simplify: As of :func:`pipeline.lowering.tidy.tidied`.

        Raises:
            ChildError: whatever the converter, the simplifier or the check meets.
            TimeoutError: when they are not done within ten minutes.
            ResourceError: as of :meth:`load`.
        """
        import onnx

        head = {"ask": "rewrite", "opset": opset, "simplify": simplify}
        _, (graph,) = self._ask(head, model.SerializeToString(), limit_s=_REWRITING_S)
        return onnx.load_model_from_string(graph)

    def _ask(self, head: dict[str, Any], part: bytes, *, limit_s: float) -> tuple[dict[str, Any], list[bytes]]:
        process = self._started()
        assert process.stdin is not None  # noqa: S101 - asked for below
        deadline = time.monotonic() + limit_s
        try:
            write_message(process.stdin, head, [part])
            told: dict[str, Any] = json.loads(self._line(process, deadline))
            parts = [self._exactly(process, size, deadline) for size in told["parts"]]
        except TimeoutError:
            self._end()
            raise
        except (EOFError, BrokenPipeError) as error:
            raise self._lost(process) from error
        if "error" in told:
            raise ChildError(told["error"])
        return told, parts

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._words, self._read = tempfile.TemporaryFile(), b""  # noqa: SIM115 - closed in _end
            command = [sys.executable, "-P", "-m", _MODULE]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._words)  # noqa: S603 - ourselves
        return self._process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        while b"\n" not in self._read:
            self._more(process, deadline)
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _exactly(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        blocks, missing = [self._read[:size]], size - len(self._read)
        self._read = self._read[size:]
        while missing > 0:
            self._more(process, deadline)
            blocks.append(self._read[:missing])
            self._read, missing = self._read[missing:], missing - len(self._read)
        return b"".join(blocks)

    def _more(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        """Wait for some bytes; a signal's handler may end the wait."""
        assert process.stdout is not None  # noqa: S101 - asked for above
        stream = process.stdout.fileno()
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        block = os.read(stream, _BLOCK)
        if not block:
            raise EOFError
        self._read += block

    def _lost(self, process: subprocess.Popen[bytes]) -> Exception:
        """The error for a process that ended without its answer."""
        assert self._words is not None  # noqa: S101 - started with it
        code = process.wait()
        self._words.seek(0)
        said = self._words.read().decode(errors="replace").strip().splitlines()
        self._end()
        if code == -signal.SIGKILL:
            return ResourceError(
                "a process that ran the ONNX file was killed, as happens when memory runs out",
                where=_MODULE,
                fix="close other programs, or use a machine with more memory",
            )
        ended = f"it crashed with {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"
        return ChildError(f"{ended}: {said[-1]}" if said else ended)

    def _end(self) -> None:
        process, words = self._process, self._words
        self._process = self._words = None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None  # noqa: S101 - asked for above
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # what was still to be written is of no use to a process that is gone
        if words is not None:
            words.close()
