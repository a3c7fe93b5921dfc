"""The chain: every stage in its order, measured after each, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.build_stage import BuildFor
from exporters.bundle import Contents, write_bundle
from exporters.export_stage import ExportFor
from pipeline.artifact import FLOAT_MODEL, ArtifactKind, qdq_model
from pipeline.environment import this_machine
from pipeline.recipe.reading import dump_recipe
from pipeline.report.render import write_reports
from pipeline.runner.chain import Chain, network_facts_of
from pipeline.runner.choice import choose_precision
from pipeline.runner.preflight import preflight
from pipeline.runner.rows import Outcome, Taught, make_report
from pipeline.stage import TrainedNetwork
from pipeline.store import write_atomically

if TYPE_CHECKING:
    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.report import Report

__all__ = ["Deployed", "deploy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """What one target got.

    Attributes:
        folder: Holds the bundle, the reports and the recipe.
        files: What was written, for people to open.
    """

    report: Report
    folder: Path
    files: tuple[Path, ...]


@dataclass(slots=True)
class _State:
    """How far a run has come: the newest artifact of each kind, and what was measured on the way."""

    artifacts: dict[ArtifactKind, Artifact]
    outcomes: list[Outcome]


def deploy(chain: Chain, *, out: Path | None) -> tuple[Deployed, ...]:
    """Run the plan: the shared stages once, then each target's own.

    Args:
        chain: What to do, and where the work goes.
        out: Folder of the (single) target's results; default ``deployments/<model>/<target>``.
    """
    preflight(chain)
    shared = _State(artifacts={}, outcomes=[])
    taught: tuple[Taught, ...] = ()
    first = chain.plan.targets[0]
    for stage in chain.plan.network_stages():
        if stage.name == "distill":
            taught = _teachers(chain, first)
        teachers = tuple(one.teacher for one in taught) if stage.name == "distill" else ()
        result = chain.execute(stage, shared.artifacts, teachers)
        shared.artifacts[result.artifact.kind] = result.artifact
        measured = chain.measured(result.artifact, first)
        _note(chain, shared, Outcome(result=result, measured=measured, facts=network_facts_of(shared.artifacts)))
    return tuple(_for_target(chain, target, shared, taught, out) for target in chain.plan.targets)


def _note(chain: Chain, state: _State, outcome: Outcome) -> None:
    state.outcomes.append(outcome)
    chain.announce(outcome)


def _teachers(chain: Chain, target: Target) -> tuple[Taught, ...]:
    """Each teacher is its own network's baseline, trained with the teachers' schedule."""
    recipe = chain.plan.recipe
    stage = recipe.baseline.model_copy(update={"schedule": recipe.distill.teacher_schedule})
    found = []
    for parts in chain.plan.teachers:
        own = chain.about(parts)
        result = own.execute(stage, {})
        teacher = TrainedNetwork(source=parts.model, artifact=result.artifact)
        found.append(Taught(teacher=teacher, measured=own.measured(result.artifact, target), wall_s=result.wall_s))
        chain.progress.note(f"teacher {parts.model.name}: {100 * found[-1].measured.accuracy.value:.2f} %")
    return tuple(found)


def _for_target(chain: Chain, target: Target, shared: _State, taught: tuple[Taught, ...], out: Path | None) -> Deployed:
    plan = chain.plan
    state = _State(artifacts=dict(shared.artifacts), outcomes=list(shared.outcomes))
    if target is not plan.targets[0]:
        state.outcomes = [
            replace(outcome, measured=chain.measured(outcome.result.artifact, target)) for outcome in shared.outcomes
        ]
    dialect = target.dialect(this_machine())
    exported = chain.execute(ExportFor(**plan.recipe.export.model_dump(), dialects=(dialect,)), state.artifacts)
    state.artifacts[ArtifactKind.ONNX] = exported.artifact
    floats, int8 = state.outcomes[-1].measured, chain.measured(exported.artifact, target, source=qdq_model(dialect))
    facts = network_facts_of(state.artifacts)
    _note(chain, state, Outcome(result=exported, measured=int8, facts=facts))
    choice = choose_precision(plan.recipe.build.precision, floats, int8, plan.recipe.goal)
    source = qdq_model(dialect) if choice.precision == "int8" else FLOAT_MODEL
    stage = BuildFor(target=target.name, source=source, precision=choice.precision, builder=target)
    built = chain.execute(stage, state.artifacts)
    measured = chain.measured(built.artifact, target)
    _note(
        chain,
        state,
        Outcome(result=replace(built, notes=(choice.reason, *built.notes)), measured=measured, facts=facts),
    )
    folder = out or Path("deployments", _folder_name(plan.recipe.model), target.name)
    return _publish(chain, target, state, taught, folder)


def _publish(chain: Chain, target: Target, state: _State, taught: tuple[Taught, ...], folder: Path) -> Deployed:
    plan = chain.plan
    contents = Contents(
        model=plan.recipe.model,
        task=plan.parts.task.name,
        preprocess=plan.parts.preprocess,
        classes=plan.parts.dataset.classes,
        provenance={
            "stages": {outcome.result.stage: outcome.result.artifact.sha256 for outcome in state.outcomes},
            "model": plan.parts.model.identity(),
            "weights": plan.parts.weights.identity(),
            "data": {
                "name": plan.parts.dataset.name,
                **{split: plan.parts.dataset.split_identity(split) for split in ("train", "calibration", "test")},
            },
        },
    )
    bundle = write_bundle(state.outcomes[-1].result.artifact, target, this_machine(), contents, folder / "bundle")
    report = make_report(plan, target, state.outcomes, taught, bundle)
    write_atomically(folder / "recipe.yaml", dump_recipe(plan.recipe))
    written = write_reports(report, folder)
    return Deployed(report=report, folder=folder, files=(bundle.root, *written, folder / "recipe.yaml"))


def _folder_name(model: str) -> str:
    """A folder name for a model: its name, the factory of a user's file, with no separators."""
    return model.replace("\\", "/").rpartition(":")[2].replace("/", "-")
