"""All metrics together: one verdict, one exit code, one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report.comparison import Verdict
from pipeline.report.figures import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.comparison import Comparison, MetricRow

__all__ = ["exit_code", "overall", "sentence"]

_ACCURACY = 8
_EXIT_CODES = {
    Verdict.OK: 0,
    Verdict.IMPROVED: 0,
    Verdict.REGRESSED: 1,
    Verdict.INCONCLUSIVE: 3,
    Verdict.UNFIT: 4,
}


def overall(found: Comparison) -> Verdict:
    """The worst that is certain, then doubt, then the best."""
    if found.missing:
        return Verdict.REGRESSED
    gating = [row.verdict for row in found.metrics if row.gating and row.waived is None]
    for verdict in (Verdict.REGRESSED, Verdict.UNFIT, Verdict.INCONCLUSIVE):
        if verdict in gating:
            return verdict
    return Verdict.IMPROVED if Verdict.IMPROVED in gating else Verdict.OK


def exit_code(found: Comparison, verdict: Verdict) -> int:
    """What the command ends with: accuracy and parity have a code of their own."""
    worse = {row.name for row in _regressed(found)}
    return _ACCURACY if worse & {"accuracy", "agreement"} else _EXIT_CODES[verdict]


def _regressed(found: Comparison) -> list[MetricRow]:
    return [row for row in found.metrics if row.gating and row.waived is None and row.verdict is Verdict.REGRESSED]


def sentence(found: Comparison, verdict: Verdict, name: str) -> str:
    """One line: the verdict, the metric that decides it with its interval and limit, and how much evidence.

    Args:
        found: Its metrics and processes.
        verdict: Of all together.
        name: Of what is judged.
    """
    deciding = _deciding(verdict, found.metrics)
    others = [row.name for row in _regressed(found) if row not in deciding]
    told = [f"{', '.join(found.missing)} no longer measured"] if found.missing else []
    told += [_told(row) for row in deciding]
    told += [f"also {', '.join(others)}"] if others else []
    told += [found.unfit[0]] if verdict is Verdict.UNFIT and found.unfit else []
    pairs = sum(process.kind == "pair" for process in found.processes)
    control = "" if found.control_change is None else f", baseline against itself {100 * found.control_change:+.1f} %"
    return f"{verdict.upper()} {name}: {'; '.join(told)} ({pairs} processes{control})"


def _deciding(verdict: Verdict, metrics: Sequence[MetricRow]) -> list[MetricRow]:
    """Those with the verdict; where all is well, the median latency and the accuracy."""
    gating = [row for row in metrics if row.gating and row.waived is None]
    if verdict in {Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.IMPROVED}:
        # Accuracy first: it matters more than speed.
        found = sorted(
            (row for row in gating if row.verdict is verdict), key=lambda row: row.name not in {"accuracy", "agreement"}
        )
        return found[:2]
    return [row for row in gating if row.name in {"latency p50", "accuracy"}]


def _told(row: MetricRow) -> str:
    if row.change is None:
        return f"{row.name} not measured"
    if row.name == "agreement":
        return f"parity: {100 * (1 - row.change):.2f} % same answers (limit {100 * (1 - row.limit):g} %)"
    if row.name == "accuracy":
        moved = f"{points(row.change)} {'lost' if row.change > 0 else 'gained'}" if row.change else "same"
        most = "" if row.high is None or row.verdict is Verdict.REGRESSED else f"{_most_lost(row.high)}, "
        return f"accuracy {moved} ({most}limit {100 * row.limit:g})"
    worse = row.verdict is Verdict.REGRESSED
    bound = row.low if worse else row.high
    shown = "" if bound is None else f"{'at least' if worse else 'at most'} {100 * bound:+.1f} %, "
    return f"{row.name} {100 * row.change:+.1f} % ({shown}limit {100 * row.limit:+g} %)"


def _most_lost(high: float) -> str:
    """The upper end of what is lost; below 0 that much is gained at least."""
    return f"at least {-100 * high:.2f} gained" if high < 0 else f"at most {100 * high:.2f} lost"
