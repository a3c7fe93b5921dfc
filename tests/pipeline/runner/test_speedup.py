"""How much faster the report's first line says what is shipped is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from benchmarks.statistics.non_inferiority import Control
from benchmarks.statistics.signed_rank import shift
from benchmarks.workers.workplace import HERE
from pipeline.gate.latency_looks import JudgedLatency
from pipeline.progress import SilentProgress
from pipeline.recipe import MeasureSection
from pipeline.report.comparison import MetricRow, Verdict
from pipeline.runner import speedup as module
from pipeline.runner.speedup import Speedup, speedup
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chain.chain import Chain

SLOW: Any = SimpleNamespace(sha256="a" * 64)
FAST: Any = SimpleNamespace(sha256="b" * 64)
TARGET: Any = SimpleNamespace(distributions=("onnxruntime",))


def _judged(
    *, reasons: tuple[str, ...] = (), bounds: tuple[float | None, float | None] = (-0.8, -0.75)
) -> JudgedLatency:
    row = MetricRow(
        name="latency p50", unit="s", baseline=0.004, candidate=0.001, change=-0.78, low=bounds[0], high=bounds[1],
        limit=0.2, method="", verdict=Verdict.IMPROVED,
    )  # fmt: skip
    control = Control(change=shift([0.0] * 5, alpha=0.05), reasons=reasons)
    return JudgedLatency(rows=(row,), processes=(), control=control, looks=1)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    recipe = SimpleNamespace(measure=MeasureSection(), seed=0)
    plan = SimpleNamespace(recipe=recipe, place=HERE)
    parts = {"plan": plan, "store": Store(tmp_path), "progress": SilentProgress()}
    return cast("Chain", SimpleNamespace(**parts))


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answers of the side-by-side measurement, taken from the front."""
    answers: list[Any] = []
    monkeypatch.setattr(module, "engines_of", lambda *_: (None, None))
    monkeypatch.setattr(module, "judge_side_by_side", lambda *_, **__: answers.pop(0))
    return answers


def test_the_change_of_the_time_is_told_as_a_factor_with_its_ends_the_right_way_round(
    chain: Chain, comparisons: list[Any]
) -> None:
    comparisons.append(_judged())

    found = speedup(chain, TARGET, SLOW, FAST)

    assert found.ratio == pytest.approx(1 / 0.22)
    assert (found.low, found.high) == (pytest.approx(4.0), pytest.approx(5.0))


def test_the_same_two_engines_are_measured_once(chain: Chain, comparisons: list[Any]) -> None:
    comparisons.append(_judged(bounds=(None, None)))

    first = speedup(chain, TARGET, SLOW, FAST)
    second = speedup(chain, TARGET, SLOW, FAST)

    assert first == second
    assert first.low is None
    assert not comparisons


def test_a_machine_that_could_not_tell_gives_a_reason_and_no_figure_and_is_asked_again(
    chain: Chain, comparisons: list[Any]
) -> None:
    comparisons += [_judged(reasons=("other programs took 40 % of the cores' time",)), _judged()]

    unfit = speedup(chain, TARGET, SLOW, FAST)
    fit = speedup(chain, TARGET, SLOW, FAST)

    assert unfit == Speedup(ratio=None, unfit="other programs took 40 % of the cores' time")
    assert fit.ratio is not None


def test_an_engine_is_as_fast_as_itself_without_measuring(chain: Chain, comparisons: list[Any]) -> None:
    assert speedup(chain, TARGET, SLOW, SLOW) == Speedup(ratio=1.0, low=1.0, high=1.0)
    assert not comparisons
