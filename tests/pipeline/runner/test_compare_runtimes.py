"""What would be shipped beside the plain runtimes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.pairs.paired_processes import PairProtocol
from benchmarks.statistics.margins import Effort
from benchmarks.workers.workplace import HERE
from exporters import default_runtimes as plain
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.progress import SilentProgress
from pipeline.report.comparison import Verdict
from pipeline.runner.compare_runtimes import COLUMNS, Beside, beside_plain_runtimes, cells
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe

_FEW = Effort(processes=2, looks=1, alpha=0.05, memory_processes=1)
_SHORT = PairProtocol(min_pairs=16, max_pairs=16, target_s=0.01, warmup_s=0.0, warmup_limit=40)


pytestmark = pytest.mark.slow  # the whole chain, and every installed runtime timed beside it


@pytest.fixture(scope="module")
def found(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[Beside]:
    folder: Path = tmp_path_factory.mktemp("runtimes")
    store = Store(folder / "store")
    recipe = tiny_recipe.model_copy(update={"skip": ("distill", "prune")})
    plan = make_plan(recipe, store, SilentProgress())
    chain = Chain(plan, store, SilentProgress(), lambda _outcome: None)
    return list(beside_plain_runtimes(chain, effort=_FEW, protocol=_SHORT))


def test_every_runtime_that_is_installed_is_held_against(found: list[Beside]) -> None:
    onnx = plain.plain_runtimes(HERE.cannot_run)
    floats = [name for name in onnx if plain.computes_in(name, HERE.machine) == "float"]
    assert [one.runtime for one in found if one.precision == "float"] == [*floats, plain.PYTORCH]
    assert [one.runtime for one in found if one.precision == "int8"] == [*onnx]
    assert {one.target for one in found} == {"ort-cpu"}  # which has no 16-bit floats


def test_figures_are_those_of_both_sides(found: list[Beside]) -> None:
    for one in found:
        assert one.p50.baseline is not None
        assert one.p50.candidate is not None
        assert one.p50.change is not None
        assert min(one.p50.baseline, one.p50.candidate) > 0
    eager = next(one for one in found if one.runtime == plain.PYTORCH)
    assert (eager.p50.change or 0) < -0.3  # an interpreter between tiny layers costs more than they do


def test_two_processes_are_too_few_for_a_verdict(found: list[Beside]) -> None:
    assert {one.p50.verdict for one in found} <= {Verdict.INCONCLUSIVE, Verdict.UNFIT}


def test_a_line_has_a_text_for_every_column(found: list[Beside]) -> None:
    assert all(len(cells(one)) == len(COLUMNS) for one in found)
    assert cells(found[0])[0] == found[0].runtime
