"""The whole chain on a tiny network: what it leaves, what it takes from the store, and what a change costs."""

from __future__ import annotations

import json
import platform
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import edgewright
from benchmarks.reliability.same_digest import named
from exporters.bundle import read_bundle
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.models.count import count_parameters
from pipeline.models.one_file import NETWORK_FILE
from pipeline.progress import SilentProgress
from pipeline.recipe import read_recipe
from pipeline.report.render import read_report
from pipeline.runner.deploy import deploy
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.runner.publish import Deployed
    from pipeline.runner.report_rows import Outcome

STAGES = ("baseline", "distill", "prune", "calibrate", "export", "build")


@dataclass
class _Run:
    """One run, what it announced, and where it wanted to connect to."""

    deployed: Deployed
    outcomes: list[Outcome] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)

    def statuses(self) -> dict[str, str]:
        return {outcome.result.stage: outcome.result.status for outcome in self.outcomes}


def _run(recipe: Recipe, store: Store, out: Path) -> _Run:
    outcomes: list[Outcome] = []
    plan = make_plan(recipe, store, SilentProgress())
    (deployed,) = deploy(Chain(plan, store, SilentProgress(), outcomes.append), out=out)
    return _Run(deployed, outcomes)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


_LISTENING: list[list[object]] = []


