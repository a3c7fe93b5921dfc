"""One stage at a time: run, taken from the store, or caught doing what it did not declare."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import Artifact, ArtifactKind
from pipeline.chain.execution import FILES_OF_KIND, StageResult, cached, execute
from pipeline.errors import ContractError, ResourceError
from pipeline.models.source import ModelSource
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs, Made, Teacher, TrainedNetwork, Workspace
from pipeline.store import KeyRecord, Store

if TYPE_CHECKING:
    from pipeline.subject import Subject

Work = Callable[[Inputs, Workspace], Made]


class _Stage(BaseModel):
    """A stage that makes an engine by whatever a test does in it."""

    model_config = ConfigDict(frozen=True)

    name: ClassVar[str] = "tried"
    version: ClassVar[int] = 1
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.ENGINE
    reads: ClassVar[tuple[str, ...]] = ("task",)
    pins: ClassVar[tuple[str, ...]] = ("numpy",)

    option: int = 0
    work: Any = Field(exclude=True)

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        made: Made = self.work(inputs, work)
        return made


class _TakesOnnx(_Stage):
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.ONNX,)


def _writes(*names: str, content: bytes = b"content", **facts: Any) -> Work:  # noqa: ANN401 - JSON
    def work(inputs: Inputs, work: Workspace) -> Made:
        for name in names:
            (work.folder / name).write_bytes(content)
        return Made(facts=facts, notes=("a note",))

    return work


class _Counted:
    """Work that counts how often it is done."""

    def __init__(self, work: Work) -> None:
        self.times = 0
        self._work = work

    def __call__(self, inputs: Inputs, work: Workspace) -> Made:
        self.times += 1
        return self._work(inputs, work)


@pytest.fixture
def inputs(tiny_subject: Subject) -> Inputs:
    return Inputs(artifacts={}, subject=tiny_subject)


def _commit(store: Store, kind: ArtifactKind, *names: str) -> Artifact:
    with store.workspace() as folder:
        for name in names:
            (folder / name).write_bytes(name.encode())
        return store.commit(kind, folder, {})


@pytest.fixture
def onnx_inputs(inputs: Inputs, store: Store) -> Inputs:
    artifact = _commit(store, ArtifactKind.ONNX, "float.onnx", "qdq-ort-x86.onnx")
    return replace(inputs, artifacts={ArtifactKind.ONNX: artifact})


def _execute(stage: _Stage, inputs: Inputs, store: Store, *, seed: int = 0) -> StageResult:
    return execute(stage, inputs, store, seed=seed, progress=SilentProgress())


# Running and remembering


def test_the_files_a_stage_leaves_become_its_artifact(inputs: Inputs, store: Store) -> None:
    result = _execute(_Stage(work=_writes("a", "b", fact=1)), inputs, store)
    assert (result.stage, result.status, result.notes) == ("tried", "ran", ("a note",))
    assert (result.artifact.kind, result.artifact.facts) == (ArtifactKind.ENGINE, {"fact": 1})
    assert [entry.path for entry in result.artifact.files] == ["a", "b"]
    assert store.find(result.artifact.sha256) == result.artifact


def test_a_second_time_the_result_comes_from_the_store(inputs: Inputs, store: Store) -> None:
    work = _Counted(_writes("a"))
    first, second = (_execute(_Stage(work=work), inputs, store) for _ in range(2))
    assert work.times == 1
    assert second == replace(first, status="cached")


def test_another_store_on_the_same_folder_knows_the_result(inputs: Inputs, store: Store) -> None:
    work = _Counted(_writes("a"))
    for _ in range(2):
        _execute(_Stage(work=work), inputs, Store(store.root))
    assert work.times == 1


def test_another_field_or_seed_runs_the_stage_again(inputs: Inputs, store: Store) -> None:
    work = _Counted(_writes("a"))
    _execute(_Stage(work=work), inputs, store)
    _execute(_Stage(work=work, option=1), inputs, store)
    _execute(_Stage(work=work), inputs, store, seed=1)
    assert work.times == 3


def test_two_keys_may_lead_to_one_artifact(inputs: Inputs, store: Store) -> None:
    results = [_execute(_Stage(work=_writes("a"), option=option), inputs, store) for option in (0, 1)]
    assert results[0].artifact == results[1].artifact
    assert results[1].status == "ran"


def test_an_artifact_that_was_damaged_is_made_again(inputs: Inputs, store: Store) -> None:
    work = _Counted(_writes("a"))
    path = _execute(_Stage(work=work), inputs, store).artifact.path("a")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    result = _execute(_Stage(work=work), inputs, store)
    assert (work.times, result.status) == (2, "ran")
    assert result.artifact.path("a").read_bytes() == b"content"


def test_looking_for_a_result_runs_nothing(inputs: Inputs, store: Store) -> None:
    work = _Counted(_writes("a"))
    assert cached(_Stage(work=work), inputs, store, seed=0) is None
    ran = _execute(_Stage(work=work), inputs, store)
    assert cached(_Stage(work=work), inputs, store, seed=0) == replace(ran, status="cached")
    assert cached(_Stage(work=work), inputs, store, seed=1) is None
    assert work.times == 1


def test_the_time_it_took_is_remembered(inputs: Inputs, store: Store) -> None:
    first, second = (_execute(_Stage(work=_writes("a")), inputs, store) for _ in range(2))
    assert second.wall_s == first.wall_s > 0


def test_a_stage_that_fails_leaves_nothing_and_is_tried_again(inputs: Inputs, store: Store) -> None:
    def fail(inputs: Inputs, work: Workspace) -> Made:
        (work.folder / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _execute(_Stage(work=fail), inputs, store)
    assert list((store.root / "work").iterdir()) == []
    assert not (store.root / "artifacts").exists()
    assert _execute(_Stage(work=_writes("a")), inputs, store).status == "ran"


def _checkpointed(inputs: Inputs, work: Workspace) -> Made:
    (work.kept / "checkpoint").touch()
    return _writes("a")(inputs, work)


def test_what_is_kept_for_the_next_run_stays_until_the_result_is_remembered(
    inputs: Inputs, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: Store, key: str, record: KeyRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "remember", full)
    with pytest.raises(ResourceError):
        _execute(_Stage(work=_checkpointed), inputs, store)
    assert [path.name for path in (store.root / "unfinished").glob("*/*")] == ["checkpoint"]
    monkeypatch.undo()
    _execute(_Stage(work=_checkpointed), inputs, store)
    assert list((store.root / "unfinished").iterdir()) == []


def test_what_a_run_left_that_was_killed_after_its_last_step_goes_with_the_next(
    inputs: Inputs, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember = Store.remember

    def killed(store: Store, key: str, record: KeyRecord) -> None:
        remember(store, key, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "remember", killed)
    with pytest.raises(KeyboardInterrupt):
        _execute(_Stage(work=_checkpointed), inputs, store)
    assert list((store.root / "unfinished").glob("*/*"))
    assert _execute(_Stage(work=_checkpointed), inputs, store).status == "cached"
    assert list((store.root / "unfinished").iterdir()) == []


def test_two_runs_of_the_same_at_once_do_the_work_once(inputs: Inputs, store: Store) -> None:
    begun, go_on = threading.Event(), threading.Event()
    results: list[StageResult] = []

    def slow(inputs: Inputs, work: Workspace) -> Made:
        begun.set()
        assert go_on.wait(10)
        return _writes("a")(inputs, work)

    work = _Counted(slow)
    threads = [
        threading.Thread(target=lambda: results.append(_execute(_Stage(work=work), inputs, Store(store.root))))
        for _ in range(2)
    ]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(0.1)
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join()
    assert work.times == 1
    assert sorted(result.status for result in results) == ["cached", "ran"]


# What a stage is given


def test_a_stage_works_in_an_empty_folder_with_the_seed_it_was_given(inputs: Inputs, store: Store) -> None:
    seen = []

    def look(inputs: Inputs, work: Workspace) -> Made:
        seen.append((list(work.folder.iterdir()), work.seed))
        return _writes("a")(inputs, work)

    _execute(_Stage(work=look), inputs, store, seed=7)
    assert seen == [([], 7)]


def test_a_stage_gets_the_artifacts_it_takes_and_no_other(onnx_inputs: Inputs, store: Store) -> None:
    seen = []

    def look(inputs: Inputs, work: Workspace) -> Made:
        seen.append(set(inputs.artifacts))
        return _writes("a")(inputs, work)

    _execute(_Stage(work=look), onnx_inputs, store)
    _execute(_TakesOnnx(work=look), onnx_inputs, store)
    assert seen == [set(), {ArtifactKind.ONNX}]


def test_reading_what_was_not_declared_ends_the_stage(inputs: Inputs, store: Store) -> None:
    def read(inputs: Inputs, work: Workspace) -> Made:
        return Made(facts={"images": len(inputs.subject.train)})

    with pytest.raises(ContractError) as raised:
        _execute(_Stage(work=read), inputs, store)
    assert str(raised.value) == (
        "a stage read 'train' without declaring it\n"
        "  got: reads = ['task']\n"
        "  fix: add 'train' to the stage's `reads`, so that it enters the key"
    )


def test_reading_what_was_declared_is_fine(inputs: Inputs, store: Store) -> None:
    def read(inputs: Inputs, work: Workspace) -> Made:
        return _writes("a", task=inputs.subject.task.name)(inputs, work)

    assert _execute(_Stage(work=read), inputs, store).artifact.facts == {"task": "classification"}


# What a stage has to leave


def test_a_stage_that_writes_nothing_is_told_so(inputs: Inputs, store: Store) -> None:
    with pytest.raises(ContractError) as raised:
        _execute(_Stage(work=_writes()), inputs, store)
    assert str(raised.value) == "stage 'tried' declared a engine artifact and did not write it\n  got: no file"


@pytest.mark.parametrize("kind", [kind for kind, names in FILES_OF_KIND.items() if names])
def test_a_stage_that_leaves_out_a_file_of_its_kind_is_told_which_are_wanted(
    inputs: Inputs, store: Store, kind: ArtifactKind
) -> None:
    class Makes(_Stage):
        gives: ClassVar[ArtifactKind] = kind

    first, *rest = sorted(FILES_OF_KIND[kind])
    with pytest.raises(ContractError) as raised:
        _execute(Makes(work=_writes(*rest, "other")), inputs, store)
    assert str(raised.value) == (
        f"stage 'tried' declared a {kind} artifact and did not write it\n"
        f"  got: {', '.join(sorted([*rest, 'other']))}\n"
        f"  expected: {', '.join([first, *rest])}"
    )


@pytest.mark.parametrize("kind", ArtifactKind)
def test_a_stage_may_leave_more_than_its_kind_asks_for(inputs: Inputs, store: Store, kind: ArtifactKind) -> None:
    class Makes(_Stage):
        gives: ClassVar[ArtifactKind] = kind

    result = _execute(Makes(work=_writes(*FILES_OF_KIND[kind], "more")), inputs, store)
    assert {entry.path for entry in result.artifact.files} == {*FILES_OF_KIND[kind], "more"}


def test_nothing_of_a_stage_that_broke_its_contract_is_stored(inputs: Inputs, store: Store) -> None:
    with pytest.raises(ContractError):
        _execute(_Stage(work=_writes()), inputs, store)
    assert not (store.root / "artifacts").exists()
    assert not (store.root / "keys").exists()


# What a stage must not touch


def _overwrite(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"changed")


HARMS = {"changed": _overwrite, "removed": Path.unlink}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_stage_that_harms_its_input_is_told_which_file(
    onnx_inputs: Inputs, store: Store, harm: Callable[[Path], None]
) -> None:
    path = onnx_inputs.artifacts[ArtifactKind.ONNX].path("float.onnx")

    def work(inputs: Inputs, work: Workspace) -> Made:
        harm(inputs.artifacts[ArtifactKind.ONNX].path("float.onnx"))
        return _writes("a")(inputs, work)

    with pytest.raises(ContractError) as raised:
        _execute(_TakesOnnx(work=work), onnx_inputs, store)
    assert str(raised.value) == f"{path}: stage 'tried' changed its input"


def test_a_stage_that_changes_a_teacher_is_told_so(inputs: Inputs, store: Store) -> None:
    artifact = _commit(store, ArtifactKind.NETWORK, "weights.safetensors")
    network = TrainedNetwork(source=ModelSource(origin="torchvision", name="resnet18"), artifact=artifact)
    teacher = Teacher(name="resnet18", answers=artifact, network=network)

    def work(inputs: Inputs, work: Workspace) -> Made:
        _overwrite(inputs.teachers[0].answers.path("weights.safetensors"))
        return _writes("a")(inputs, work)

    with pytest.raises(ContractError, match="stage 'tried' changed its input"):
        _execute(_Stage(work=work), replace(inputs, teachers=(teacher,)), store)


def test_an_input_that_a_stage_changed_is_not_used_again(onnx_inputs: Inputs, store: Store) -> None:
    def work(inputs: Inputs, work: Workspace) -> Made:
        _overwrite(inputs.artifacts[ArtifactKind.ONNX].path("float.onnx"))
        return _writes("a")(inputs, work)

    with pytest.raises(ContractError):
        _execute(_TakesOnnx(work=work), onnx_inputs, store)
    assert store.find(onnx_inputs.artifacts[ArtifactKind.ONNX].sha256) is None
