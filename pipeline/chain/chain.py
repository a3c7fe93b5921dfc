"""What every step of a run shares: executing a stage, and measuring what it made on a target."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.chain.engine_measurement import measure
from pipeline.chain.execution import execute
from pipeline.chain.lower_for_measuring import LowerForMeasuring
from pipeline.chain.phases import Phases
from pipeline.chain.probe_engine import probe_engine
from pipeline.stage import Inputs
from pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.execution import StageResult
    from pipeline.chain.plan import Plan
    from pipeline.lowering.export import ExporterName
    from pipeline.planning.given_decisions import Decisions
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.runner.report_rows import Outcome
    from pipeline.stage import Stage, Teacher
    from pipeline.store import Store
    from pipeline.subject import Parts

__all__ = ["Chain", "network_facts_of"]

_TOLD = frozenset({"baseline", "distill", "downsample", "prune", "calibrate"})
"""Stages whose time is told by their own name."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A plan, and where its work goes.

    Attributes:
        announce: Called with every stage's outcome as soon as it is measured.
        fresh: Keys of what this run made itself, rather than found in the store.
        phases: Where its time goes.
        given: What an earlier run chose by timing, to be chosen again; None: this one measures.
    """

    plan: Plan
    store: Store
    progress: Progress
    announce: Callable[[Outcome], None]
    fresh: set[str] = field(default_factory=set)
    phases: Phases = field(default_factory=Phases)
    given: Decisions | None = None

    @property
    def subject(self) -> Subject:
        """What the stages work on."""
        return Subject(parts=self.plan.parts)

    def about(self, parts: Parts) -> Chain:
        """The same chain for another network: a teacher's."""
        return replace(self, plan=replace(self.plan, parts=parts))

    def fed(self, preprocess: PreprocessSpec) -> Chain:
        """The same chain whose network is fed otherwise: as a downsampled one is."""
        return replace(self, plan=self.plan.fed(preprocess))

    def execute(
        self, stage: Stage, artifacts: Mapping[ArtifactKind, Artifact], teachers: tuple[Teacher, ...] = ()
    ) -> StageResult:
        """The stage's result on the newest artifact of each kind it takes."""
        inputs = Inputs(artifacts=artifacts, subject=self.subject, teachers=teachers)
        seed = self.plan.recipe.seed
        with self.phases.during(stage.name if stage.name in _TOLD else "lowering and building"):
            return execute(stage, inputs, self.store, seed=seed, progress=self.progress, fresh=self.fresh)

    def lowered(self, network: Artifact, exporters: tuple[ExporterName, ...] | None = None) -> Artifact:
        """A network's float graph, to be measured.

        Args:
            network: Its artifact.
            exporters: In the order in which they are tried; None: as for what is shipped.

        Raises:
            ParityError: when no exporter's graph computes what the network computes.
        """
        stage = LowerForMeasuring(opset=self.plan.recipe.calibrate.opset, exporters=exporters)
        return self.execute(stage, {ArtifactKind.NETWORK: network}).artifact

    def engine(
        self,
        artifact: Artifact,
        target: Target,
        *,
        source: str = FLOAT_MODEL,
        precision: Precision = "float",
        options: Mapping[str, Json] | None = None,
    ) -> Artifact:
        """What the target loads of an artifact: itself, or what is built from it.

        Args:
            artifact: An engine, or what an engine can be built from.
            target: Where.
            source: Which file of an ONNX artifact.
            precision: What the engine computes in.
            options: Of the runtime, over the target's defaults.
        """
        if artifact.kind is ArtifactKind.ENGINE:
            return artifact
        return probe_engine(
            self.lowered(artifact) if artifact.kind is ArtifactKind.NETWORK else artifact,
            self.plan.build_stage(target, source=source, precision=precision, options=options),
            lambda stage, inputs: self.execute(stage, inputs).artifact,
        )

    def measured(
        self,
        artifact: Artifact,
        target: Target,
        *,
        source: str = FLOAT_MODEL,
        precision: Precision = "float",
        anew: bool = False,
    ) -> Measured:
        """What the artifact is on the target's runtime; arguments as of :meth:`engine` and :func:`measure`."""
        engine = self.engine(artifact, target, source=source, precision=precision)
        with self.phases.during("measuring"):
            return measure(engine, target, self.plan, self.store, self.progress, anew=anew)


def network_facts_of(artifacts: Mapping[ArtifactKind, Artifact]) -> dict[str, int]:
    """Parameters and multiply-accumulates: those of the newest network, which every later form shares.

    A model that came as an ONNX file has no network; its graph, as it was imported, says them.
    """
    facts = artifacts[ArtifactKind.NETWORK if ArtifactKind.NETWORK in artifacts else ArtifactKind.ONNX].facts
    return {"params": facts["params"], "macs": facts["macs"]}
