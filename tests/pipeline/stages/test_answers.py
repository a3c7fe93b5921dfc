"""Answers that a teacher's owner wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.artifact import ArtifactKind, sha256_of_file
from pipeline.chain.execution import execute
from pipeline.errors import WeightsError
from pipeline.models.build import build_network
from pipeline.models.files import save_network
from pipeline.progress import SilentProgress
from pipeline.stage import Workspace
from pipeline.stages.answers import AskTeacher, TakeAnswers
from pipeline.store import Store
from pipeline.tasks.distillation import kept_logits
from pipeline.training.answers_file import write_shared
from pipeline.training.cached_answers import TeacherAnswers


def test_a_file_that_changed_since_the_run_began_is_refused(inputs: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the conftest's function
    given = inputs()
    told = {
        "samples": given.subject.train,
        "classes": given.subject.classes,
        "model": "tiny",
        "task": "classification",
        "preprocess": given.subject.preprocess,
    }
    file, count = tmp_path / "a.safetensors", len(given.subject.train)
    write_shared(file, {"logits": torch.zeros(count, 3)}, **told)
    stage = TakeAnswers(file=file, file_sha256=sha256_of_file(file))
    write_shared(file, {"logits": torch.ones(count, 3)}, **told)
    with pytest.raises(WeightsError, match="this file changed while it was in use"):
        stage.run(given, Workspace(folder=tmp_path, seed=0, progress=SilentProgress()))
    assert list(tmp_path.iterdir()) == [file]


def test_stored_answers_that_hold_infinities_are_asked_for_anew(
    inputs: Any,  # noqa: ANN401 - the conftest's function
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of before what a network rules out was kept as a number; a file that is written of them counts as damaged."""
    store, subject = Store(tmp_path / "store"), inputs().subject
    network = build_network(subject.model, classes=3)
    *_, last = (module for module in network.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        last.bias[2] = -1e9
    with store.workspace() as folder:
        save_network(network, subject.model, folder, classes=3)
        artifact = store.commit(ArtifactKind.NETWORK, folder, {})

    def finite() -> bool:
        asked = execute(AskTeacher(views=1), inputs(artifact), store, seed=0, progress=SilentProgress())
        said = TeacherAnswers.load(asked.artifact.root).said(torch.arange(len(subject.train)), 0)
        return all(bool(one.isfinite().all()) for one in said.values())

    with monkeypatch.context() as before:
        before.setattr(AskTeacher, "version", 5)
        before.setattr(kept_logits, "_half", torch.Tensor.half)
        assert not finite()
    assert finite()


def test_where_nothing_is_compared_with_answers_no_image_is_asked_about(
    inputs: Any,  # noqa: ANN401 - the conftest's function
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, subject = Store(tmp_path / "store"), inputs().subject
    with store.workspace() as folder:
        save_network(build_network(subject.model, classes=3), subject.model, folder, classes=3)
        artifact = store.commit(ArtifactKind.NETWORK, folder, {})
    asked: list[object] = []
    monkeypatch.setattr("pipeline.training.cached_answers.ask", lambda *given, **_: asked.append(given))
    made = execute(AskTeacher(views=0), inputs(artifact), store, seed=0, progress=SilentProgress())
    assert not asked
    assert made.artifact.facts["answers"]  # what kind of output it has, which an ensemble is joined by
    assert not TeacherAnswers.load(made.artifact.root).kept
