"""Several networks as one engine: its members run one after another, and what they say is joined.

For measuring what an ensemble is and costs on a target, whichever that is; nothing is shipped so.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.import_path import object_at
from pipeline.session import EngineSpec, check_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.artifact import Json
    from pipeline.session import Array, Outputs, Session

__all__ = ["ENSEMBLE", "EnsembleSession", "Member", "ensemble_spec", "open_session"]

ENSEMBLE = "ensemble"
"""Stands where the name of a target stands in the spec of an engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One network of the ensemble.

    Attributes:
        spec: Of its engine.
        opener: Of its session, as ``module:function``.
        answers: What is to be known of its outputs, as of :meth:`pipeline.tasks.Task.told_with`.
        scale: By which each channel of the ensemble's input is multiplied for it, where its inputs are normalised
            otherwise.
        offset: That is then added to each channel.
    """

    spec: EngineSpec
    opener: str
    answers: Json
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None


def ensemble_spec(members: Sequence[Member], joiner: str) -> EngineSpec:
    """The spec of the whole; the files of member ``i`` lie in the folder ``i``.

    Args:
        members: In their order.
        joiner: Of their task, as ``module:function``: it makes one answer of theirs.
    """
    first = members[0].spec
    return EngineSpec(
        target=ENSEMBLE,
        model=f"0/{first.model}",
        input=first.input,
        outputs=first.outputs,
        options={
            "joined": joiner,
            "members": [
                {
                    "spec": member.spec.to_json(),
                    "opener": member.opener,
                    "answers": member.answers,
                    "scale": member.scale and list(member.scale),
                    "offset": member.offset and list(member.offset),
                }
                for member in members
            ],
        },
    )


class EnsembleSession:
    """Every member loaded at once, as an application that asks them all would hold them."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._folder, self._opened = folder, ExitStack()
        self._members: list[tuple[Session, Json, Callable[[Array], Array]]] = []
        self._joined: Callable[[Sequence[Outputs], Sequence[Json]], Outputs] = object_at(spec.options["joined"])

    def __enter__(self) -> Self:
        """Load them."""
        with ExitStack() as opened:
            for number, member in enumerate(self.spec.options["members"]):
                spec = EngineSpec.from_json(member["spec"])
                session = object_at(member["opener"])(self._folder / str(number), spec)
                self._members.append((opened.enter_context(session), member["answers"], _feeding(member)))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release them."""
        self._opened.close()

    def run(self, batch: Array) -> tuple[Array, ...]:
        """What the members say together, of the form of the first one's outputs."""
        check_batch(batch, self.spec.input)
        said = [session.run(fed(batch)) for session, _, fed in self._members]
        return self._joined(said, [answers for _, answers, _ in self._members])

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
