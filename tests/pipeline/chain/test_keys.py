"""The key of a stage: everything that decides its result, nothing that does not; and what changed between two."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import Artifact, ArtifactKind, FileEntry
from pipeline.chain.keys import changes, key_components, key_of
from pipeline.data.dataset import Dataset, Sample
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.preprocess import PreprocessSpec, Renormalisation
from pipeline.preprocess_section import InputSection
from pipeline.stage import Inputs, Stage, Teacher, TrainedNetwork
from pipeline.stages.answers import AskTeacher
from pipeline.stages.baseline import Baseline
from pipeline.stages.build import BuildFor
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.distill import Distill
from pipeline.stages.export import ExportFor
from pipeline.stages.prune import Prune
from pipeline.subject import PARTS, Parts, Subject
from pipeline.tasks.classification import Classification
from pipeline.tasks.suppression import Suppression
from pipeline.training.schedule import Schedule


def _samples(name: str) -> tuple[Sample, ...]:
    return (Sample(path=Path("here", name), name=name, label=0, sha256=f"hash of {name}"),)


DATASET = Dataset(
    name="set",
    classes=("cat", "dog"),
    train=_samples("a"),
    validation=_samples("e"),
    calibration=_samples("b"),
    test=_samples("c"),
)
EVERYTHING = Parts(
    model=ModelSource(origin="torchvision", name="resnet18"),
    weights=WeightsSource(origin="scratch"),
    dataset=DATASET,
    preprocess=PreprocessSpec(size=(8, 8)),
    task=Classification(),
)


def _artifact(kind: ArtifactKind, content: str = "content") -> Artifact:
    entry = FileEntry(path="file", size_bytes=1, sha256=f"hash of {content}")
    return Artifact(kind=kind, files=(entry,), facts={}, root=Path("here"))


NETWORK = TrainedNetwork(
    source=ModelSource(origin="torchvision", name="resnet50"), artifact=_artifact(ArtifactKind.NETWORK)
)
TEACHER = Teacher(name="resnet50", answers=_artifact(ArtifactKind.ANSWERS), network=NETWORK)
INPUTS = Inputs(
    artifacts={kind: _artifact(kind) for kind in ArtifactKind}, subject=Subject(parts=EVERYTHING), teachers=(TEACHER,)
)
STAGES: dict[str, Any] = {
    "baseline": Baseline(schedule=Schedule(), objects_schedule=Schedule()),
    "distill": Distill(
        teachers=("resnet50",),
        teacher_input={"resnet50": InputSection(size=64)},
        teacher_classes={"resnet50": "classes.txt"},
        pairs={"layer1": "layer1"},
        objects_schedule=Schedule(),
    ),
    "answers": AskTeacher(views=1),
    "prune": Prune(channels={"conv1": 8}),
    "calibrate": Calibrate(),
    "export": ExportFor(dialects=("ort-x86",)),
    "build": BuildFor(
        target="ort-cpu",
        source="float.onnx",
        precision="float",
        builder=ORT_CPU,
        options={"spinning": False},
        folded=PreprocessSpec(size=(8, 8)),
        suppression=Suppression(labels=4, score=0.05, iou=0.5, most=100),
    ),
}
SCHEDULE = {
    "epochs": 99,
    "batch_size": 99,
    "learning_rate": 0.99,
    "weight_decay": 0.99,
    "warmup": 0.99,
    "clip_norm": 0.99,
    "auxiliary_weight": 0.99,
    "augment": ["flip"],
    "views": 9,
    "optimizer": "sgd",
    "label_smoothing": 0.99,
    "ema": 0.99,
    "curve": "step",
    "balanced": True,
    "patience": 9,
    "precision": "float32",
    "compiled": True,
}
TEACHING = {
    "temperature": 9.9,
    "weight": 0.99,
    "losses": {"kd": 0.5},
    "standardise": True,
    "weighting": "confidence",
}
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "baseline": {"schedule": SCHEDULE, "objects_first": False, "objects_schedule": SCHEDULE},
    "distill": {
        "teachers": ["resnet34"],
        "teacher_input": {
            "resnet50": {
                "size": 99,
                "resize": 9,
                "mean": 0.9,
                "std": 0.9,
                "interpolation": "nearest",
                "channels": "BGR",
            }
        },
        "teacher_classes": {"resnet50": "others.txt"},
        "pairs": {"layer1": "layer2"},
        "teacher_schedule": SCHEDULE,
        "schedule": SCHEDULE,
        "objects_first": False,
        "objects_schedule": SCHEDULE,
        **TEACHING,
    },
    "answers": {"views": 9, "augment": ["flip"]},
    "prune": {
        "blocks": 9,
        "teachers": "all",
        "ratio": 0.99,
        "channels": {"conv1": 9},
        "importance": "taylor",
        "scope": "global",
        "keep": ["conv1"],
        "rounds": 9,
        "round_to": 99,
        "schedule": SCHEDULE,
        **TEACHING,
    },
    "calibrate": {"opset": 20},
    "export": {"method": "minmax", "bias_correction": False, "float_nodes": ["node"], "dialects": ["ort-arm"]},
    "build": {
        "target": "other",
        "source": "other.onnx",
        "precision": "int8",
        "options": {"spinning": True},
        "target_settings": {"ort_format": True},
        "suppression": {"labels": 9, "score": 0.9, "iou": 0.9, "most": 9},
        "folded": {
            "size": [9, 9],
            "resize": 9,
            "mean": [0.9, 0.9, 0.9],
            "std": [0.9, 0.9, 0.9],
            "interpolation": "nearest",
            "channels": "BGR",
        },
    },
}
"""Another value for every field of every stage; a test below sees to it that none is left out."""


class _OtherTask(Classification):
    name = "other"


OTHER_PARTS: dict[str, Parts] = {
    "model": replace(EVERYTHING, model=ModelSource(origin="torchvision", name="resnet34")),
    "weights": replace(EVERYTHING, weights=WeightsSource(origin="file", file_sha256="hash")),
    "train": replace(EVERYTHING, dataset=replace(DATASET, train=_samples("d"))),
    "validation": replace(EVERYTHING, dataset=replace(DATASET, validation=_samples("d"))),
    "calibration": replace(EVERYTHING, dataset=replace(DATASET, calibration=_samples("d"))),
    "preprocess": replace(EVERYTHING, preprocess=PreprocessSpec(size=(9, 9))),
    "task": replace(EVERYTHING, task=_OtherTask()),
}


def _leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def _with(stage: BaseModel, path: tuple[str, ...], value: object) -> Stage:
    """The stage with the field at ``path`` changed."""
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    name, *deeper = path
    if deeper:
        inner = fields[name]
        whole = {**(inner if isinstance(inner, dict) else inner.model_dump())}
        at = whole
        for key in deeper[:-1]:
            at[key] = {**(at[key] if isinstance(at[key], dict) else at[key].model_dump())}
            at = at[key]
        at[deeper[-1]] = value
        value = whole
    fields[name] = value
    return type(stage).model_validate(fields)


def _key(stage: Stage, inputs: Inputs = INPUTS, *, seed: int = 0) -> str:
    return key_of(key_components(stage, inputs, seed=seed))


each_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


# What decides a result


@pytest.mark.parametrize("name", STAGES)
def test_every_field_of_a_stage_is_tested_here(name: str) -> None:
    fields = {path for path, _ in _leaves(STAGES[name].model_dump(mode="json"))}
    assert {path for path, _ in _leaves(OTHER_VALUES[name])} == fields


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [(name, path, value) for name, values in OTHER_VALUES.items() for path, value in _leaves(values)],
    ids=lambda part: ".".join(part) if isinstance(part, tuple) else None,
)
def test_every_field_of_a_stage_changes_its_key(name: str, path: tuple[str, ...], value: object) -> None:
    assert _key(_with(STAGES[name], path, value)) != _key(STAGES[name])


@each_stage
def test_the_seed_changes_the_key_but_of_answers_where_nothing_is_drawn(stage: Stage) -> None:
    assert (_key(stage, seed=1) == _key(stage, seed=0)) is (stage.name == "answers")


@each_stage
def test_processes_that_train_together_change_the_key_of_what_is_trained(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = _key(stage)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (_key(stage) != alone) is (stage.name in {"baseline", "distill", "prune"})


@each_stage
def test_the_version_of_a_stage_changes_its_key(stage: Any) -> None:  # noqa: ANN401 - a stage that is a pydantic record
    newer = type("Newer", (type(stage),), {"version": stage.version + 1, "__annotations__": {"version": ClassVar[int]}})
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    assert _key(newer(**fields)) != _key(stage)


@pytest.mark.parametrize("kind", ArtifactKind)
@each_stage
def test_an_input_changes_the_key_where_the_stage_takes_it_and_only_there(stage: Stage, kind: ArtifactKind) -> None:
    other = replace(INPUTS, artifacts={**INPUTS.artifacts, kind: _artifact(kind, "other")})
    assert (_key(stage, other) != _key(stage)) == (kind in stage.takes)


@pytest.mark.parametrize("part", PARTS)
@each_stage
def test_a_part_of_the_subject_changes_the_key_where_the_stage_reads_it_and_only_there(stage: Stage, part: str) -> None:
    other = replace(INPUTS, subject=Subject(parts=OTHER_PARTS[part]))
    assert (_key(stage, other) != _key(stage)) == (part in stage.reads)


@pytest.mark.parametrize(
    "teachers",
    [
        (),
        (TEACHER, TEACHER),
        (replace(TEACHER, answers=_artifact(ArtifactKind.ANSWERS, "other")),),
        (replace(TEACHER, network=replace(NETWORK, source=replace(NETWORK.source, name="resnet101"))),),
        (replace(TEACHER, network=replace(NETWORK, artifact=_artifact(ArtifactKind.NETWORK, "other"))),),
        (replace(TEACHER, network=None),),
        (replace(TEACHER, renormalised=Renormalisation(scale=(2.0,) * 3, offset=(0.0,) * 3)),),
    ],
    ids=["none", "one more", "other answers", "another network", "other weights", "answers alone", "otherwise fed"],
)
def test_the_teachers_change_the_key(teachers: tuple[Teacher, ...]) -> None:
    assert _key(STAGES["distill"], replace(INPUTS, teachers=teachers)) != _key(STAGES["distill"])


def test_two_stages_have_two_keys() -> None:
    assert len({_key(stage) for stage in STAGES.values()}) == len(STAGES)


class _Pinned(BaseModel):
    name: ClassVar[str] = "pinned"
    version: ClassVar[int] = 1
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.ENGINE
    reads: ClassVar[tuple[str, ...]] = ()
    pins: ClassVar[tuple[str, ...]] = ("some-library",)

    def run(self, inputs: Inputs, work: object) -> None:
        """Never called here."""


def test_the_version_of_a_pinned_library_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    keys = [_key(_Pinned())]
    for version in ("1.0", "1.1"):
        for path in tmp_path.iterdir():
            path.rename(tmp_path / "hidden")
        folder = tmp_path / f"some_library-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some-library\nVersion: {version}\n")
        keys.append(_key(_Pinned()))
    assert len(set(keys)) == 3


# What does not


@each_stage
def test_places_names_and_reasons_do_not_change_the_key(stage: Stage) -> None:
    def moved(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(replace(sample, path=Path("elsewhere")) for sample in samples)

    parts = replace(
        EVERYTHING,
        model=replace(EVERYTHING.model, file=Path("elsewhere.py")),
        weights=replace(EVERYTHING.weights, file=Path("elsewhere.pth"), reason="another"),
        dataset=replace(DATASET, name="other", train=moved(DATASET.train), calibration=moved(DATASET.calibration)),
    )
    other = Inputs(
        artifacts={kind: replace(one, root=Path("elsewhere")) for kind, one in INPUTS.artifacts.items()},
        subject=Subject(parts=parts),
        teachers=(replace(TEACHER, answers=replace(TEACHER.answers, root=Path("elsewhere"))),),
    )
    assert _key(stage, other) == _key(stage)


@each_stage
def test_the_test_split_does_not_change_the_key(stage: Stage) -> None:
    parts = replace(EVERYTHING, dataset=replace(DATASET, test=_samples("d")))
    assert _key(stage, replace(INPUTS, subject=Subject(parts=parts))) == _key(stage)


@each_stage
def test_the_key_is_the_same_whether_the_subject_was_restricted_before_or_not(stage: Stage) -> None:
    restricted = replace(INPUTS, subject=INPUTS.subject.restricted(stage.reads))
    assert _key(stage, restricted) == _key(stage)


def test_the_order_of_components_does_not_change_the_key() -> None:
    components = key_components(STAGES["prune"], INPUTS, seed=0)
    assert key_of(dict(reversed(components.items()))) == key_of(components)


def test_another_process_comes_to_the_same_key() -> None:
    # Another seed of Python's hashes turns the order of sets.
    code = """
