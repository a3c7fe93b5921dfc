"""What the tiny network's bundle holds besides its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporters.bundle import Contents
from exporters.provenance import Step
from pipeline.chain.keys import key_components
from pipeline.stage import Inputs
from pipeline.stages.baseline import Baseline
from pipeline.subject import Subject

if TYPE_CHECKING:
    from pipeline.subject import Parts


@pytest.fixture(scope="session")
def contents(session_parts: Parts) -> Contents:
    """What its bundle holds besides the engine; the model is named as somebody with a folder of their own types it."""
    inputs = Inputs(artifacts={}, subject=Subject(parts=session_parts).restricted(Baseline.reads))
    decided_by = key_components(Baseline(), inputs, seed=7)
    return Contents(
        model="/home/somebody/networks/net.py:tiny",
        task="classification",
        preprocess=session_parts.preprocess,
        classes=session_parts.dataset.classes,
        provenance={"stages": {"baseline": "0" * 64}, "model": session_parts.model.identity()},
        steps=(Step(stage="baseline", decided_by=decided_by, sha256="0" * 64),),
    )
