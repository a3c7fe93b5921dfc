"""The chain: every stage in its order, measured after each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.chain.chain import Chain, network_facts_of
from pipeline.chain.teachers import in_named_order
from pipeline.errors import DeviceError, EdgewrightError, GoalError, ResourceError
from pipeline.planning.fastest_target import Contender, fastest
from pipeline.planning.goal.stored_goal_search import as_planned, plan_for_goal, planning_targets, waits_for_goal
from pipeline.planning.int8_candidate import export_of
from pipeline.planning.stored_int8_search import decide
from pipeline.planning.untimed_target import decide_unmeasured
from pipeline.runner.baseline_doubts import check_expectation, doubt_of_teacher
from pipeline.runner.output_folder import check_results_folder
from pipeline.runner.preflight import preflight
from pipeline.runner.publish import Deployed, Made, publish
from pipeline.runner.replaced_report import told_of_another_machine
from pipeline.runner.report_rows import Outcome, Taught
from pipeline.stage import Teacher, TrainedNetwork
from pipeline.stages.distill import Distill
from pipeline.stages.downsample import Downsample
from pipeline.stages.recovery import Recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.execution import StageResult
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.planning.goal.goal_plan import GoalPlan

__all__ = ["Finished", "deploy", "finished", "folder_name"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What one target got, before it is published.

    Attributes:
        chain: The run, fed as what is shipped is fed.
        artifacts: The newest of each kind on the way to the target's engine.
    """

    chain: Chain
    target: Target
    made: Made
    artifacts: Mapping[ArtifactKind, Artifact]


def deploy(chain: Chain, *, out: Path | None, shelf: Shelf | None = None) -> tuple[Deployed, ...]:
    """Run the plan and publish what each target gets as soon as it is there.

    Args:
        chain: What to do, and where the work goes.
        out: Folder of the (single) target's results; default ``deployments/<model>/<target>``.
        shelf: Accepted baselines; where one of the case is among them, the gate is run against it.

    Raises:
        UsageError: when results would take the place of what is not an earlier run's, or of what the run reads.
    """
    folders = {
        target.name: out or Path("deployments", folder_name(chain.plan.recipe.model), target.name)
        for target in chain.plan.targets
    }
    if out is None:
        for folder in folders.values():
            if (told := told_of_another_machine(folder, chain.plan.place)) is not None:
                chain.progress.note(told)
    for folder in folders.values():
        check_results_folder(folder, chain.plan)
    chain = preflight(chain)
    chain.store.sweep()
    return tuple(publish(one.chain, one.target, one.made, folders[one.target.name], shelf) for one in finished(chain))


def finished(chain: Chain) -> Iterator[Finished]:
    """Run the plan: the shared stages once, then each target's own; of several for ``auto`` only the fastest comes."""
    artifacts: dict[ArtifactKind, Artifact] = {}
    shared = Made()
    targets = list(chain.plan.targets)
    first = next((target for target in targets if not chain.plan.cannot_run(target)), targets[0])
    for stage in chain.plan.network_stages():
        teachers: tuple[Teacher, ...] = ()
        if isinstance(stage, Distill):
            with chain.phases.during("teachers", whole=True):
                shared.taught = _teachers(chain, first)
                teachers = shared.teachers = _asked(chain, shared.taught, stage)
        if waits_for_goal(chain.plan, stage):
            if shared.goal is None:
                shared.planned_from = artifacts[ArtifactKind.NETWORK].sha256
                shared.goal, refused = _planned(chain, artifacts[ArtifactKind.NETWORK])
                targets = [target for target in targets if target not in refused]
            planned = as_planned(stage, shared.goal)
            if planned is None:
                continue
            stage = planned  # noqa: PLW2901 - the stage with what was planned
        if isinstance(stage, Recovering) and stage.teachers == "all":
            with chain.phases.during("teachers", whole=True):
                teachers = _asked(chain, shared.taught, stage)
        result = chain.execute(stage, artifacts, teachers)
        artifacts[result.artifact.kind] = result.artifact
        if isinstance(stage, Downsample) and stage.height_and_width:
            chain = chain.fed(chain.plan.parts.preprocess.at(stage.height_and_width))
        measured = _measured(chain, result.artifact, first)
        if stage.name == "baseline" and measured is not None:
            check_expectation(chain.plan, measured)
        _note(chain, shared, _outcome(chain, result, measured, network_facts_of(artifacts)))
    for_target = partial(_for_target, chain, shared=shared, common=artifacts, measured_on=first)
    if chain.plan.fastest_only:
        yield _fastest(chain, _able(chain, targets, for_target))
    else:
        yield from map(for_target, targets)


