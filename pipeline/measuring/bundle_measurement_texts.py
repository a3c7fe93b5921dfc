"""A bundle's own measurement, as plain texts."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.report import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.measuring.bundle_measurement import BundleMeasurement

__all__ = ["measurement_rows"]


def measurement_rows(measured: BundleMeasurement) -> list[tuple[str, str]]:
    """A label and a figure each; what was withheld says why."""
    solo = measured.solo
    latency, withheld = solo.latency()
    rows = [(f"latency {name}", figures.milliseconds(latency[name])) for name in ("p50", "p90", "p95", "p99")]
    rows += [("", reason) for reason in withheld]
    processes, cold = solo.processes, solo.cold_start_s()
    rows += [
        (
            "samples",
            f"{latency['n']} in {len(processes)} processes, {_checked(processes)} outputs checked, none dropped",
        ),
        ("import of the runtime", figures.milliseconds(cold["import"])),
        ("load", figures.milliseconds(cold["load"])),
        ("first inference", figures.milliseconds(cold["first"])),
    ]
    memory, _ = solo.memory_bytes()
    rows += [(f"memory after {phase}", figures.megabytes(memory[phase])) for phase in ("import", "load", "run")]
    rows += [("memory peak", figures.megabytes(memory["peak"]))]
    proportional = [process["proportional_bytes"] for process in processes]
    if None not in proportional:
        rows.append(("memory, shared pages divided (PSS)", figures.megabytes(round(median(proportional)))))
    rows += _gpu_rows([process["gpu"] for process in processes if process["gpu"] is not None])
    accuracy = measured.accuracy
    rows.append((accuracy.metric, f"{figures.percent(accuracy.value)} on {accuracy.n} images"))
    rows += [(f"in force: {key}", str(value)) for key, value in processes[0]["facts"].items()]
    rows.append(("cores", ", ".join(map(str, solo.affinity)) or "all"))
    return rows


def _gpu_rows(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What was recorded of the GPU, processes together; nothing on a CPU."""
    rows = []
    spans = [one for process in told for one in process["spans_ns"] or ()]
    for name, label in (("copy_in", "copy to the GPU"), ("compute", "the engine alone"), ("copy_out", "copy back")):
        if spans:
            rows.append(
                (f"{label}, by the GPU's clock", figures.milliseconds(median(one[name] for one in spans) / 1e9))
            )
    states = [process["after"] for process in told if process["after"] is not None]
    for name, label, unit in (
        ("sm_mhz", "GPU clock", "MHz"), ("memory_mhz", "GPU memory clock", "MHz"), ("celsius", "GPU temperature", "C"),
    ):  # fmt: skip
        values = [state[name] for state in states if state[name] is not None]
        if values:
            rows.append((label, f"{min(values)} to {max(values)} {unit}"))
    used = [state["used_bytes"] for state in states if state["used_bytes"] is not None]
    if used:
        rows.append(("GPU memory in use, of all processes", figures.megabytes(max(used))))
    held = dict.fromkeys(reason for state in states for reason in state["held_back"] or ())
    if states:
        rows.append(("GPU clocks held back by", ", ".join(held) or "nothing"))
    return rows


def _checked(processes: tuple[Any, ...]) -> int:
    return sum(process["checked"] for process in processes)
