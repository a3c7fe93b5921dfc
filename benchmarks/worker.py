"""``python -m benchmarks.worker REQUEST.json RESULT.json``: measures one engine in a process of its own.

Imports the standard library, numpy and the engine's runtime, nothing else: what is resident here is what the runtime
and the model cost.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.process import memory_status, own_status
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array, Session

_CHECKED_SHARE = 0.05
_HALF = 20
_SETTLED = 0.10
"""Warm-up ends when the medians of two successive windows of 20 differ by less than this."""


def main(request_path: str, result_path: str) -> None:
    """Answer one request."""
    request: dict[str, Any] = json.loads(Path(request_path).read_text(encoding="utf-8"))
    if request["affinity"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["affinity"])
    result = measure(request)
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Import, load, first inference, warm-up, timed loop; memory after each."""
    spec = EngineSpec.from_json(request["spec"])
    memory: dict[str, int | None] = {}
    start = time.perf_counter_ns()
    module, _, function = request["opener"].partition(":")
    session: Session = getattr(importlib.import_module(module), function)(Path(request["folder"]), spec)
    import_ns = time.perf_counter_ns() - start
    memory["import"] = memory_status("VmRSS")
    start = time.perf_counter_ns()
    with session:
        load_ns = time.perf_counter_ns() - start
        memory["load"] = memory_status("VmRSS")
        inputs = _Inputs(Path(request["inputs"]), spec)
        start = time.perf_counter_ns()
        session.run(inputs.read(0))
        first_ns = time.perf_counter_ns() - start
        expected = [[output.copy() for output in session.run(inputs.read(row))] for row in range(inputs.count)]
        warm = _warm_up(session, inputs, request)
        before = own_status()
        timed = _timed_loop(session, inputs, expected, request)
        after = own_status()
        memory["run"] = memory_status("VmRSS")
        memory["peak"] = memory_status("VmHWM")
        facts = session.facts()
    return {
        "import_ns": import_ns,
        "load_ns": load_ns,
        "first_ns": first_ns,
        "warmup": warm,
        **timed,
        "memory_bytes": memory,
        "facts": facts,
        "involuntary_switches": after - before,
    }


class _Inputs:
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


def _warm_up(session: Session, inputs: _Inputs, request: dict[str, Any]) -> dict[str, Any]:
    """Run until the times have settled, at most ``warmup_limit`` times."""
    times: list[int] = []
    limit = request["warmup_limit"]
    while len(times) < limit:
        batch = inputs.read(len(times) % inputs.count)
        start = time.perf_counter_ns()
        session.run(batch)
        times.append(time.perf_counter_ns() - start)
        if len(times) >= 2 * _HALF and sum(times) >= request["warmup_s"] * 1e9:
            earlier, later = np.median(times[-2 * _HALF : -_HALF]), np.median(times[-_HALF:])
            if abs(later - earlier) <= _SETTLED * earlier:
                return {"iterations": len(times), "converged": True}
    return {"iterations": len(times), "converged": False}


def _timed_loop(
    session: Session, inputs: _Inputs, expected: list[list[Array]], request: dict[str, Any]
) -> dict[str, Any]:
    """Time single inferences over rotating inputs; nothing is dropped, a seeded share of the outputs is checked."""
    generator = random.Random(request["seed"])
    samples: list[int] = []
    checked = mismatched = 0
    limit_ns = int(request["max_s"] * 1e9)
    gc.collect()
    gc.disable()
    began = time.perf_counter_ns()
    order: list[int] = []
    while len(samples) < request["iterations"]:
        if len(samples) >= request["min_iterations"] and time.perf_counter_ns() - began > limit_ns:
            break
        if not order:
            order = generator.sample(range(inputs.count), inputs.count)
        row = order.pop()
        batch = inputs.read(row)
        elapsed, outputs = _once(session.run, batch)
        samples.append(elapsed)
        if generator.random() < _CHECKED_SHARE:
            checked += 1
            mismatched += any(
                not np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=False)
                for a, b in zip(outputs, expected[row], strict=True)
            )
    gc.enable()
    return {"samples_ns": samples, "checked": checked, "mismatched": mismatched, "inputs": inputs.count}


def _once(run: Callable[[Array], tuple[Array, ...]], batch: Array) -> tuple[int, tuple[Array, ...]]:
    start = time.perf_counter_ns()
    outputs = run(batch)
    return time.perf_counter_ns() - start, outputs


if __name__ == "__main__":
    main(*sys.argv[1:])