def _outcome(chain: Chain, result: StageResult, measured: Measured | None, facts: Mapping[str, int]) -> Outcome:
    return Outcome(result=result, measured=measured, preprocess=chain.plan.parts.preprocess, facts=facts)


def _planned(chain: Chain, network: Artifact) -> tuple[GoalPlan, list[Target]]:
    """How many pixels and channels stay so that the goal holds, on the first target on which it can be planned.

    With the targets on which it cannot, which were asked before it.

    Raises:
        GoalError: when it cannot be held; of the candidates of ``auto`` on none, with what was said of the first.
        UsageError: when the system does not tell what would have to be measured.
    """
    said: GoalError | None = None
    refused: list[Target] = []
    for target in planning_targets(chain.plan):
        try:
            with chain.phases.during("planning for the goal", whole=True):
                found = plan_for_goal(chain, target, network)
        except GoalError as error:
            said = said or error
            refused.append(target)
            chain.progress.note(f"goal: not on {target.name}: {error.got}")
            continue
        chain.progress.note(f"goal: {found.networks.reason}")
        return found, refused
    assert said is not None  # noqa: S101 - there is a target
    raise said


def _able(chain: Chain, targets: Sequence[Target], for_target: Callable[[Target], Finished]) -> list[Finished]:
    """What the candidates of ``auto`` got; one that its runtime or the goal refuses leaves the others in.

    Raises:
        EdgewrightError: that of the last one, when none is left.
        DeviceError: when the device was lost, which says nothing of the candidate.
        ResourceError: when disk or memory ran out, likewise.
    """
    found: list[Finished] = []
    for number, target in enumerate(targets, 1):
        try:
            found.append(for_target(target))
        except (DeviceError, ResourceError):
            raise
        except EdgewrightError as error:
            if number == len(targets) and not found:
                raise
            chain.progress.note(f"target auto: without {target.name}: {error.what}; {error.got}")
    return found


def _fastest(chain: Chain, candidates: Sequence[Finished]) -> Finished:
    """The one whose engine is fastest here; its last row tells the comparison."""
    contenders = [Contender(target=one.target, engine=one.artifacts[ArtifactKind.ENGINE]) for one in candidates]
    number, told = fastest(chain, contenders)
    won = candidates[number]
    if told:
        reason = f"target auto: {won.target.name} is shipped, since {told}"
        chain.progress.note(reason)
        built = won.made.outcomes[-1]
        won.made.outcomes[-1] = replace(built, result=replace(built.result, notes=(*built.result.notes, reason)))
    return won


def _measured(
    chain: Chain, artifact: Artifact, target: Target, *, source: str = FLOAT_MODEL, precision: Precision = "float"
) -> Measured | None:
    """What the artifact is on the target; None when that cannot run where the plan measures."""
    if chain.plan.cannot_run(target):
        return None
    return chain.measured(artifact, target, source=source, precision=precision)


def _note(chain: Chain, made: Made, outcome: Outcome) -> None:
    made.outcomes.append(outcome)
    chain.announce(outcome)


