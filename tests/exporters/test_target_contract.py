"""What every target keeps to, whoever wrote it: it builds, opens, computes the same, and lets go again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.artifact import FLOAT_MODEL, Artifact, FileEntry, qdq_model, sha256_of_file
from pipeline.catalog import OPENERS, TARGETS, target_named
from pipeline.environment import this_machine
from pipeline.errors import UsageError
from pipeline.import_path import object_at
from pipeline.session import Array, EngineSpec, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporters.target import Target
    from pipeline.subject import Parts

_TOLERANCE = {"float": 5e-3, "fp16": 1e-2, "bf16": 4e-2, "int8": 0.1}
"""Largest difference to the float ONNX file, as a fraction of the largest output.

Of float, because GPUs multiply in TF32, which has ten bits, as has FP16; of bfloat16, because it has seven; of INT8,
because it has eight and few layers average it.
"""

_ALL = [
    (name, precision)
    for name in TARGETS
    if target_named(name).missing() is None
    for precision in target_named(name).precisions
]

_TASKS = Path("/proc/self/task")


@dataclass(frozen=True)
class _Built:
    """What a target made of one ONNX file."""

    source: Path
    folder: Path
    spec: EngineSpec
    precision: str

    def opened(self) -> Session:
        opened: Session = object_at(OPENERS[self.spec.target])(self.folder, self.spec)
        return opened


@pytest.fixture(scope="module", params=_ALL, ids="-".join)
def built(exported: Artifact, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Built:
    name, precision = request.param
    target = target_named(name)
    source = _source(exported, target, precision)
    folder = tmp_path_factory.mktemp(f"{name}-{precision}")
    spec = target.build(source, folder, precision=precision)
    return _Built(source, folder, spec, precision)


def _source(exported: Artifact, target: Target, precision: str) -> Path:
    return exported.path(qdq_model(target.dialect(this_machine())) if precision == "int8" else FLOAT_MODEL)


@pytest.fixture(scope="module")
def target(built: _Built) -> Target:
    return target_named(built.spec.target)


@pytest.fixture(scope="module")
def runnable(built: _Built, target: Target) -> _Built:
    if reason := target.cannot_run():
        pytest.skip(reason)
    return built


@pytest.fixture(scope="module")
def session(runnable: _Built) -> Iterator[Session]:
    with runnable.opened() as session:
        yield session


@pytest.fixture(scope="module")
def batches(session_parts: Parts) -> list[Array]:
    """Real images of every class."""
    return [session_parts.preprocess.load(str(sample.path))[None] for sample in session_parts.dataset.test[::8]]


@pytest.fixture(scope="module")
def expected(exported: Artifact, batches: list[Array]) -> list[Array]:
    """What the float ONNX file gives when nothing rewrites it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = onnxruntime.InferenceSession(
        str(exported.path(FLOAT_MODEL)), options, providers=["CPUExecutionProvider"]
    )
    return [reference.run(None, {"input": batch})[0] for batch in batches]


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_is_tried_here(name: str) -> None:
    if reason := target_named(name).missing():
        pytest.skip(reason)
    assert {precision for target, precision in _ALL if target == name} == set(target_named(name).precisions)


# What is built


def test_the_spec_comes_back_from_json_the_same(built: _Built) -> None:
    assert EngineSpec.from_json(json.loads(json.dumps(built.spec.to_json()))) == built.spec


def test_the_spec_names_the_target_and_the_file_that_lies_in_the_folder(built: _Built, target: Target) -> None:
    assert built.spec.target == target.name
    assert (built.folder / built.spec.model).is_file()
    assert built.spec.model == Path(built.spec.model).name


def test_the_spec_tells_the_inputs_and_outputs_of_the_onnx_file(built: _Built) -> None:
    assert (built.spec.input.shape, built.spec.input.dtype) == ((1, 3, 16, 16), "float32")
    assert [(output.shape, output.dtype) for output in built.spec.outputs] == [((1, 3), "float32")]


def test_building_changes_nothing_of_what_it_builds_from(built: _Built, exported: Artifact) -> None:
    assert tuple(FileEntry.of(exported.root, exported.root / entry.path) for entry in exported.files) == exported.files


_BUILD_ALL = """
import json, sys, traceback
from pathlib import Path
from pipeline.catalog import target_named

for name, source, folder, precision in json.loads(sys.argv[1]):
    try:
        target_named(name).build(Path(source), Path(folder), precision=precision)
    except Exception:
        Path(folder).with_suffix(".failed").write_text(traceback.format_exc(), encoding="utf-8")
"""
"""A target that fails is told beside its folder, so that only its own tests fail."""


