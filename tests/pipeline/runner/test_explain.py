"""Why a stage would run, told from the store without running anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from exporters.ort_cpu.target import OrtCpuTarget
from pipeline.artifact import ArtifactKind
from pipeline.chain.keys import key_components, key_of
from pipeline.chain.plan import Plan, make_plan
from pipeline.planning.int8_candidate import Candidate, export_of
from pipeline.planning.int8_decision import Decision
from pipeline.planning.stored_int8_search import decision_components
from pipeline.planning.stored_search import keep
from pipeline.planning.trials import Trials
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.explain import explain
from pipeline.stage import Inputs, Stage, Teacher, TrainedNetwork
from pipeline.store import KeyRecord, Store
from pipeline.subject import Parts, Subject

if TYPE_CHECKING:
    from pipeline.artifact import Artifact

Planner = Callable[..., Plan]
Told = list[tuple[str, str, tuple[str, ...]]]


@pytest.fixture
def data(tmp_path: Path, tiny_data: Path) -> Path:
    """A copy of the colours that a test may change."""
    return Path(shutil.copytree(tiny_data, tmp_path / "colours"))


@pytest.fixture
def planned(tiny_file: Path, data: Path, store: Store) -> Planner:
    """The plan of the tiny network, which is its own teacher, with what is given."""

    def plan(**fields: Any) -> Plan:  # noqa: ANN401 - raw input
        model = f"{tiny_file}:tiny"
        given = {
            "model": model,
            "data": {"source": str(data)},
            "baseline": {"schedule": {"epochs": 3}},
            "distill": {"teachers": [model]},
            **fields,
        }
        return make_plan(Recipe.model_validate(given), store, SilentProgress())

    return plan


def _pretend(
    store: Store,
    plan: Plan,
    stage: Stage,
    artifacts: dict[ArtifactKind, Artifact],
    parts: Parts,
    *teachers: Teacher,
) -> Artifact:
    """Leave in the store what a run of the stage leaves there; the files are made up."""
    inputs = Inputs(artifacts=artifacts, subject=Subject(parts=parts), teachers=teachers)
    components = key_components(stage, inputs, seed=plan.recipe.seed)
    with store.workspace() as folder:
        (folder / "made-up").write_text(key_of(components), encoding="utf-8")
        artifact = store.commit(stage.gives, folder, {})
    record = KeyRecord(artifact_sha256=artifact.sha256, components=components, wall_s=1.0, notes=())
    store.remember(key_of(components), record)
    return artifact


def _pretend_all(store: Store, plan: Plan) -> dict[str, Artifact]:
    """Leave in the store what a whole run leaves there; stage name to its artifact."""
    made: dict[str, Artifact] = {}
    artifacts: dict[ArtifactKind, Artifact] = {}
    teaching = plan.recipe.baseline.model_copy(update={"schedule": plan.recipe.distill.teacher_schedule})
    teachers = []
    for parts in plan.teachers:
        trained = _pretend(store, plan, teaching, {}, parts)
        answers = _pretend(store, plan, plan.question(plan.recipe.distill), {ArtifactKind.NETWORK: trained}, parts)
        network = TrainedNetwork(source=parts.model, artifact=trained)
        teachers.append(Teacher(name=parts.model.name, answers=answers, network=network))
    method = plan.recipe.export.method
    candidate = Candidate(method="mse" if method == "auto" else method, dialect="ort-x86")
    decision = Decision(
        precision="int8", candidate=candidate, choice=Trials("forms", {}).choice(candidate.label, "a test")
    )
    for stage in (*plan.network_stages(), export_of(plan, candidate)):
        own = teachers if stage.name == "distill" else ()
        made[stage.name] = _pretend(store, plan, stage, artifacts, plan.parts, *own)
        artifacts[stage.gives] = made[stage.name]
    for target in plan.targets:
        build = plan.build_stage(target, source=candidate.source("int8"), precision="int8", options=decision.options)
        made["build"] = _pretend(store, plan, build, artifacts, plan.parts)
    for target in plan.targets:
        keep(decision_components(plan, target, made["calibrate"]), decision, store, wall_s=1.0)
    return made


def _told(plan: Plan, store: Store) -> Told:
    return [(told.stage, told.status, told.reasons) for told in explain(plan, store)]


ALL_CACHED: Told = [
    (name, "cached", ())
    for name in ("baseline", "teacher tiny", "answers of tiny", "distill", "prune", "calibrate", "export", "build")
]


def _after(first: str) -> Told:
    """What is told of the stages behind one that would run."""
    chain = ["distill", "prune", "calibrate", "export", "build"]
    behind = chain[chain.index(first) :]
    return [
        (name, "would run", (f"its input comes from {source}, which would run",)) for source, name in pairwise(behind)
    ]


def test_on_an_empty_store_everything_would_run_and_never_ran(planned: Planner, store: Store) -> None:
    assert _told(planned(), store) == [
        ("baseline", "would run", ("it never ran",)),
        ("teacher tiny", "would run", ("it never ran",)),
        ("distill", "would run", ("its teachers have to be trained and asked first",)),
        *_after("distill"),
    ]


def test_after_a_run_everything_comes_from_the_store(planned: Planner, store: Store) -> None:
    plan = planned()
    _pretend_all(store, plan)
    assert _told(plan, store) == ALL_CACHED


def test_a_changed_field_is_named_and_the_stages_behind_wait_for_theirs(planned: Planner, store: Store) -> None:
    _pretend_all(store, planned())
    plan = planned(prune={"ratio": 0.25})
    assert _told(plan, store) == [
        *ALL_CACHED[:4],
        ("prune", "would run", ("prune.ratio: 0.5 -> 0.25",)),
        *_after("prune"),
    ]


def test_every_changed_field_is_a_reason_of_its_own(planned: Planner, store: Store) -> None:
    _pretend_all(store, planned())
    told = _told(planned(prune={"ratio": 0.25, "schedule": {"epochs": 2}}), store)
    assert ("prune", "would run", ("prune.ratio: 0.5 -> 0.25", "prune.schedule.epochs: 10 -> 2")) in told


def test_a_change_at_the_end_leaves_the_stages_before_in_the_store(planned: Planner, store: Store) -> None:
    _pretend_all(store, planned())
    assert _told(planned(export={"method": "minmax"}), store) == [
        *ALL_CACHED[:-2],
        ("export", "would run", ("export.method: auto -> minmax",)),
        *_after("export"),
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"goal": {"max_accuracy_drop": 0.5}}, "goal.max_accuracy_drop: 0.01 -> 0.5"),
        ({"measure": {"profile": "full"}}, "measure.profile: quick -> full"),
        ({"build": {"precision": "float"}}, "build.precision: auto -> float"),
    ],
    ids=["goal", "measurement", "precision"],
)
def test_what_decides_about_int8_alone_leaves_the_stages_before_in_the_store(
    planned: Planner, store: Store, changed: dict[str, Any], reason: str
) -> None:
    _pretend_all(store, planned())
    assert _told(planned(**changed), store) == [*ALL_CACHED[:-2], ("export", "would run", (reason,)), *_after("export")]


def test_a_changed_teacher_keeps_the_baseline_and_runs_the_distillation(planned: Planner, store: Store) -> None:
    _pretend_all(store, planned())
    plan = planned(distill={**planned().recipe.distill.model_dump(), "teacher_schedule": {"epochs": 7}})
    assert _told(plan, store) == [
        ("baseline", "cached", ()),
        ("teacher tiny", "would run", ("baseline.schedule.epochs: 3 -> 7",)),
        ("distill", "would run", ("its teachers have to be trained and asked first",)),
        *_after("distill"),
    ]


def test_a_distillation_does_not_wait_for_the_baseline(planned: Planner, store: Store) -> None:
    _pretend_all(store, planned())
    plan = planned(baseline={"schedule": {"epochs": 4}})
    assert _told(plan, store) == [
        ("baseline", "would run", ("baseline.schedule.epochs: 3 -> 4",)),
        *ALL_CACHED[1:],
    ]


def test_changed_images_are_a_reason(planned: Planner, store: Store, data: Path) -> None:
    _pretend_all(store, planned())
    pixels = np.full((16, 16, 3), 77, np.uint8)
    Image.fromarray(pixels).save(data / "train" / "red" / "new.png")
    name, status, reasons = _told(planned(), store)[0]
    assert (name, status) == ("baseline", "would run")
    assert [reason.partition(":")[0] for reason in reasons] == ["subject.train"]


def test_the_nearest_of_several_earlier_runs_is_compared_with(planned: Planner, store: Store) -> None:
    _pretend_all(store, planned(prune={"ratio": 0.125, "round_to": 4, "weight": 0.5}))
    _pretend_all(store, planned(prune={"ratio": 0.5}))
    told = _told(planned(prune={"ratio": 0.25}), store)
    assert ("prune", "would run", ("prune.ratio: 0.5 -> 0.25",)) in told


def test_a_result_that_was_removed_is_told_as_such(planned: Planner, store: Store) -> None:
    plan = planned()
    shutil.rmtree(_pretend_all(store, plan)["prune"].root)
    assert _told(plan, store) == [
        *ALL_CACHED[:4],
        ("prune", "would run", ("its result is no longer in the store",)),
        *_after("prune"),
    ]


def test_a_result_that_is_damaged_is_told_like_one_that_was_removed(planned: Planner, store: Store) -> None:
    plan = planned()
    path = _pretend_all(store, plan)["prune"].path("made-up")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert ("prune", "would run", ("its result is no longer in the store",)) in _told(plan, store)


def test_a_stage_that_is_left_out_is_told_first_with_the_reason(planned: Planner, store: Store) -> None:
    plan = planned(skip=["distill"])
    _pretend_all(store, plan)
    assert _told(plan, store) == [
        ("distill", "skipped", ("skipped on request",)),
        *(told for told in ALL_CACHED if told[0] not in {"distill", "teacher tiny", "answers of tiny"}),
    ]


def test_each_target_has_its_own_export(planned: Planner, store: Store) -> None:
    plan = planned()
    _pretend_all(store, plan)
    two = replace(plan, targets=(*plan.targets, *plan.targets))
    assert [told.stage for told in explain(two, store)].count("export for ort-cpu") == 2


def test_for_a_target_that_cannot_run_here_no_form_was_searched_for(
    planned: Planner, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        pytest.fail("what was searched for was asked")

    monkeypatch.setattr(OrtCpuTarget, "cannot_run", lambda _: "a test")
    monkeypatch.setattr("pipeline.runner.explain.decision_components", asked)
    plan = planned(build={"precision": "int8"})
    _pretend_all(store, plan)

    assert [told for told in _told(plan, store) if told[0] in {"export", "build"}] == ALL_CACHED[-2:]


def test_explaining_leaves_the_store_as_it_is(planned: Planner, store: Store) -> None:
    plan = planned()
    _pretend_all(store, plan)

    def everything() -> dict[Path, bytes]:
        return {path: path.read_bytes() if path.is_file() else b"" for path in store.root.rglob("*")}

    before = everything()
    explain(plan, store)
    assert everything() == before


def test_beside_a_network_that_comes_trained_the_student_without_teachers_is_told_too(
    tiny_file: Path, planned: Planner, store: Store, tmp_path: Path
) -> None:
    weights = tmp_path / "trained.pth"
    weights.write_bytes(b"read when the network is built")
    plan = planned(weights=str(weights), distill={"teachers": [f"{tiny_file}:tiny@none"]})
    said = dict.fromkeys(("before", "after", "with it"), ("", ()))
    for when in said:
        if when == "after":
            _pretend_all(store, plan)
        if when == "with it":
            _pretend(store, plan, plan.recipe.distill.untaught(), {}, plan.parts)
        told = {stage: (status, reasons) for stage, status, reasons in _told(plan, store)}
        said[when] = told["student without teachers"]

    assert said == {
        "before": ("would run", ("unless the baseline has to be trained, which then is that student",)),
        "after": ("would run", ("it never ran",)),
        "with it": ("cached", ()),
    }
