"""What every worker process does alike: answering, reading inputs without keeping them, warm-up, checking outputs."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.workers.patience import LEAST_WINDOW, PART_S
from pipeline.import_path import object_at
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pipeline.session import Array, Session

__all__ = [
    "WINDOW",
    "ExtraWork",
    "Inputs",
    "answer",
    "open_engine",
    "read_request",
    "same_outputs",
    "timed",
    "uncollected",
    "warm_up",
]

WINDOW = 20
"""Inferences whose median is compared in the warm-up."""

_SETTLED = 0.10
"""Warm-up ends when the medians of two successive windows differ by less than this."""


def answer(measure: Callable[[dict[str, Any]], dict[str, Any]], request_path: str, result_path: str) -> None:
    """Answer one request, on the cores it names."""
    Path(result_path).write_text(json.dumps(measure(read_request(request_path))), encoding="utf-8")


def read_request(path: str) -> dict[str, Any]:
    """What this process is asked; from here on it stays on the cores that are named there."""
    request: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    if request["affinity"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["affinity"])
    return request


def open_engine(request: Mapping[str, Any]) -> Session:
    """The session, not yet loaded, of an engine as told in a request; imports its runtime."""
    session: Session = object_at(request["opener"])(Path(request["folder"]), EngineSpec.from_json(request["spec"]))
    return session


class Inputs:
    """Prepared inputs, read into one buffer: mapped or kept they would count as the model's memory."""

    def __init__(self, path: Path, spec: EngineSpec) -> None:
        self._buffer = np.empty(spec.input.shape, np.dtype(spec.input.dtype))
        self._file = path.open("rb", buffering=0)
        self.count = path.stat().st_size // self._buffer.nbytes

    def read(self, row: int) -> Array:
        """The input number ``row``; overwritten by the next call."""
        self._file.seek(row * self._buffer.nbytes)
        self._file.readinto(self._buffer.reshape(-1).view(np.uint8).data)
        return self._buffer


def timed(run: Callable[[Array], tuple[Array, ...]], batch: Array) -> tuple[int, tuple[Array, ...]]:
    """Nanoseconds of one inference, and its outputs."""
    start = time.perf_counter_ns()
    outputs = run(batch)
    return time.perf_counter_ns() - start, outputs


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected in the block: nothing is timed that is not the engine's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def warm_up(step: Callable[[int], int], *, least_s: float, limit: int) -> dict[str, Any]:
    """Call ``step(number)``, which gives its nanoseconds, until these have settled.

    Settled: at least 40 steps and ``least_s`` seconds, and the medians of the last two twenties within a tenth. Steps
    so slow that 40 of them take more than ``PART_S`` are judged by fewer, at least 6, and given up after twice that.

    Args:
        step: One inference.
        least_s: Seconds of inferences at least.
        limit: Steps at most, once ``least_s`` is spent.

    Returns:
        ``iterations``, ``converged``, and ``median_ns`` of the last twenty.
    """
    times: list[int] = []
    spent, converged = 0, False
    while not converged and (len(times) < limit or spent < least_s * 1e9):
        times.append(step(len(times)))
        spent += times[-1]
        window = min(WINDOW, len(times) // 2)
        slow = window >= LEAST_WINDOW and spent >= PART_S * 1e9
        if (window == WINDOW or slow) and spent >= least_s * 1e9:
            earlier, later = np.median(times[-2 * window : -window]), np.median(times[-window:])
            converged = bool(abs(later - earlier) <= _SETTLED * earlier)
            if slow and spent >= 2 * PART_S * 1e9:
                break
    return {"iterations": len(times), "converged": converged, "median_ns": int(np.median(times[-WINDOW:]))}


def same_outputs(found: Sequence[Array], expected: Sequence[Array]) -> bool:
    """Whether an inference gave what the same input gave before; not bit by bit, since threads may add in any order."""
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=False) for a, b in zip(found, expected, strict=True))


class ExtraWork:
    """Makes a session slower by real work of its own, in proportion to how long an inference takes.

    For the self-test: the work is so many blocks hashed, counted once, and slows down with the machine like any work.

    Args:
        share: Such as 0.05 for five percent.
        inference_ns: What an inference takes.
    """

    _BLOCK = bytes(512)
    _PROBES, _PROBE = 9, 250

    def __init__(self, share: float, inference_ns: float) -> None:
        probes = []
        for _ in range(self._PROBES):  # several: one that lost its core would make the work too little
            start = time.perf_counter_ns()
            self._hash(self._PROBE)
            probes.append(time.perf_counter_ns() - start)
        self.blocks = round(share * inference_ns / (float(np.median(probes)) / self._PROBE))

    def _hash(self, blocks: int) -> None:
        for _ in range(blocks):
            hashlib.sha256(self._BLOCK).digest()

    def slowed(self, run: Callable[[Array], tuple[Array, ...]]) -> Callable[[Array], tuple[Array, ...]]:
        """The inference with the extra work behind it."""

        def slower(batch: Array) -> tuple[Array, ...]:
            outputs = run(batch)
            self._hash(self.blocks)
            return outputs

        return slower
