"""Answers that a teacher's owner wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.artifact import sha256_of_file
from pipeline.errors import WeightsError
from pipeline.progress import SilentProgress
from pipeline.stage import Workspace
from pipeline.stages.answers import TakeAnswers
from pipeline.training.answers_file import write_shared


def test_a_file_that_changed_since_the_run_began_is_refused(inputs: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the conftest's function
    given = inputs()
    told = {"samples": given.subject.train, "classes": given.subject.classes, "model": "tiny", "task": "classification"}
    file, count = tmp_path / "a.safetensors", len(given.subject.train)
    write_shared(file, {"logits": torch.zeros(count, 3)}, **told)
    stage = TakeAnswers(file=file, file_sha256=sha256_of_file(file))
    write_shared(file, {"logits": torch.ones(count, 3)}, **told)
    with pytest.raises(WeightsError, match="this file changed while it was in use"):
        stage.run(given, Workspace(folder=tmp_path, seed=0, progress=SilentProgress()))
    assert list(tmp_path.iterdir()) == [file]
