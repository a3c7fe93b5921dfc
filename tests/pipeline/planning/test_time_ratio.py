"""What is known of one engine's time over another's."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from benchmarks.machine.disturbance import MachineState
from benchmarks.pairs.paired_processes import PairProcess
from benchmarks.workers.workplace import HERE
from pipeline.planning import time_ratio as module
from pipeline.planning.time_ratio import TimeRatio, kept_time_ratio, time_ratio
from pipeline.progress import SilentProgress
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chain.chain import Chain

ENGINE: Any = SimpleNamespace(sha256="a" * 64)
CHAIN = cast(
    "Chain",
    SimpleNamespace(plan=SimpleNamespace(recipe=SimpleNamespace(seed=0), place=HERE), progress=SilentProgress()),
)


def _process(ratio: float, others: float) -> PairProcess:
    state = MachineState(pressure=0.0, others=others, steal=0.0, load=1.0, mhz=None)
    a_s = (0.001, 0.002, 0.003)
    return PairProcess(
        kind="pair", position=0, a_s=a_s, b_s=tuple(ratio * one for one in a_s), converged=True, state=state,
        apart=False, raw={},
    )  # fmt: skip


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[PairProcess]:
    """What the processes find."""
    found: list[PairProcess] = []
    monkeypatch.setattr(module, "engines_of", lambda *_: (None, None))
    monkeypatch.setattr(module, "measure_pairs", lambda *_, **__: found)
    return found


def test_the_median_of_three_processes_comes_with_their_range(measured: list[PairProcess]) -> None:
    measured += [_process(ratio, others=0.01) for ratio in (0.9, 0.8, 1.2)]

    found = time_ratio(CHAIN, ENGINE, ENGINE)

    assert (found.ratio, found.low, found.high) == (pytest.approx(0.9), pytest.approx(0.8), pytest.approx(1.2))
    assert not found.unfit
    assert found.told("float") == "takes 0.90x the time of float, 0.80x to 1.20x side by side"


def test_what_other_programs_took_meanwhile_is_told(measured: list[PairProcess]) -> None:
    measured += [_process(0.9, others) for others in (0.69, 0.05, 0.8)]

    found = time_ratio(CHAIN, ENGINE, ENGINE)

    assert found.unfit == "other programs took 69 % of the cores' time"
    assert found.told("float").endswith(", in doubt since other programs took 69 % of the cores' time")


def test_the_interval_is_that_of_the_signed_ranks_at_seven_eighths() -> None:
    assert module._ALPHA == 0.125
    assert math.isfinite(module.shift([0.1, 0.2, 0.3], alpha=module._ALPHA).low)
    assert not math.isfinite(module.shift([0.1, 0.2, 0.3], alpha=module._ALPHA - 1e-9).low)


@pytest.mark.parametrize(("others", "times"), [(0.01, 1), (0.69, 2)], ids=["quiet", "busy"])
def test_two_engines_are_compared_once_unless_something_disturbed_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: float, times: int
) -> None:
    compared: list[object] = []
    monkeypatch.setattr(module, "engines_of", lambda *_: (None, None))
    monkeypatch.setattr(module, "comparison_key", lambda *_: "a" * 64)
    monkeypatch.setattr(
        module, "measure_pairs", lambda *_, **__: compared.append(1) or [_process(0.9, others) for _ in range(3)]
    )
    chain = cast("Chain", SimpleNamespace(**vars(CHAIN), store=Store(tmp_path)))

    first, second = (kept_time_ratio(chain, ENGINE, ENGINE, ()) for _ in range(2))

    assert first == second
    assert len(compared) == times


def test_a_ratio_comes_back_from_its_record() -> None:
    from dataclasses import asdict

    ratio = TimeRatio(ratio=0.9, low=0.8, high=1.2, unfit="the hypervisor took 9 % of the time")
    assert TimeRatio(**asdict(ratio)) == ratio
