"""An ONNX file through the whole chain: no training, the same stages, the same figures as the network it came from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import UsageError
from pipeline.progress import SilentProgress
from pipeline.runner.compare_runtimes import _Built, _others, _taking_floats
from pipeline.runner.deploy import deploy, finished
from pipeline.runner.explain import explain
from pipeline.session import EngineSpec
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from exporters.bundle import Bundle
    from pipeline.recipe import Recipe


@pytest.fixture(scope="module")
def file(trained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copyfile(trained.root.with_name("float.onnx"), tmp_path_factory.mktemp("given") / "tiny.onnx")


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe, file: Path) -> Recipe:
    distill = tiny_recipe.distill.model_copy(update={"teachers": None})
    return tiny_recipe.model_copy(update={"model": str(file), "distill": distill})


@pytest.fixture(scope="module")
def chain(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    store = Store(tmp_path_factory.mktemp("onnx-store"))
    return Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)


@pytest.mark.usefixtures("given_speedup", "scored_here")
def test_it_is_deployed_untrained(chain: Chain, file: Path, tmp_path: Path) -> None:
    (deployed,) = deploy(chain, out=tmp_path)
    report = deployed.report

    statuses = {row.name: row.status for row in report.stages}
    assert statuses == {
        "baseline": "ran",
        "distill": "skipped",
        "prune": "skipped",
        "calibrate": "ran",
        "export": "ran",
        "build": "ran",
    }
    baseline, skipped = report.stage("baseline"), report.stage("prune")
    assert baseline is not None
    assert skipped is not None
    assert "an ONNX file is not trained: its network is taken as it is" in skipped.notes
    assert any(note.startswith("opset 18: the graph agrees with the file to") for note in baseline.notes)
    assert (baseline.accuracy.value or 0) > 0.9  # it was trained on these colours
    assert baseline.params
    assert baseline.macs
    assert report.verdict.precision == "int8"
    assert report.model == "tiny.onnx"
    assert "<title>tiny.onnx" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [told.status for told in explain(chain.plan, chain.store)][2:] == ["cached"] * 4


def test_everything_is_made_of_the_files_own_graph(chain: Chain, file: Path) -> None:
    (one,) = finished(chain)

    assert one.artifacts[ArtifactKind.CALIBRATION].path(FLOAT_MODEL).read_bytes() == file.read_bytes()
    assert ArtifactKind.NETWORK not in one.artifacts


def test_beside_plain_runtimes_there_is_no_network_for_pytorch(chain: Chain) -> None:
    (one,) = finished(chain)
    engine = one.artifacts[ArtifactKind.ENGINE]
    built = _Built(run=one, precision="float", engine=engine, source=FLOAT_MODEL)
    floats = _taking_floats(built, EngineSpec.from_json(engine.facts["engine"]))

    assert floats.input.name == "input"
    assert {spec.target for _, spec in _others(built, floats)}.isdisjoint({"torch", "pytorch"})
    assert all((folder / FLOAT_MODEL).is_file() for folder, _ in _others(built, floats))


def test_a_file_that_changed_since_it_was_looked_at(recipe: Recipe, file: Path, tmp_path: Path) -> None:
    copy = shutil.copyfile(file, tmp_path / "tiny.onnx")
    store = Store(tmp_path / "store")
    plan = make_plan(recipe.model_copy(update={"model": str(copy)}), store, SilentProgress())
    copy.write_bytes(copy.read_bytes() + b"\x3a\x00")

    with pytest.raises(UsageError, match="changed while it was in use"):
        deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_network_is_not_explained_by_an_onnx_files_import(chain: Chain, tiny_recipe: Recipe) -> None:
    """Both first stages are called baseline; what one was made from is no earlier run of the other."""
    (one,) = finished(chain)
    assert one.artifacts
    told = {one.stage: one for one in explain(make_plan(tiny_recipe, chain.store, SilentProgress()), chain.store)}

    assert told["baseline"].reasons == ("it never ran",)
