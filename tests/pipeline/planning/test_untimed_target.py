"""A target that can be built here and not run: TensorRT for RTX on a machine without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.artifact import Artifact, ArtifactKind
from pipeline.catalog import target_named
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import AccuracyError, ParityError
from pipeline.progress import SilentProgress
from pipeline.quantization.calibrated import read_calibration
from pipeline.quantization.share import weighted_macs
from pipeline.runner.deploy import deploy
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe
    from pipeline.runner.publish import Deployed

_TARGET = target_named("tensorrt-rtx")

pytestmark = [
    pytest.mark.skipif(_TARGET.missing() is not None, reason=str(_TARGET.missing())),
    pytest.mark.skipif(_TARGET.cannot_run() is None, reason="here it can run"),
    pytest.mark.usefixtures("quick_publishing"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("targets") / "cache")


@pytest.fixture(scope="module")
def two(tiny_recipe: Recipe, store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Deployed, ...]:
    """A run for it and for the CPU, without training but the baseline."""
    root = tmp_path_factory.mktemp("deployed")
    changed = {"skip": ("distill", "prune"), "targets": ("tensorrt-rtx", "ort-cpu")}
    recipe = tiny_recipe.model_copy(
        update={**changed, "build": tiny_recipe.build.model_copy(update={"precision": "auto"})}
    )
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return deploy(chain, out=None)


def test_every_precision_is_built_and_16_bit_floats_are_shipped(two: tuple[Deployed, ...]) -> None:
    report = two[0].report
    assert report.verdict.precision == "fp16"
    (choice,) = report.choices
    built = {one.label: one for one in choice.tried}
    assert list(built) == ["float", "fp16", "mse ranges, tensorrt"]
    assert all(one.figures["size_bytes"] and "time_ratio" not in one.figures for one in built.values())
    assert built["fp16"].outcome.startswith("shipped, not timed; products:")


def _without_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be a network whose values float16 does not hold."""

    def refuse(*_: object) -> None:
        raise ParityError("the float16 graph does not compute what the float graph computes", got="a difference of 3")

    monkeypatch.setattr("exporters.tensorrt.target.HalfFromFloat", refuse)


def _chain(recipe: Recipe, precision: str, store: Store) -> Chain:
    build = recipe.build.model_copy(update={"precision": precision})
    changed = recipe.model_copy(update={"skip": ("distill", "prune"), "targets": ("tensorrt-rtx",), "build": build})
    return Chain(make_plan(changed, store, SilentProgress()), store, SilentProgress(), lambda _: None)


def test_a_network_that_16_bits_do_not_hold_is_shipped_in_float(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_half(monkeypatch)
    store = Store(tmp_path / "store")
    (deployed,) = deploy(_chain(tiny_recipe, "auto", store), out=tmp_path / "out")
    assert deployed.report.verdict.precision == "float"
    outcomes = {one.label: one.outcome for one in deployed.report.choices[0].tried}
    assert outcomes["fp16"].startswith("refused: the float16 graph does not compute")
    assert outcomes["float"].startswith("shipped, ")

    with pytest.raises(ParityError, match="the float16 graph does not compute"):
        deploy(_chain(tiny_recipe, "fp16", store), out=tmp_path / "half")
    assert not (tmp_path / "half").exists()


@pytest.mark.usefixtures("two")
def test_int8_on_request_has_to_be_more_than_a_layer_of_it(tiny_recipe: Recipe, store: Store, tmp_path: Path) -> None:
    chain = _chain(tiny_recipe, "int8", store)
    artifacts: dict[ArtifactKind, Artifact] = {}
    for stage in chain.plan.network_stages():
        found = chain.execute(stage, artifacts).artifact
        artifacts[found.kind] = found
    macs = weighted_macs(read_calibration(artifacts[ArtifactKind.CALIBRATION]).model)
    heavy = sorted(macs, key=lambda name: macs[name])[1:]
    export = tiny_recipe.export.model_copy(update={"float_nodes": tuple(heavy)})

    with pytest.raises(AccuracyError, match="multiplications can run in INT8, 1 of "):
        deploy(_chain(tiny_recipe.model_copy(update={"export": export}), "int8", store), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_figures_are_null_with_the_reason_in_every_row(two: tuple[Deployed, ...]) -> None:
    for row in two[0].report.stages:
        if row.status != "skipped":
            assert (row.latency_s.p50, row.memory_bytes.peak, row.accuracy.value) == (None, None, None)
            assert row.notes[-1] == f"not measured: {_TARGET.cannot_run()}"


def test_the_first_line_says_that_nothing_was_measured(two: tuple[Deployed, ...]) -> None:
    verdict = two[0].report.verdict
    assert verdict.status == "unmeasured"
    assert "not measured here" in verdict.sentence


def test_the_other_target_of_the_run_is_measured(two: tuple[Deployed, ...]) -> None:
    assert two[1].report.stages[0].latency_s.p50 is not None
    assert [row.artifact_sha256 for row in two[1].report.stages[:1]] == [
        row.artifact_sha256 for row in two[0].report.stages[:1]
    ]
