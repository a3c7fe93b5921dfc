"""What the gate can and cannot see on this machine, found out with differences of a known size."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.gate.two_bundles import gate
from pipeline.report.comparison import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.gate.two_bundles import GateOptions
    from pipeline.progress import Progress
    from pipeline.report.comparison import Comparison

__all__ = ["COLUMNS", "SLOWDOWNS", "SelfTest", "rows_of", "run_selftest", "worst_code"]

COLUMNS = ("slowed by", "gates", "regressed", "inconclusive", "ok", "improved", "unfit", "seen as", "expected")

SLOWDOWNS = (0.0, 0.01, 0.03, 0.05)
"""None, below the margin of two percent, a little above it, and well above it."""

_LARGE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTest:
    """All gates with one slowdown."""

    slowdown: float
    found: tuple[Comparison, ...]

    def verdicts(self) -> Counter[Verdict]:
        """How often each verdict came out: on the median latency, and where nothing is slowed on all metrics together.

        Any of them that then seems to differ ends a gate with a false alarm.
        """
        if self.slowdown == 0:
            return Counter(one.verdict for one in self.found)
        return Counter(row.verdict for one in self.found if (row := one.metric("latency p50")) is not None)


def run_selftest(  # noqa: PLR0913 - what, on what, how often, told to whom
    bundle: Bundle,
    dataset: Dataset,
    options: GateOptions,
    progress: Progress,
    *,
    gates: int,
    tell: Callable[[str], None],
    slowdowns: Sequence[float] = SLOWDOWNS,
) -> tuple[SelfTest, ...]:
    """Gate the bundle against itself, as it is and slowed down in the worker.

    Args:
        bundle: Runs on both sides.
        dataset: Its images.
        options: Of every gate; each has a seed of its own.
        progress: Told of the work.
        gates: How many with each slowdown.
        tell: Called with the sentence of every gate.
        slowdowns: Shares by which the candidate is slowed.
    """
    results: list[SelfTest] = []
    for slowdown in slowdowns:
        found = []
        for number in range(gates):
            own = replace(
                options,
                protocol=replace(options.protocol, slow_b=slowdown),
                seed=options.seed + len(results) * gates + number,
            )
            found.append(gate(bundle, bundle, dataset, own, progress))
            tell(f"slowed by {100 * slowdown:g} %: {found[-1].sentence}")
        results.append(SelfTest(slowdown=slowdown, found=tuple(found)))
    return tuple(results)


def rows_of(results: Sequence[SelfTest]) -> list[tuple[str, ...]]:
    """A row a slowdown, a text for each of :data:`COLUMNS`."""
    rows = []
    for result in results:
        verdicts = result.verdicts()
        changes = [row.change for one in result.found if (row := one.metric("latency p50")) and row.change is not None]
        rows.append(
            (
                f"{100 * result.slowdown:g} %",
                str(len(result.found)),
                *(
                    str(verdicts[verdict])
                    for verdict in (
                        Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.OK, Verdict.IMPROVED, Verdict.UNFIT,
                    )
                ),
                f"{100 * min(changes):+.1f} to {100 * max(changes):+.1f} %",
                _expected(result.slowdown),
            )
        )  # fmt: skip
    return rows


def _expected(slowdown: float) -> str:
    if slowdown == 0:
        return "never regressed or improved"
    return "regressed" if slowdown >= _LARGE else "mostly regressed" if slowdown > 0.02 else "not regressed"


def worst_code(results: Sequence[SelfTest]) -> int:
    """0 when the gate can be trusted here, 1 after a false alarm or a large slowdown unseen, 4 when always unfit."""
    told = [(result.slowdown, verdict) for result in results for verdict in result.verdicts().elements()]
    fit = [(slowdown, verdict) for slowdown, verdict in told if verdict is not Verdict.UNFIT]
    if not fit:
        return 4
    wrong = {Verdict.REGRESSED, Verdict.IMPROVED}
    alarms = [verdict for slowdown, verdict in fit if slowdown == 0 and verdict in wrong]
    missed = [verdict for slowdown, verdict in fit if slowdown >= _LARGE and verdict is not Verdict.REGRESSED]
    return 1 if alarms or missed else 0