def _listen(event: str, values: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        for heard in _LISTENING:
            heard.append(values[-1] if event != "socket.getaddrinfo" else values[0])


@pytest.fixture(scope="module")
def first(tiny_recipe: Recipe, kept: Path) -> _Run:
    sys.addaudithook(_listen)  # for as long as this process lives: hooks cannot be taken away
    _LISTENING.append([])
    run = _run(tiny_recipe, Store(kept / "store"), kept / "first")
    run.connections = _LISTENING.pop()
    return run


def test_nothing_is_sent_anywhere(first: _Run) -> None:
    """Of what Python itself asks for; ``make reliability`` watches the system calls of all processes."""
    assert first.connections == []


def test_what_listens_for_connections_hears_them(first: _Run) -> None:
    _LISTENING.append([])
    with socket.socket() as asks, pytest.raises(OSError, match="refused"):
        asks.connect(("127.0.0.1", 1))
    assert _LISTENING.pop() == [("127.0.0.1", 1)]


def test_every_stage_runs_and_is_measured_on_the_whole_test_split(first: _Run) -> None:
    rows = first.deployed.report.stages

    assert tuple(row.name for row in rows) == STAGES
    assert {row.status for row in rows} == {"ran"}
    assert {row.accuracy.n for row in rows} == {72}
    assert all(row.latency_s.p50 and row.size_bytes and row.memory_bytes.peak and row.params for row in rows)


def test_a_percentile_without_enough_samples_is_null_and_says_so(first: _Run) -> None:
    row = first.deployed.report.stage("build")

    assert row is not None
    assert row.latency_s.n == 12
    assert row.latency_s.p99 is None
    assert "p99 withheld: 12 samples, 662 are needed" in row.notes


def test_pruning_takes_parameters_and_bytes_away(first: _Run) -> None:
    dense, pruned = first.deployed.report.stage("distill"), first.deployed.report.stage("prune")

    assert dense is not None
    assert pruned is not None
    assert (pruned.params or 0) < (dense.params or 0)
    assert (pruned.size_bytes or 0) < (dense.size_bytes or 0)


@pytest.mark.usefixtures("quick_publishing", "scored_here")
def test_the_network_is_left_for_its_owner_and_is_pruned_again(first: _Run, kept: Path, tiny_recipe: Recipe) -> None:
    rows = {row.name: row for row in first.deployed.report.stages}
    file = first.deployed.folder / NETWORK_FILE
    assert count_parameters(edgewright.network(file, tiny_recipe.model)) == rows["prune"].params

    recipe = tiny_recipe.model_copy(update={"weights": str(file), "skip": ("distill",)})
    again = _run(recipe, Store(kept / "store"), kept / "pruned-again")

    found = {row.name: row for row in again.deployed.report.stages}
    assert (found["baseline"].params, found["baseline"].accuracy) == (rows["prune"].params, rows["prune"].accuracy)
    assert (found["prune"].params or 0) < (rows["prune"].params or 0)


def test_one_teacher_alone_is_the_ensemble(first: _Run) -> None:
    report = first.deployed.report
    assert report.ensemble is not None
    assert report.ensemble.members == 1
    assert report.ensemble.accuracy == report.teachers[0].accuracy
    assert report.ensemble.other_schedule  # two epochs beside one
    assert not report.ensemble.trained_again
    assert [(one.seed, one.untaught) for one in report.ensemble.seeds] == [(0, report.stages[0].accuracy.value)]
    assert report.ensemble.sentence in (first.deployed.folder / "report.md").read_text(encoding="utf-8")


def test_the_written_report_is_the_returned_one(first: _Run) -> None:
    assert read_report(first.deployed.folder) == first.deployed.report


@pytest.mark.usefixtures("quick_publishing")
def test_the_written_recipe_leads_to_the_same_artifacts(first: _Run, kept: Path) -> None:
    again = _run(read_recipe(kept / "first" / "recipe.yaml", {}), Store(kept / "store"), kept / "again")

    assert set(again.statuses().values()) == {"cached"}
    assert again.deployed.report.bundle.sha256 == first.deployed.report.bundle.sha256


@pytest.mark.usefixtures("quick_publishing")
def test_a_second_run_takes_everything_from_the_store(tiny_recipe: Recipe, first: _Run, kept: Path) -> None:
    second = _run(tiny_recipe, Store(kept / "store"), kept / "second")

    assert second.statuses() == dict.fromkeys(STAGES, "cached")
    assert all(outcome.measured.cached for outcome in second.outcomes)
    assert second.deployed.report.bundle.sha256 == first.deployed.report.bundle.sha256


@pytest.mark.usefixtures("quick_publishing")
def test_a_change_runs_the_stage_it_belongs_to_and_those_behind_it(
    tiny_recipe: Recipe, first: _Run, kept: Path
) -> None:
    changed = tiny_recipe.model_copy(update={"export": tiny_recipe.export.model_copy(update={"method": "minmax"})})

    run = _run(changed, Store(kept / "store"), kept / "changed")

    assert run.statuses() == {**dict.fromkeys(STAGES[:4], "cached"), "export": "ran", "build": "ran"}


@pytest.mark.slow  # each stage by itself is run in another store by the stages' contract
def test_another_store_gives_the_same_bundle(tiny_recipe: Recipe, first: _Run, kept: Path, tmp_path: Path) -> None:
    fresh = _run(tiny_recipe, Store(tmp_path / "store"), tmp_path / "out")

    assert fresh.deployed.report.bundle.sha256 == first.deployed.report.bundle.sha256


@pytest.mark.usefixtures("quick_publishing")
def test_what_is_shipped_is_held_against_its_float_network(first: _Run, tiny_recipe: Recipe, kept: Path) -> None:
    shipped = first.deployed.report
    assert shipped.quantization is not None
    assert shipped.verdict.agreement == shipped.quantization.agreement  # INT8 is what is shipped

    build = tiny_recipe.build.model_copy(update={"precision": "float"})
    floats = _run(tiny_recipe.model_copy(update={"build": build}), Store(kept / "store"), kept / "float")

    assert floats.deployed.report.verdict.agreement == 1.0
    assert "(float on request; " in floats.deployed.report.verdict.sentence


def test_run_py_gives_the_pipelines_own_answer(first: _Run, tiny_data: Path) -> None:
    """The device's script prints the logits that the pipeline's session computes from the same file."""
    from pipeline.catalog import OPENERS
    from pipeline.import_path import object_at

    image = next((tiny_data / "val" / "red").glob("*.png"))
    bundle = read_bundle(first.deployed.folder / "bundle")
    with object_at(OPENERS["ort-cpu"])(bundle.root, bundle.spec) as session:
        (expected,) = session.run(bundle.preprocess.load(str(image))[None])

    done = subprocess.run(
        [sys.executable, str(bundle.root / "run.py"), "--json", str(image)], capture_output=True, text=True, check=True
    )

    told = json.loads(done.stdout)
    assert np.array_equal(np.array(told["logits"], np.float32), expected[0])
    assert next(entry["class"] for entry in told["top"]) == bundle.classes[int(np.argmax(expected))]


@pytest.mark.usefixtures("quick_publishing", "scored_here")
def test_a_device_that_feeds_bytes_gets_the_same_network(
    tiny_recipe: Recipe, first: _Run, kept: Path, tiny_data: Path
) -> None:
    changed = tiny_recipe.model_copy(update={"build": tiny_recipe.build.model_copy(update={"input": "uint8"})})

    run = _run(changed, Store(kept / "store"), kept / "bytes")

    assert run.statuses() == {**dict.fromkeys(STAGES[:5], "cached"), "build": "ran"}
    bundle = read_bundle(run.deployed.folder / "bundle")
    assert bundle.spec.input.dtype == "uint8"
    floats, by_bytes = (one.deployed.report.stages[-1].accuracy.value for one in (first, run))
    assert by_bytes == floats


def test_the_bundle_names_no_place_and_nobody(first: _Run, kept: Path, tiny_file: Path, tiny_data: Path) -> None:
    words = [str(kept), str(tiny_file.parent), str(tiny_data), str(Path.home()), str(Path.cwd())]

    content = b"".join(path.read_bytes() for path in (first.deployed.folder / "bundle").iterdir())

    assert [word for word in words if word.encode() in content and len(word) > 1] == []


def test_nothing_that_is_written_names_a_user_a_home_or_a_host(
    tiny_recipe: Recipe, first: _Run, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "canary-home"
    shutil.copytree(tiny_recipe.data.source, home / "photos")
    shutil.copy(tiny_recipe.model.removesuffix(":tiny"), home / "net.py")
    for name in ("HOME", "USER", "LOGNAME", "SECRET_OF_MINE"):
        monkeypatch.setenv(name, str(home) if name == "HOME" else f"canary-{name}")
    network = f"{home}/net.py:tiny"
    recipe = tiny_recipe.model_copy(
        update={
            "model": network,
            "data": tiny_recipe.data.model_copy(update={"source": str(home / "photos")}),
            "distill": tiny_recipe.distill.model_copy(update={"teachers": (network,)}),
        }
    )

    run = _run(recipe, Store(kept / "store"), kept / "elsewhere")

    folder = run.deployed.folder
    assert named(folder, ["canary", str(tmp_path)]) == []
    host = re.compile(rf"\b{re.escape(platform.node())}\b")
    written = list(folder.rglob("*"))
    assert [path.name for path in written if host.search(path.relative_to(folder).as_posix())] == []
    contents = {path.name: path.read_bytes().decode(errors="replace") for path in written if path.is_file()}
    assert [name for name, content in contents.items() if host.search(content)] == []
    again = _run(read_recipe(folder / "recipe.yaml", {}), Store(kept / "store"), kept / "third")
    assert set(again.statuses().values()) == {"cached"}
    assert again.deployed.report.bundle.sha256 == run.deployed.report.bundle.sha256


@pytest.mark.slow
def test_several_teachers_are_measured_together_and_seeds_repeat_both_students(
    tiny_recipe: Recipe, tiny_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.py"
    other.write_text(tiny_file.read_text(encoding="utf-8"), encoding="utf-8")
    distill = tiny_recipe.distill.model_copy(update={"teachers": (f"{tiny_file}:tiny", f"{other}:tiny")})
    measure = tiny_recipe.measure.model_copy(update={"seeds": 2})
    recipe = tiny_recipe.model_copy(update={"distill": distill, "measure": measure, "skip": ("prune",)})
    report = _run(recipe, Store(tmp_path / "store"), tmp_path / "out").deployed.report
    found = report.ensemble
    assert found is not None
    assert found.members == 2
    assert found.size_bytes == sum(teacher.size_bytes for teacher in report.teachers)
    assert found.p50_s > min(teacher.p50_s for teacher in report.teachers)
    assert [one.seed for one in found.seeds] == [0, 1]
    assert "standard deviation" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
