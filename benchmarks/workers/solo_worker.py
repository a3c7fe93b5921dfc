"""``python -m benchmarks.workers.solo_worker REQUEST.json RESULT.json``: measures one engine in a process of its own.

Imports the standard library, numpy and the engine's runtime, nothing else: what is resident here is what the runtime
and the model cost.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine.gpu_state import gpu_state
from benchmarks.machine.kernel_counters import memory_status, own_status, proportional_status, reset_peak
from benchmarks.workers.patience import FEWEST_TIMED, PART_S, TIMED_S
from benchmarks.workers.timed_inference import Inputs, answer, open_engine, same_outputs, timed, uncollected, warm_up
from pipeline.session import TimedByGpu

if TYPE_CHECKING:
    from pipeline.session import Array, Session

_CHECKED_SHARE = 0.05
_SPANS = 64
_FEWEST_ROUNDS = 3
"""Of one input asked again and again, however long they take; the processes' are judged together."""


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Import, load, first inference, warm-up, timed loop; memory after each."""
    memory: dict[str, int | None] = {}
    peaks: dict[str, int | None] = {}
    start = time.perf_counter_ns()
    session = open_engine(request)
    import_ns = time.perf_counter_ns() - start
    memory["import"] = memory_status("VmRSS")
    resets = reset_peak()
    start = time.perf_counter_ns()
    with session:
        load_ns = time.perf_counter_ns() - start
        memory["load"], peaks["load"] = memory_status("VmRSS"), memory_status("VmHWM")
        resets = reset_peak() and resets
        inputs = Inputs(Path(request["inputs"]), session.spec)
        first_ns, _ = timed(session.run, inputs.read(0))
        expected = _first_answers(session, inputs)
        warm = warm_up(
            lambda number: timed(session.run, inputs.read(number % inputs.count))[0],
            least_s=request["warmup_s"],
            limit=request["warmup_limit"],
        )
        on_gpu = "gpu" in session.facts()
        gpu_before = gpu_state() if on_gpu else None
        before = own_status()
        measured = _timed_loop(session, inputs, expected, request)
        after = own_status()
        gpu = {"before": gpu_before, "after": gpu_state(), "spans_ns": _spans(session, inputs)} if on_gpu else None
        repeated = _repeated_input(session, inputs, min(32, len(measured["samples_ns"])))
        memory["run"], peaks["run"] = memory_status("VmRSS"), memory_status("VmHWM")
        facts = session.facts()
    # What is resident counts too: recent kernels add both up now and then only, and the peak may lag behind.
    known = [value for value in (*peaks.values(), memory["load"], memory["run"]) if value is not None]
    memory["peak"] = max(known) if known else None
    return {
        "import_ns": import_ns,
        "load_ns": load_ns,
        "first_ns": first_ns,
        "warmup": warm,
        **measured,
        **repeated,
        "memory_bytes": memory,
        "phase_peaks_bytes": peaks if resets else None,
        "proportional_bytes": proportional_status(),
        "facts": facts,
        "gpu": gpu,
        "involuntary_switches": after - before,
    }


def _first_answers(session: Session, inputs: Inputs) -> list[list[Array]]:
    """What the first inputs give, by which later answers to them are checked: all of them where that is soon done."""
    found: list[list[Array]] = []
    began = time.perf_counter()
    while len(found) < inputs.count and (not found or time.perf_counter() - began < PART_S):
        found.append([output.copy() for output in session.run(inputs.read(len(found)))])
    return found


def _timed_loop(
    session: Session, inputs: Inputs, expected: list[list[Array]], request: dict[str, Any]
) -> dict[str, Any]:
    """Time single inferences over rotating inputs; nothing is dropped, a seeded share of the outputs is checked."""
    generator = random.Random(request["seed"])
    samples: list[int] = []
    checked = mismatched = 0
    order: list[int] = []
    with uncollected():
        began = time.perf_counter()
        while len(samples) < request["iterations"]:
            spent_s = time.perf_counter() - began
            if len(samples) >= request["min_iterations"] and spent_s > request["max_s"]:
                break
            if len(samples) >= FEWEST_TIMED and spent_s > max(TIMED_S, request["max_s"]):
                break
            if not order:
                order = generator.sample(range(inputs.count), inputs.count)
            row = order.pop()
            elapsed, outputs = timed(session.run, inputs.read(row))
            samples.append(elapsed)
            if generator.random() < _CHECKED_SHARE and row < len(expected):
                checked += 1
                mismatched += not same_outputs(outputs, expected[row])
    return {"samples_ns": samples, "checked": checked, "mismatched": mismatched, "inputs": inputs.count}


def _repeated_input(session: Session, inputs: Inputs, rounds: int) -> dict[str, list[int]]:
    """Inferences of the input that was asked just before, each beside one of an input that was not.

    Much faster ones would mean that answers are remembered. Side by side, because beside inferences of another moment
    a busy machine or a cold cache makes the same difference.
    """
    fresh: list[int] = []
    repeated: list[int] = []
    began = time.perf_counter()
    for number in range(rounds):
        if len(fresh) >= _FEWEST_ROUNDS and time.perf_counter() - began > PART_S:
            break
        session.run(inputs.read(0))
        repeated.append(timed(session.run, inputs.read(0))[0])
        # After that, as what was timed before the first round may be any input.
        fresh.append(timed(session.run, inputs.read(1 + number % (inputs.count - 1) if inputs.count > 1 else 0))[0])
    return {"fresh_ns": fresh, "repeated_ns": repeated}


def _spans(session: Session, inputs: Inputs) -> list[dict[str, int]] | None:
    """The parts of some inferences by the GPU's own clock; None of a session that cannot tell them.

    Apart from the timed loop, since the events themselves take time.
    """
    if not isinstance(session, TimedByGpu):
        return None
    return [session.spans(inputs.read(number % inputs.count)) for number in range(_SPANS)]


if __name__ == "__main__":
    answer(measure, *sys.argv[1:])
