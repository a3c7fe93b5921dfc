"""What every stage of the chain keeps to, whoever wrote it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

import exporters
import pipeline.stages
from pipeline.artifact import ArtifactKind, FileEntry, canonical_json, qdq_model
from pipeline.catalog import TASKS
from pipeline.chain.execution import FILES_OF_KIND, execute
from pipeline.chain.keys import key_components, key_of
from pipeline.environment import versions
from pipeline.models.files import load_network
from pipeline.progress import SilentProgress
from pipeline.recipe.records import Recipe
from pipeline.session import EngineSpec
from pipeline.store import Store
from pipeline.subject import PARTS, Parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES = (
    "baseline", "distill", "downsample", "prune", "calibrate", "export", "build", "baseline of onnx",
    "calibrate of onnx",
)  # fmt: skip
_OF_DETECTION = "detection: "
_NAMES_OF_DETECTION = ("baseline", "answers", "distill", "downsample", "prune", "calibrate", "export", "build")
_OPTIONAL = re.compile(r"^([\w.-]+).*extra == ")


@pytest.fixture(params=[*_NAMES, *(_OF_DETECTION + name for name in _NAMES_OF_DETECTION)])
def step(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - the conftest's Step
    """Each stage of the chain as it was run once, for each task."""
    name = request.param.removeprefix(_OF_DETECTION)
    return request.getfixturevalue("chain" if name == request.param else "chain_of_detection")[name]


def test_the_stages_are_seen_with_every_task(chain: Mapping[str, Any], chain_of_detection: Mapping[str, Any]) -> None:
    steps = [*chain.values(), *chain_of_detection.values()]
    assert {step.parts.task.name for step in steps} == set(TASKS)
    assert {step.stage.name for step in chain_of_detection.values()} == {step.stage.name for step in chain.values()}


def _classes_with_a_run() -> Iterator[type]:
    """Whatever in the two packages of stages looks like one."""
    for package in (pipeline.stages, exporters):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for _, found in inspect.getmembers(module, inspect.isclass):
                if found.__module__ == module.__name__ and hasattr(found, "run") and hasattr(found, "takes"):
                    yield found


def test_every_stage_there_is_is_held_to_this_contract(chain: Mapping[str, Any]) -> None:
    assert set(_classes_with_a_run()) == {type(step.stage) for step in chain.values()}


def test_it_says_what_it_is_called_and_its_version(step: Any, request: pytest.FixtureRequest) -> None:  # noqa: ANN401
    name = request.node.callspec.params["step"].removeprefix(_OF_DETECTION)
    assert step.stage.name == name.removesuffix(" of onnx").removesuffix(" of file")
    assert type(step.stage.version) is int
    assert step.stage.version >= 1


def test_it_says_what_it_takes_gives_and_reads(step: Any) -> None:  # noqa: ANN401
    assert type(step.stage.gives) is ArtifactKind
    for declared, known in ((step.stage.takes, ArtifactKind), (step.stage.reads, PARTS)):
        assert type(declared) is tuple
        assert len(set(declared)) == len(declared)
        assert set(declared) <= set(known)


def test_it_cannot_be_changed_once_made(step: Any) -> None:  # noqa: ANN401
    assert type(step.stage).model_config["frozen"]
    assert type(step.stage).model_config["extra"] == "forbid"


def test_its_fields_are_json_and_come_back_the_same(step: Any) -> None:  # noqa: ANN401
    fields = step.stage.model_dump(mode="json")
    assert canonical_json(fields)
    excluded = {name: getattr(step.stage, name) for name, f in type(step.stage).model_fields.items() if f.exclude}
    assert type(step.stage)(**fields, **excluded) == step.stage


def test_every_key_of_its_section_of_the_recipe_is_a_field_of_it(
    step: Any,  # noqa: ANN401
    request: pytest.FixtureRequest,
) -> None:
    # A key that is no field would enter no key of the store: changing it would change nothing.
    # What export and build leave open is decided by the search, whose key holds these sections whole.
    if step.stage.name == "answers":
        pytest.skip("it has no section: what is asked is said by the schedule of distill")
    if step.stage.name in {"export", "build"}:
        pytest.skip("its section is in the key of the search: see test_int8_search.py")
    if request.node.callspec.params["step"].endswith(" of onnx"):
        pytest.skip("an ONNX file is not trained, and its opset is a field of the first of the two")
    section = type(Recipe.model_fields[step.stage.name].default)
    assert set(section.model_fields) <= set(type(step.stage).model_fields)


def test_what_its_result_depends_on_is_pinned_by_the_names_of_distributions(step: Any) -> None:  # noqa: ANN401
    assert step.stage.pins
    optional = {match[1] for line in metadata.requires("edgewright") or () if (match := _OPTIONAL.match(line))}
    absent = {name for name, found in versions(step.stage.pins).items() if found is None}
    assert absent <= optional


def test_whoever_builds_the_network_pins_everything_networks_are_built_with(step: Any) -> None:  # noqa: ANN401
    # The forward pass of a torchvision or timm network is code of that distribution.
    if "model" in step.stage.reads and ArtifactKind.NETWORK in {step.stage.gives, *step.stage.takes}:
        assert {"torch", "torchvision", "timm"} <= set(step.stage.pins)


def test_it_gives_the_kind_of_artifact_it_declares_with_that_kinds_files(step: Any) -> None:  # noqa: ANN401
    artifact = step.result.artifact
    assert step.result.status == "ran"
    assert step.result.stage == step.stage.name
    assert artifact.kind is step.stage.gives
    names = {entry.path for entry in artifact.files}
    match artifact.kind:
        case ArtifactKind.ENGINE:
            spec = EngineSpec.from_json(artifact.facts["engine"])
            wanted = {spec.model}
        case ArtifactKind.ONNX:
            wanted = {"float.onnx", *(qdq_model(dialect) for dialect in getattr(step.stage, "dialects", ()))}
        case _:
            wanted = set(FILES_OF_KIND[artifact.kind])
    assert names == wanted
    for entry in artifact.files:
        assert FileEntry.of(artifact.root, artifact.root / entry.path) == entry
        assert entry.size_bytes > 0


def test_it_reads_what_it_declares_no_less_and_no_more(step: Any, chain: Mapping[str, Any]) -> None:  # noqa: ANN401
    # More would be a stale artifact; less would run the stage again for a change that cannot matter to it.
    # Where there is nothing to train on, a stage may read other images.
    runs = [one for one in chain.values() if one.stage == step.stage]
    if step.parts.task.name == "detection":  # all together is read with classifiers
        assert step.read <= set(step.stage.reads)
        return
    assert frozenset().union(*(one.read for one in runs)) == set(step.stage.reads)


def test_its_facts_are_json_without_places_or_times(step: Any, session_parts: Parts) -> None:  # noqa: ANN401
    text = canonical_json(dict(step.result.artifact.facts))
    assert str(step.result.artifact.root.parent) not in text
    assert str(session_parts.model.file.parent) not in text
    assert not re.search(r"_s\b|seconds|time", text)


def test_its_notes_are_lines_of_text(step: Any) -> None:  # noqa: ANN401
    assert type(step.result.notes) is tuple
    assert all(note == note.strip() and note.isprintable() and note for note in step.result.notes)


@pytest.mark.parametrize("name", _NAMES)
def test_run_again_in_another_store_it_gives_the_same_artifact(
    chain: Mapping[str, Any], chain_again: Mapping[str, Any], name: str
) -> None:
    first, second = chain[name].result, chain_again[name].result
    assert second.status == "ran"
    assert first.artifact.root != second.artifact.root
    assert first.artifact == second.artifact
    assert first.artifact.sha256 == second.artifact.sha256
    assert first.notes == second.notes


@pytest.mark.parametrize("name", _NAMES)
def test_its_key_knows_no_place(chain: Mapping[str, Any], chain_again: Mapping[str, Any], name: str) -> None:
    keys = {key_of(key_components(each[name].stage, each[name].inputs, seed=3)) for each in (chain, chain_again)}
    assert len(keys) == 1


def test_asked_again_it_is_taken_from_the_store(step: Any) -> None:  # noqa: ANN401
    store = Store(step.result.artifact.root.parent.parent)
    again = execute(step.stage, step.inputs, store, seed=3, progress=SilentProgress())
    assert again.status == "cached"
    assert again.artifact == step.result.artifact
    assert again.notes == step.result.notes


def test_it_changes_none_of_its_inputs(step: Any) -> None:  # noqa: ANN401
    artifacts = [
        *step.inputs.artifacts.values(),
        *(artifact for teacher in step.inputs.teachers for artifact in teacher.artifacts),
    ]
    for artifact in artifacts:
        for entry in artifact.files:
            assert FileEntry.of(artifact.root, artifact.root / entry.path) == entry
        present = {path.name for path in artifact.root.iterdir()}
        assert present == {entry.path for entry in artifact.files} | {"artifact.json"}
    assert step.inputs.subject.parts == step.parts


def test_it_writes_nowhere_but_into_its_folder(chain: Mapping[str, Any], session_parts: Parts) -> None:
    assert {path.name for path in session_parts.model.file.parent.iterdir()} == {session_parts.model.file.name}
    images = {path for path in session_parts.dataset.test[0].path.parents[2].rglob("*") if path.is_file()}
    dataset = session_parts.dataset
    assert images == {sample.path for sample in (*dataset.train, *dataset.calibration, *dataset.test)}


@pytest.mark.parametrize("name", ["baseline", "distill", "prune"])
def test_the_network_it_gives_answers_for_every_class(
    chain: Mapping[str, Any], session_parts: Parts, name: str
) -> None:
    import torch

    network = load_network(chain[name].result.artifact.root, session_parts.model)
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
