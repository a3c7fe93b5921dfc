"""Several classifiers as one engine: its members run one after another, and their probabilities are averaged.

For measuring what an ensemble is and costs on a target, whichever that is; nothing is shipped so.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from exporters.device.classification import softmax
from pipeline.import_path import object_at
from pipeline.session import EngineSpec, TensorSpec, check_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.artifact import Json
    from pipeline.session import Array, Session

__all__ = ["ENSEMBLE", "EnsembleSession", "Member", "ensemble_spec", "open_session"]

ENSEMBLE = "ensemble"
"""Stands where the name of a target stands in the spec of an engine."""

Member = tuple[EngineSpec, str, str]
"""Spec, opener and kind of output (``logits`` or ``probabilities``) of one classifier."""


def ensemble_spec(members: Sequence[Member]) -> EngineSpec:
    """The spec of the whole; the files of member ``i`` lie in the folder ``i``."""
    first = members[0][0]
    given, classes = first.input, first.outputs[0].shape
    return EngineSpec(
        target=ENSEMBLE,
        model=f"0/{first.model}",
        input=given,
        outputs=(TensorSpec(name="probabilities", shape=classes, dtype="float32"),),
        options={
            "members": [{"spec": spec.to_json(), "opener": opener, "gives": gives} for spec, opener, gives in members]
        },
    )


class EnsembleSession:
    """Every member loaded at once, as an application that asks them all would hold them."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._folder, self._opened = folder, ExitStack()
        self._members: list[tuple[Session, str]] = []

    def __enter__(self) -> Self:
        """Load them."""
        with ExitStack() as opened:
            for number, member in enumerate(self.spec.options["members"]):
                spec = EngineSpec.from_json(member["spec"])
                session = object_at(member["opener"])(self._folder / str(number), spec)
                self._members.append((opened.enter_context(session), member["gives"]))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release them."""
        self._opened.close()

    def run(self, batch: Array) -> tuple[Array, ...]:
        """The mean of the members' probabilities, float32 (batch, classes)."""
        check_batch(batch, self.spec.input)
        said = [(session.run(batch)[0], gives) for session, gives in self._members]
        shares = [output if gives == "probabilities" else softmax(output) for output, gives in said]
        mean: Array = np.stack(shares).mean(axis=0, dtype=np.float32)
        return (mean,)

    def facts(self) -> dict[str, Json]:
        """What is in force for each."""
        return {"members": [session.facts() for session, _ in self._members]}


def open_session(folder: Path, spec: EngineSpec) -> EnsembleSession:
    """The session for an ensemble."""
    return EnsembleSession(folder, spec)