@pytest.fixture(scope="module")
def elsewhere(exported: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder TARGET-PRECISION for each, of another process: sets and hashes of strings have another order there."""
    root = tmp_path_factory.mktemp("elsewhere")
    jobs = []
    for name, precision in _ALL:
        folder = root / f"{name}-{precision}"
        folder.mkdir()
        jobs.append([name, str(_source(exported, target_named(name), precision)), str(folder), precision])
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", _BUILD_ALL, json.dumps([job for job in jobs if job[0] != "tensorrt"])]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return root


def test_building_again_in_another_process_gives_equal_bytes(built: _Built, target: Target, elsewhere: Path) -> None:
    if target.name == "tensorrt":
        pytest.skip("TensorRT chooses its kernels by timing them")
    folder = elsewhere / f"{target.name}-{built.precision}"
    failed = folder.with_suffix(".failed")
    assert not failed.exists(), failed.read_text(encoding="utf-8")
    again = _hashes(folder)
    assert again == _hashes(built.folder)
    assert again


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in folder.iterdir()}


def test_a_precision_that_it_does_not_build_is_refused_with_those_it_does(
    built: _Built, target: Target, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as raised:
        target.build(built.source, tmp_path, precision="int4")
    assert str(raised.value) == (
        f"target {target.name} does not build int4\n  expected: one of {', '.join(target.precisions)}"
    )


def test_what_decides_its_bytes_is_json(target: Target) -> None:
    assert json.loads(json.dumps(target.settings())) == target.settings()


def test_a_target_that_cannot_be_run_here_says_why_in_one_sentence(target: Target) -> None:
    reason = target.cannot_run()
    assert reason is None or (reason and "\n" not in reason)


# What it computes


def test_the_session_gives_the_float_networks_numbers(
    built: _Built, session: Session, batches: list[Array], expected: list[Array]
) -> None:
    limit = _TOLERANCE[built.precision]
    for batch, wanted in zip(batches, expected, strict=True):
        (found,) = session.run(batch)
        assert np.abs(found - wanted).max() <= limit * np.abs(wanted).max()


def test_outputs_have_the_shape_and_dtype_of_the_spec(session: Session, batches: list[Array]) -> None:
    outputs = session.run(batches[0])
    assert [(output.shape, output.dtype.name) for output in outputs] == [
        (output.shape, output.dtype) for output in session.spec.outputs
    ]


def test_the_same_input_gives_the_same_bits_whatever_ran_in_between(session: Session, batches: list[Array]) -> None:
    first = [session.run(batch)[0].copy() for batch in batches]
    again = [session.run(batch)[0].copy() for batch in reversed(batches)]
    assert all(np.array_equal(a, b) for a, b in zip(first, reversed(again), strict=True))


def test_an_answer_stays_what_it_was_when_the_next_one_is_asked_for(session: Session, batches: list[Array]) -> None:
    # A runtime that hands out its own buffer would overwrite an answer somebody still holds.
    (held,) = session.run(batches[0])
    copy = held.copy()
    session.run(batches[-1])
    assert np.array_equal(held, copy)


@pytest.mark.parametrize(
    ("change", "came"),
    [
        (lambda batch: batch[0], "float32[3, 16, 16]"),
        (lambda batch: np.concatenate([batch, batch]), "float32[2, 3, 16, 16]"),
        (lambda batch: batch[:, :, :8], "float32[1, 3, 8, 16]"),
        (lambda batch: batch.astype(np.float64), "float64[1, 3, 16, 16]"),
        (lambda batch: batch.astype(np.uint8), "uint8[1, 3, 16, 16]"),
    ],
    ids=["no batch axis", "two images", "another size", "float64", "uint8"],
)
def test_a_batch_the_engine_was_not_built_for_is_refused_and_told(
    session: Session, batches: list[Array], change: Callable[[Array], Array], came: str
) -> None:
    with pytest.raises(ValueError, match="is float32") as raised:
        session.run(change(batches[0]))
    assert str(raised.value) == f"input {session.spec.input.name!r} is float32[1, 3, 16, 16], got {came}"


def test_the_facts_tell_the_runtime_and_the_threads_as_json(session: Session) -> None:
    facts = session.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert {"runtime", "threads"} <= set(facts)
    assert any(character.isdigit() for character in facts["runtime"])


def test_threads_are_what_the_spec_asks_for(runnable: _Built) -> None:
    if "threads" not in runnable.spec.options:
        pytest.skip(f"{runnable.spec.target} has no option for threads")
    one = EngineSpec.from_json({**runnable.spec.to_json(), "options": {**runnable.spec.options, "threads": 1}})
    with object_at(OPENERS[one.target])(runnable.folder, one) as session:
        assert session.facts()["threads"] == 1


# When it is loaded


def test_nothing_is_loaded_before_the_block_is_entered(built: _Built, tmp_path: Path) -> None:
    # An empty folder: whoever loads early fails while making the session, not while entering it.
    session = object_at(OPENERS[built.spec.target])(tmp_path, built.spec)
    with pytest.raises(Exception, match=r"."):  # noqa: SIM117 - whatever the runtime raises
        with session:
            pytest.fail("a file that is not there was opened")


def test_a_session_that_was_left_answers_no_more(runnable: _Built, batches: list[Array]) -> None:
    with runnable.opened() as session:
        session.run(batches[0])
    with pytest.raises(Exception, match=r"."):
        session.run(batches[0])


def test_a_session_lets_go_of_its_model_when_the_block_is_left_by_an_error(
    runnable: _Built, batches: list[Array]
) -> None:
    session = runnable.opened()
    with pytest.raises(KeyError, match="on purpose"), session:
        raise KeyError("on purpose")
    with pytest.raises(Exception, match=r"."):
        session.run(batches[0])


@pytest.mark.skipif(not _TASKS.is_dir(), reason="this system does not list a process's threads")
def test_opening_and_leaving_again_and_again_piles_up_neither_threads_nor_files(
    runnable: _Built, batches: list[Array]
) -> None:
    held = []
    for _ in range(12):
        with runnable.opened() as session:
            session.run(batches[0])
        del session
        held.append((len(list(_TASKS.iterdir())), len(list(_TASKS.with_name("fd").iterdir()))))
    # The first ones may start what a runtime keeps for good, such as a pool that all sessions share.
    assert all(last <= early for last, early in zip(held[-1], held[2], strict=True))