from pipeline.data.dataset import Dataset
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.preprocess import PreprocessSpec
from pipeline.chain.keys import key_components, key_of
from pipeline.stage import Inputs
from pipeline.stages.answers import AskTeacher
from pipeline.stages.baseline import Baseline
from pipeline.subject import Parts, Subject
from pipeline.tasks.classification import Classification
parts = Parts(
    model=ModelSource(origin="torchvision", name="resnet18"), weights=WeightsSource(origin="scratch"),
    dataset=Dataset(name="x", classes=("a",), train=(), calibration=(), test=()),
    preprocess=PreprocessSpec(size=(8, 8)), task=Classification(),
)
print(key_of(key_components(Baseline(), Inputs(artifacts={}, subject=Subject(parts=parts)), seed=0)))
"""
    keys = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def test_no_place_and_no_time_is_among_the_components() -> None:
    components = key_components(STAGES["distill"], INPUTS, seed=0)
    assert set(components) == {
        "schema",
        "stage",
        "version",
        "fields",
        "seed",
        "inputs",
        "teachers",
        "subject",
        "versions",
    }
    assert "here" not in str(components)


# What changed


def _components(stage: Stage, inputs: Inputs = INPUTS, *, seed: int = 0) -> dict[str, Any]:
    return key_components(stage, inputs, seed=seed)


def test_a_changed_field_is_named_as_in_the_recipe_with_both_values() -> None:
    before, now = Distill(temperature=4), Distill(temperature=2, schedule=Schedule(epochs=9))
    assert changes(_components(before), _components(now)) == [
        "distill.schedule.epochs: 8 -> 9",
        "distill.temperature: 4.0 -> 2.0",
    ]


def test_a_changed_list_is_shown_whole() -> None:
    before, now = Distill(teachers=("a",)), Distill(teachers=("a", "b"))
    assert changes(_components(before), _components(now)) == ["distill.teachers: ['a'] -> ['a', 'b']"]


def test_a_changed_seed_is_told_as_such() -> None:
    assert changes(_components(Prune(), seed=0), _components(Prune(), seed=1)) == ["seed: 0 -> 1"]


def test_changed_data_are_told_by_the_starts_of_their_hashes() -> None:
    (line,) = changes(
        _components(Calibrate()),
        _components(Calibrate(), replace(INPUTS, subject=Subject(parts=OTHER_PARTS["calibration"]))),
    )
    before, now = (
        DATASET.split_identity("calibration"),
        OTHER_PARTS["calibration"].dataset.split_identity("calibration"),
    )
    assert line == f"subject.calibration: {before[:12]} -> {now[:12]}"


def test_a_changed_preprocessing_is_told_field_by_field() -> None:
    other = replace(EVERYTHING, preprocess=PreprocessSpec(size=(8, 8), channels="BGR"))
    assert changes(
        _components(Calibrate()), _components(Calibrate(), replace(INPUTS, subject=Subject(parts=other)))
    ) == ["subject.preprocess.channels: RGB -> BGR"]


def test_a_library_that_came_or_went_is_told_as_unset_before_or_now() -> None:
    before = {"stage": "prune", "versions": {"timm": None, "torch": "2.10"}}
    now = {"stage": "prune", "versions": {"timm": "1.0", "torch": None}}
    assert changes(before, now) == ["versions.timm: unset -> 1.0", "versions.torch: 2.10 -> unset"]


def test_a_schedule_that_was_not_given_before_is_told_field_by_field() -> None:
    lines = changes(_components(Baseline()), _components(Baseline(schedule=Schedule())))
    assert {line.partition(": ")[0] for line in lines} >= {
        f"baseline.schedule.{name}" for name in Schedule.model_fields
    }
    assert "baseline.schedule.epochs: not there -> 5" in lines


def test_a_field_that_is_new_and_not_set_is_told_since_it_changes_the_key() -> None:
    # As after an update that brings a stage one more option.
    before, now = {"stage": "prune", "fields": {}}, {"stage": "prune", "fields": {"new": None}}
    assert key_of(before) != key_of(now)
    assert any(line.startswith("prune.new: ") for line in changes(before, now))


VALUES = st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
COMPONENTS = st.dictionaries(
    st.sampled_from("abc"), VALUES | st.dictionaries(st.sampled_from("de"), VALUES, min_size=1), min_size=1
)


@given(COMPONENTS, COMPONENTS)
def test_something_changed_exactly_when_the_keys_differ(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert bool(changes(before, now)) == (key_of(before) != key_of(now))


@given(COMPONENTS, COMPONENTS)
def test_there_and_back_the_same_things_changed(before: dict[str, Any], now: dict[str, Any]) -> None:
    turned = [line.partition(": ") for line in changes(now, before)]
    assert [line.partition(": ")[0] for line in changes(before, now)] == [name for name, _, _ in turned]
