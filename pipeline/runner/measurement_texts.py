"""A bundle's own measurement, as plain texts."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.report import figures

if TYPE_CHECKING:
    from pipeline.runner.bundle_measure import BundleMeasurement

__all__ = ["measurement_rows"]


def measurement_rows(measured: BundleMeasurement) -> list[tuple[str, str]]:
    """A label and a figure each; what was withheld says why."""
    solo = measured.solo
    latency, withheld = solo.latency()
    rows = [(f"latency {name}", figures.milliseconds(latency[name])) for name in ("p50", "p90", "p95", "p99")]
    rows += [("", reason) for reason in withheld]
    processes = solo.processes
    rows += [
        (
            "samples",
            f"{latency['n']} in {len(processes)} processes, {_checked(processes)} outputs checked, none dropped",
        ),
        ("import of the runtime", figures.milliseconds(_middle(processes, "import_ns") / 1e9)),
        ("load", figures.milliseconds(_middle(processes, "load_ns") / 1e9)),
        ("first inference", figures.milliseconds(_middle(processes, "first_ns") / 1e9)),
    ]
    memory, _ = solo.memory_bytes()
    rows += [(f"memory after {phase}", figures.megabytes(memory[phase])) for phase in ("import", "load", "run")]
    rows += [("memory peak", figures.megabytes(memory["peak"]))]
    proportional = [process["proportional_bytes"] for process in processes]
    if None not in proportional:
        rows.append(("memory, shared pages divided (PSS)", figures.megabytes(round(median(proportional)))))
    accuracy = measured.accuracy
    rows.append((accuracy.metric, f"{figures.percent(accuracy.value)} on {accuracy.n} images"))
    rows += [(f"in force: {key}", str(value)) for key, value in processes[0]["facts"].items()]
    rows.append(("cores", ", ".join(map(str, solo.affinity)) or "all"))
    return rows


def _middle(processes: tuple[Any, ...], field: str) -> float:
    return float(median(process[field] for process in processes))


def _checked(processes: tuple[Any, ...]) -> int:
    return sum(process["checked"] for process in processes)
