"""What a run leaves: the bundle, judged where there is a baseline, and the reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporters.bundle import Contents, write_bundle
from exporters.provenance import Step
from pipeline.artifact import ArtifactKind
from pipeline.errors import EdgewrightError
from pipeline.gate.against_baselines import judge
from pipeline.gate.baselines.shelf import case_of
from pipeline.gate.report import with_judgement
from pipeline.gate.two_bundles import GateOptions
from pipeline.models.one_file import NETWORK_FILE, network_file
from pipeline.planning.given_decisions import DECISIONS, Decisions
from pipeline.recipe.places import names_alone, without_home
from pipeline.recipe.reading import dump_recipe
from pipeline.report.render import write_reports
from pipeline.report.training_files import write_tensorboard
from pipeline.runner.baseline_doubts import doubts_of
from pipeline.runner.ensemble_or_student import ensemble_entry
from pipeline.runner.goal_report import goal_entry, with_goal
from pipeline.runner.measured_ensemble import answers_alone, measured_ensemble, weighed_otherwise
from pipeline.runner.output_folder import BUNDLE, CURVES, RECIPE
from pipeline.runner.report_rows import make_report
from pipeline.runner.speedup import speedup
from pipeline.runner.students import comes_trained, students_of_all_seeds, trained_otherwise
from pipeline.store import ANOTHER_OUT, room_for, write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.gate.against_baselines import Judgement
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.planning.int8_decision import Decision
    from pipeline.report import Report
    from pipeline.report.goal_record import GoalEntry
    from pipeline.report.record import EnsembleEntry
    from pipeline.runner.report_rows import Outcome, Taught
    from pipeline.stage import Teacher

__all__ = ["Deployed", "Made", "publish"]

_REPORTS_BYTES = 1 << 20
"""With pictures, roomily."""


@dataclass(kw_only=True, slots=True)
class Made:
    """How far a run has come.

    Attributes:
        outcomes: Every stage's.
        taught: The teachers as networks.
        teachers: The same with what they say.
        decision: On INT8.
        goal: The plan for it.
        planned_from: Hash of the network that was planned for.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    taught: tuple[Taught, ...] = ()
    teachers: tuple[Teacher, ...] = ()
    decision: Decision | None = None
    goal: GoalPlan | None = None
    planned_from: str | None = None

    def of(self, stage: str) -> Artifact:
        """What a stage that ran has made."""
        return next(one.result.artifact for one in self.outcomes if one.result.stage == stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """What one target got.

    Attributes:
        folder: Holds the bundle, the reports and the recipe.
        files: What was written, for people to open.
        exit_code: 8 where a goal that is required is missed; 1 or 8 when the gate against the accepted baseline shows a
            regression; else 0.
    """

    report: Report
    folder: Path
    files: tuple[Path, ...]
    exit_code: int = 0


def publish(chain: Chain, target: Target, made: Made, folder: Path, shelf: Shelf | None) -> Deployed:
    """Write bundle, recipe, decisions and reports into ``folder``.

    Args:
        chain: The run.
        target: Whose results these are.
        made: Everything that was made and measured.
        folder: Written to.
        shelf: Accepted baselines; the gate's verdict comes first in the report where one of the case is there.

    Raises:
        ParityError: when an earlier run was to be reproduced, and another bundle came out.
    """
    plan = chain.plan
    splits = {split: plan.parts.dataset.split_identity(split) for split in ("train", "calibration", "test")}
    doubts = doubts_of(plan, made.outcomes)
    contents = Contents(
        model=plan.recipe.model,
        task=plan.parts.task.name,
        preprocess=plan.parts.preprocess,
        classes=plan.parts.dataset.classes,
        provenance={
            "stages": {outcome.result.stage: outcome.result.artifact.sha256 for outcome in made.outcomes},
            "model": plan.parts.model.identity(),
            "weights": plan.parts.weights.identity(),
            "data": {"name": plan.parts.dataset.name, **splits},
        },
        answers=made.of("calibrate").facts["answers"],
        assumed=plan.assumed,
        doubts=doubts,
        steps=[
            Step(stage=one.stage, decided_by=names_alone(dict(one.decided_by)), sha256=one.artifact.sha256)
            for one in (outcome.result for outcome in made.outcomes)
        ],
        versions=plan.place.versions(target.runtime),
    )
    with chain.phases.during("bundle"), chain.progress.track("writing the bundle", 0):
        engine, refuse = made.outcomes[-1].result.artifact, chain.given.refuse_another if chain.given else None
        bundle = write_bundle(engine, target, plan.machine, contents, folder / BUNDLE, refuse=refuse)
    assert made.decision is not None  # noqa: S101 - a target's run decides before it ends
    chosen = Decisions(
        target=target.name,
        calibration=made.of("calibrate").sha256,
        int8=made.decision,
        network=made.planned_from,
        goal=made.goal,
        bundle=bundle.sha256,
    )
    before, shipped = made.outcomes[0], made.outcomes[-1].result.artifact
    as_at_first = chain.fed(before.preprocess)
    with chain.phases.during("timing side by side", whole=True):
        goal = goal_entry(chain, target, made.outcomes, made.goal, made.decision.candidate)
        baseline = as_at_first.engine(before.result.artifact, target)
        faster = None if plan.cannot_run(target) else speedup(chain, target, baseline, shipped)
    together, untaught = _ensemble(as_at_first, target, made)
    with chain.phases.during("reports"), chain.progress.track("making the report", 0):
        report = make_report(
            plan, target, made.outcomes, made.taught, made.decision, bundle, doubts, faster, together, untaught, goal
        )
    report = with_goal(report, made.goal, chain, made.outcomes[-1])
    judgement, unjudged = None, None
    if shelf is not None and not plan.cannot_run(target) and shelf.history(case_of(bundle)) is not None:
        with chain.phases.during("gate", whole=True):
            try:
                judgement = judge(shelf, bundle, plan.parts.dataset, GateOptions(place=plan.place), chain.progress)
            except EdgewrightError as error:
                unjudged = error  # the bundle is there by now, and everything that says what it is has to be
        report = with_judgement(report, judgement) if judgement else report
    report = report.model_copy(update={"phases_s": dict(chain.phases.spent_s())})
    recipe = plan.recipe.model_copy(update={"targets": (target.name,)}) if plan.fastest_only else plan.recipe
    network = _network(made)
    if network is None:
        (folder / NETWORK_FILE).unlink(missing_ok=True)  # of another run
    else:
        with chain.phases.during("reports"), room_for("the network", folder, len(network)):
            write_atomically(folder / NETWORK_FILE, network)
    with (
        chain.phases.during("reports"),
        chain.progress.track("writing the reports", 0),
        room_for("the reports", folder, _REPORTS_BYTES),
    ):
        write_atomically(folder / RECIPE, dump_recipe(without_home(recipe)))
        write_atomically(folder / DECISIONS, chosen.to_text())
        written = (*write_reports(report, folder, fix=ANOTHER_OUT), *write_tensorboard(report, folder / CURVES))
    if unjudged is not None:
        raise unjudged
    return Deployed(
        report=report,
        folder=folder,
        files=(bundle.root, *written, folder / RECIPE, *([folder / NETWORK_FILE] if network else [])),
        exit_code=_exit_code(plan.recipe.goal.require, goal, judgement),
    )


def _network(made: Made) -> bytes | None:
    """The network that was exported, for its owner; None of an ONNX file, which is no network of PyTorch's."""
    networks = [one.result.artifact for one in made.outcomes if one.result.artifact.kind is ArtifactKind.NETWORK]
    return network_file(networks[-1].root) if networks else None


def _exit_code(required: Collection[str], goal: GoalEntry | None, judgement: Judgement | None) -> int:
    """What is shown decides, the gate first; a gate that could not tell leaves it to the goal."""
    if judgement is not None and judgement.deciding.exit_code in {1, 8}:
        return judgement.deciding.exit_code
    return 8 if goal is not None and not goal.met and "goal" in required else 0


def _ensemble(chain: Chain, target: Target, made: Made) -> tuple[EnsembleEntry | None, Measured | None]:
    """The teachers together beside the student, and the student without them.

    None where nothing was distilled or nothing can be measured.
    """
    outcomes = {one.result.stage: one for one in made.outcomes}
    baseline, distilled = outcomes.get("baseline"), outcomes.get("distill")
    if baseline is None or baseline.measured is None or distilled is None:
        return None, None
    alone = answers_alone(made.teachers)
    why_not = f"of {', '.join(alone)} only answers about training images are known" if alone else None
    with chain.phases.during("teachers", whole=True):
        ensemble = None if alone else measured_ensemble(chain, target, made.teachers)
        students = students_of_all_seeds(chain, target, made.teachers, baseline, distilled)
    entry = ensemble_entry(
        chain.plan.parts.task,
        ensemble,
        students,
        members=len(made.teachers),
        trained_again=comes_trained(chain.plan, baseline.result.artifact),
        why_not=why_not,
        other_schedule=trained_otherwise(chain.plan, baseline.result.artifact),
        other_weights=weighed_otherwise(chain.plan.recipe.distill),
    )
    return entry, students[0].untaught.measured
