"""What would be shipped beside the plain runtimes, all of it on a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from benchmarks.pairs.paired_processes import PairProtocol
from benchmarks.statistics.margins import Effort
from benchmarks.workers import workplace
from exporters import default_runtimes as plain
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.progress import SilentProgress
from pipeline.runner.compare_runtimes import beside_plain_runtimes

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.devices.device import Device
    from pipeline.recipe import Recipe
    from pipeline.store import Store

_FEW = Effort(processes=2, looks=1, alpha=0.05, memory_processes=1)
_SHORT = PairProtocol(min_pairs=16, max_pairs=16, target_s=0.01, warmup_s=0.0, warmup_limit=40)


@pytest.mark.slow
def test_every_runtime_that_the_device_has_is_held_against_and_nothing_is_measured_here(
    device: Callable[..., Device],
    arm_python: str,
    short: Recipe,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("measured on this machine")

    monkeypatch.setattr(workplace, "run_worker", refuse)
    monkeypatch.setattr(workplace, "measure_apart", refuse)
    with device(python=f"TMPDIR={tmp_path} {arm_python}", lasting=True) as board:
        plan = make_plan(short, store, SilentProgress(), place=board)
        chain = Chain(plan, store, SilentProgress(), lambda _: None)
        found = list(beside_plain_runtimes(chain, effort=_FEW, protocol=_SHORT))
        runtimes = plain.plain_runtimes(board.cannot_run)

    assert plain.ONNXRUNTIME in runtimes
    held = {(one.precision, one.runtime) for one in found}
    floats = {name for name in runtimes if plain.computes_in(name, plan.machine) == "float"}
    assert held == {("float", name) for name in floats} | {("int8", name) for name in runtimes}  # and no PyTorch
    assert all(one.p50.baseline and one.p50.candidate for one in found)
    assert board.sent.files > 0