def _asked(chain: Chain, taught: Sequence[Taught], lesson: Distill | Recovering) -> tuple[Teacher, ...]:
    """The teachers, as they are named, with what they say of every view that the student will see in a training."""
    found = []
    for parts, one in zip(chain.plan.teachers, taught, strict=True):
        answers = chain.about(parts).execute(chain.plan.question(lesson), {ArtifactKind.NETWORK: one.teacher.artifact})
        found.append(
            Teacher(
                name=parts.model.name,
                answers=answers.artifact,
                network=one.teacher,
                renormalised=chain.plan.renormalising(parts),
            )
        )
    files = [Teacher(name=one.file.stem, answers=chain.execute(one, {}).artifact) for one in chain.plan.answer_files]
    return tuple(in_named_order(chain.plan.recipe.distill.teachers or (), found, files))


def _teachers(chain: Chain, target: Target) -> tuple[Taught, ...]:
    """Each teacher is its own network's baseline, trained with the teachers' schedule."""
    recipe = chain.plan.recipe
    stage = recipe.baseline.model_copy(update={"schedule": recipe.distill.teacher_schedule})
    found = []
    for parts in chain.plan.teachers:
        own = chain.about(parts)
        result = own.execute(stage, {})
        teacher = TrainedNetwork(source=parts.model, artifact=result.artifact)
        measured = _measured(own, result.artifact, target)
        doubt = doubt_of_teacher(parts, result.artifact, measured)
        found.append(Taught(teacher=teacher, measured=measured, wall_s=result.wall_s, doubt=doubt))
        told = "trained" if measured is None else f"{100 * measured.accuracy.value:.2f} %"
        chain.progress.note(f"teacher {parts.model.name}: {told}")
        if doubt is not None:
            chain.progress.note(f"doubt: {doubt}")
    return tuple(found)


def _for_target(
    chain: Chain, target: Target, *, shared: Made, common: Mapping[ArtifactKind, Artifact], measured_on: Target
) -> Finished:
    """Export and build for one target; what was measured on another target is measured on this one."""
    plan, artifacts = chain.plan, dict(common)
    if len(plan.targets) > 1:
        chain.progress.note(f"for {target.name}")
    made = replace(shared, outcomes=list(shared.outcomes))
    if target.name != measured_on.name:
        made.outcomes = [
            replace(outcome, measured=_measured(chain.fed(outcome.preprocess), outcome.result.artifact, target))
            for outcome in shared.outcomes
        ]
    facts = network_facts_of(artifacts)
    floats = _measured(chain, artifacts[ArtifactKind.CALIBRATION], target)
    with chain.phases.during("looking for the INT8 form", whole=True):
        settled = None if shared.goal is None else shared.goal.settled_for(target)
        decision = (
            decide(chain, target, artifacts, floats, settled) if floats else decide_unmeasured(chain, target, artifacts)
        )
    made.decision = decision
    exported = chain.execute(export_of(plan, decision.candidate), artifacts)
    artifacts[ArtifactKind.ONNX] = exported.artifact
    int8 = _measured(chain, exported.artifact, target, source=decision.candidate.file, precision="int8")
    _note(chain, made, _outcome(chain, exported, int8, facts))
    build = plan.build_stage(
        target,
        source=decision.candidate.source(decision.precision),
        precision=decision.precision,
        options=decision.options,
    )
    built = chain.execute(build, artifacts)
    artifacts[ArtifactKind.ENGINE] = built.artifact
    built = replace(built, notes=(decision.choice.reason, *built.notes))
    _note(chain, made, _outcome(chain, built, _measured(chain, built.artifact, target), facts))
    return Finished(chain=chain, target=target, made=made, artifacts=artifacts)


def folder_name(model: str) -> str:
    """A folder name for a model: its name, the factory of a user's file, with no separators."""
    if model.endswith(".onnx"):
        return Path(model).stem
    return model.replace("\\", "/").rpartition(":")[2].replace("/", "-")
