"""The contract between the runner and a stage.

A stage is a frozen pydantic record whose fields are its section of the recipe. It has no base class of ours: whatever
has these class attributes and ``run`` is a stage. What it declares, the runner verifies after each call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.artifact import Artifact, ArtifactKind, Json
    from pipeline.models import ModelSource
    from pipeline.preprocess import Renormalisation
    from pipeline.progress import Progress
    from pipeline.subject import Subject

__all__ = ["Inputs", "Made", "Stage", "Teacher", "TrainedNetwork", "Workspace"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedNetwork:
    """A network artifact together with how its network is built."""

    source: ModelSource
    artifact: Artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """Who a student learns from.

    Attributes:
        name: For people.
        answers: What it says of every view of every training image.
        network: Itself, for losses on what is inside; None where only its answers are known.
        renormalised: How it wants what the student is fed, beside which it then runs; None: as it is.
    """

    name: str
    answers: Artifact
    network: TrainedNetwork | None = None
    renormalised: Renormalisation | None = None

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All there is of it."""
        return (self.answers, *((self.network.artifact,) if self.network else ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What a stage works on.

    Attributes:
        artifacts: The newest artifact of each kind the stage ``takes``.
        subject: The model, data, preprocessing and task of the run, restricted to what the stage ``reads``.
        teachers: To learn from, for a stage that asks for them.
    """

    artifacts: Mapping[ArtifactKind, Artifact]
    subject: Subject
    teachers: tuple[Teacher, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Where and how a stage works.

    Attributes:
        folder: An empty folder; the files left in it become the artifact.
        seed: The only source of randomness.
        progress: Where to report to.
        kept: A folder that outlives a killed run: the next one with the same key finds there what it left. Goes when
            the stage ends. None where nothing is kept.
    """

    folder: Path
    seed: int
    progress: Progress
    kept: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What ``run`` returns: the facts of the artifact whose files lie in the workspace, and notes for the report."""

    facts: Mapping[str, Json]
    notes: tuple[str, ...] = field(default=())


class Stage(Protocol):
    """One step of the chain.

    Attributes:
        name: As in the recipe, the report and the command line.
        version: Raised whenever the same inputs would give another result; enters the key.
        takes: Kinds of the artifacts it needs.
        gives: Kind of the artifact it makes.
        reads: Which parts of the subject it reads: of ``model``, ``weights``, ``train``, ``validation``,
            ``calibration``, ``preprocess``, ``task``. Only these enter its key and only these can be read.
        pins: Distributions whose versions decide the result; enter the key.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - told above
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def takes(self) -> tuple[ArtifactKind, ...]: ...  # noqa: D102
    @property
    def gives(self) -> ArtifactKind: ...  # noqa: D102
    @property
    def reads(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def pins(self) -> tuple[str, ...]: ...  # noqa: D102

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write the artifact's files into ``work.folder``.

        Must not write anywhere else, change its inputs, or depend on anything that is neither declared nor a field.
        """
        ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """The fields (pydantic's own)."""
        ...
