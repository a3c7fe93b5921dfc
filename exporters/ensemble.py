"""Several classifiers as one engine: its members run one after another, and their probabilities are averaged.

For measuring what an ensemble is and costs on a target, whichever that is; nothing is shipped so.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.import_path import object_at
from pipeline.session import EngineSpec, TensorSpec, check_batch
from pipeline.tasks.reading.classification import softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.artifact import Json
    from pipeline.session import Array, Session

__all__ = ["ENSEMBLE", "EnsembleSession", "Member", "ensemble_spec", "open_session"]

ENSEMBLE = "ensemble"
"""Stands where the name of a target stands in the spec of an engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One classifier of the ensemble.

    Attributes:
        spec: Of its engine.
        opener: Of its session, as ``module:function``.
        gives: ``logits`` or ``probabilities``.
        scale: By which each channel of the ensemble's input is multiplied for it, where its inputs are normalised
            otherwise.
        offset: That is then added to each channel.
    """

    spec: EngineSpec
    opener: str
    gives: str
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None


def ensemble_spec(members: Sequence[Member]) -> EngineSpec:
    """The spec of the whole; the files of member ``i`` lie in the folder ``i``."""
    first = members[0].spec
    given, classes = first.input, first.outputs[0].shape
    return EngineSpec(
        target=ENSEMBLE,
        model=f"0/{first.model}",
        input=given,
        outputs=(TensorSpec(name="probabilities", shape=classes, dtype="float32"),),
        options={
            "members": [
                {
                    "spec": member.spec.to_json(),
                    "opener": member.opener,
                    "gives": member.gives,
                    "scale": member.scale and list(member.scale),
                    "offset": member.offset and list(member.offset),
                }
                for member in members
            ]
        },
    )


class EnsembleSession:
    """Every member loaded at once, as an application that asks them all would hold them."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._folder, self._opened = folder, ExitStack()
        self._members: list[tuple[Session, str, Callable[[Array], Array]]] = []

    def __enter__(self) -> Self:
        """Load them."""
        with ExitStack() as opened:
            for number, member in enumerate(self.spec.options["members"]):
                spec = EngineSpec.from_json(member["spec"])
                session = object_at(member["opener"])(self._folder / str(number), spec)
                self._members.append((opened.enter_context(session), member["gives"], _feeding(member)))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release them."""
        self._opened.close()

    def run(self, batch: Array) -> tuple[Array, ...]:
        """The mean of the members' probabilities, float32 (batch, classes)."""
        check_batch(batch, self.spec.input)
        said = [(session.run(fed(batch))[0], gives) for session, gives, fed in self._members]
        shares = [output if gives == "probabilities" else softmax(output) for output, gives in said]
        mean: Array = np.stack(shares).mean(axis=0, dtype=np.float32)
        return (mean,)

    def facts(self) -> dict[str, Json]:
        """What is in force for each."""
        return {"members": [session.facts() for session, _, _ in self._members]}


def _feeding(member: Mapping[str, Any]) -> Callable[[Array], Array]:
    """From the ensemble's input to that of a member."""
    if member["scale"] is None:
        return lambda batch: batch
    scale, offset = (np.array(member[name], dtype=np.float32)[:, None, None] for name in ("scale", "offset"))
    return lambda batch: batch * scale + offset


def open_session(folder: Path, spec: EngineSpec) -> EnsembleSession:
    """The session for an ensemble."""
    return EnsembleSession(folder, spec)
