"""Why a stage would run: which field changed since the nearest earlier run, without running anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pipeline.artifact import ArtifactKind
from pipeline.chain.execution import cached
from pipeline.chain.keys import changes, key_components
from pipeline.chain.teachers import in_named_order
from pipeline.planning.goal.goal_plan import GoalPlan
from pipeline.planning.goal.stored_goal_search import (
    GOAL,
    as_planned,
    goal_components,
    planning_targets,
    waits_for_goal,
)
from pipeline.planning.int8_candidate import export_of
from pipeline.planning.int8_decision import Decision
from pipeline.planning.stored_int8_search import SEARCH, decision_components
from pipeline.planning.stored_search import kept
from pipeline.planning.untimed_target import first_choice
from pipeline.runner.answers_file_trial import try_answer_files
from pipeline.runner.network_trial import Trial, known_trial
from pipeline.runner.plan_after_trials import plan_after_trials
from pipeline.runner.students import comes_trained
from pipeline.stage import Inputs, Teacher, TrainedNetwork
from pipeline.stages.distill import Distill
from pipeline.stages.downsample import Downsample
from pipeline.stages.recovery import Recovering
from pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.execution import StageResult
    from pipeline.chain.plan import Plan
    from pipeline.planning.int8_candidate import Candidate
    from pipeline.stage import Stage
    from pipeline.store import Store
    from pipeline.subject import Parts

__all__ = ["Explained", "explain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """What would happen to one stage, and why: a line for each change, or what it waits for."""

    stage: str
    status: Literal["cached", "would run", "skipped"]
    reasons: tuple[str, ...]


def explain(plan: Plan, store: Store) -> tuple[Explained, ...]:
    """Walk the chain as ``deploy`` would, looking results up instead of making them.

    Raises:
        UsageError: when an earlier trial found that the network cannot be pruned, and the goal requires that.
        WeightsError: when a file of answers does not fit.
        DataError: when one says nothing of an image or a class.
    """
    try_answer_files(plan, store)
    student = known_trial(plan, plan.parts, store, prune="prune" not in plan.skipped)
    if student is not None:
        others = [known_trial(plan, parts, store, prune=False) or Trial() for parts in plan.teachers]
        plan = plan_after_trials(plan, [student, *others])
    walk = _Walk(plan, store)
    told: list[Explained] = [
        Explained(stage=name, status="skipped", reasons=(reason,)) for name, reason in plan.skipped.items()
    ]
    for stage in plan.network_stages():
        teachers: tuple[Teacher, ...] = ()
        beside = walk.untaught() if isinstance(stage, Distill) else ()
        if isinstance(stage, Distill) or (isinstance(stage, Recovering) and stage.teachers == "all"):
            known, found = walk.teachers(stage)
            told += [one for one in found if one not in told]
            if known is None:
                told += [walk.waiting(stage, "its teachers have to be trained and asked first"), *beside]
                continue
            teachers = known
        look = walk.look_planned if waits_for_goal(plan, stage) else walk.look
        told += [look(stage, teachers), *beside]
    for target in plan.targets:
        told += walk.export_and_build(target)
    return tuple(told)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """What would be exported and built."""

    candidate: Candidate
    precision: Precision
    options: Mapping[str, Json] = field(default_factory=dict)


class _Walk:
    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store
        self._artifacts: dict[ArtifactKind, Artifact] = {}
        self._goal: GoalPlan | None = None
        self._unknown: dict[ArtifactKind, str] = {}
        """Kinds whose newest artifact would be made by a stage that has to run, with that stage's name."""

    def look(self, stage: Stage, teachers: tuple[Teacher, ...] = ()) -> Explained:
        for kind in stage.takes:
            if kind in self._unknown:
                return self.waiting(stage, f"its input comes from {self._unknown[kind]}, which would run")
        inputs = self._inputs(stage, self._plan.parts, teachers)
        found = cached(stage, inputs, self._store, seed=self._plan.recipe.seed)
        if isinstance(stage, Downsample) and stage.height_and_width:
            self._plan = self._plan.fed(self._plan.parts.preprocess.at(stage.height_and_width))
        if found is None:
            return self.waiting(stage, *self._reasons(stage, inputs))
        self._artifacts[stage.gives] = found.artifact
        self._unknown.pop(stage.gives, None)
        return Explained(stage=stage.name, status="cached", reasons=())

    def untaught(self) -> tuple[Explained, ...]:
        """The student without teachers, where it is trained for the comparison alone: beside weights that come trained.

        Asked between baseline and distill.
        """
        plan, name = self._plan, "student without teachers"
        if plan.parts.weights.origin == "scratch" or all(map(plan.cannot_run, plan.targets)):
            return ()
        if ArtifactKind.NETWORK in self._unknown:
            return (self._would_run(name, "unless the baseline has to be trained, which then is that student"),)
        if not comes_trained(plan, self._artifacts[ArtifactKind.NETWORK]):
            return ()
        stage = plan.recipe.distill.untaught()
        inputs = self._inputs(stage, plan.parts)
        return (self._told(name, stage, inputs, cached(stage, inputs, self._store, seed=plan.recipe.seed)),)

    def look_planned(self, stage: Stage, teachers: tuple[Teacher, ...]) -> Explained:
        """Downsample or prune, with what was planned for the goal: at the first of them, for both."""
        plan = self._plan
        if self._goal is None:
            if ArtifactKind.NETWORK in self._unknown:
                return self.look(stage, teachers)
            network = self._artifacts[ArtifactKind.NETWORK]
            every = [goal_components(plan, target, network) for target in planning_targets(plan)]
            found = (kept(GoalPlan, components, self._store) for components in every)
            self._goal = next((one for one in found if one is not None), None)
            if self._goal is None:
                return self.waiting(stage, *self._changes(GOAL, every[0]))
        planned = as_planned(stage, self._goal)
        if planned is None:
            return Explained(stage=stage.name, status="skipped", reasons=(self._goal.networks.reason,))
        return self.look(planned, teachers)

    def export_and_build(self, target: Target) -> tuple[Explained, Explained]:
        """A target's own two stages; without a decision on its form the search comes first."""
        own = "" if len(self._plan.targets) == 1 else f" for {target.name}"
        exported, form = self._export(target, f"export{own}")
        if form is None or exported.status != "cached":
            return exported, self._would_run(f"build{own}", "its input comes from export, which would run")
        stage = self._plan.build_stage(
            target, source=form.candidate.source(form.precision), precision=form.precision, options=form.options
        )
        return exported, replace(self.look(stage), stage=f"build{own}")

    def _export(self, target: Target, name: str) -> tuple[Explained, _Form | None]:
        calibration = self._artifacts.get(ArtifactKind.CALIBRATION)
        if calibration is None or ArtifactKind.CALIBRATION in self._unknown:
            maker = self._unknown.get(ArtifactKind.CALIBRATION, "calibrate")
            return self._would_run(name, f"its input comes from {maker}, which would run"), None
        if self._plan.cannot_run(target) is not None:  # nothing is searched for then, and nothing kept
            candidate, precision = first_choice(self._plan, target)
            form = _Form(candidate=candidate, precision=precision)
            return replace(self.look(export_of(self._plan, candidate)), stage=name), form
        settled = None if self._goal is None else self._goal.settled_for(target)
        components = decision_components(self._plan, target, calibration, settled)
        decision = kept(Decision, components, self._store)
        if decision is None:
            return self._would_run(name, *self._changes(SEARCH, components)), None
        form = _Form(candidate=decision.candidate, precision=decision.precision, options=decision.options)
        return replace(self.look(export_of(self._plan, decision.candidate)), stage=name), form

    def waiting(self, stage: Stage, *reasons: str) -> Explained:
        self._unknown[stage.gives] = stage.name
        return self._would_run(stage.name, *reasons)

    def _would_run(self, name: str, *reasons: str) -> Explained:
        return Explained(stage=name, status="would run", reasons=reasons)

    def teachers(self, lesson: Distill | Recovering) -> tuple[tuple[Teacher, ...] | None, list[Explained]]:
        """The teachers with their answers, None when one has to be trained or asked; and a line for each of them."""
        recipe = self._plan.recipe
        stage = recipe.baseline.model_copy(update={"schedule": recipe.distill.teacher_schedule})
        question = self._plan.question(lesson)
        networks: list[Teacher | None] = []
        files: list[Teacher | None] = []
        told = []
        for parts in self._plan.teachers:
            inputs = self._inputs(stage, parts)
            found = cached(stage, inputs, self._store, seed=recipe.seed)
            name = parts.model.name
            told.append(self._told(f"teacher {name}", stage, inputs, found))
            if found is None:
                networks.append(None)
                continue
            asked = Inputs(
                artifacts={ArtifactKind.NETWORK: found.artifact},
                subject=Subject(parts=parts).restricted(question.reads),
            )
            answers = cached(question, asked, self._store, seed=recipe.seed)
            told.append(self._told(f"answers of {name}", question, asked, answers))
            network = TrainedNetwork(source=parts.model, artifact=found.artifact)
            change = self._plan.renormalising(parts)
            networks.append(
                None
                if answers is None
                else Teacher(name=name, answers=answers.artifact, network=network, renormalised=change)
            )
        for taken in self._plan.answer_files:
            inputs = self._inputs(taken, self._plan.parts)
            found = cached(taken, inputs, self._store, seed=recipe.seed)
            told.append(self._told(f"answers of {taken.file.stem}", taken, inputs, found))
            files.append(None if found is None else Teacher(name=taken.file.stem, answers=found.artifact))
        ordered = in_named_order(recipe.distill.teachers or (), networks, files)
        known = tuple(one for one in ordered if one is not None)
        return (known if len(known) == len(ordered) else None), told

    def _told(self, name: str, stage: Stage, inputs: Inputs, found: StageResult | None) -> Explained:
        if found is not None:
            return Explained(stage=name, status="cached", reasons=())
        return Explained(stage=name, status="would run", reasons=self._reasons(stage, inputs))

    def _inputs(self, stage: Stage, parts: Parts, teachers: tuple[Teacher, ...] = ()) -> Inputs:
        return Inputs(
            artifacts={kind: self._artifacts[kind] for kind in stage.takes},
            subject=Subject(parts=parts).restricted(stage.reads),
            teachers=teachers,
        )

    def _reasons(self, stage: Stage, inputs: Inputs) -> tuple[str, ...]:
        return self._changes(stage.name, key_components(stage, inputs, seed=self._plan.recipe.seed))

    def _changes(self, name: str, now: Mapping[str, Json]) -> tuple[str, ...]:
        """What differs from the earlier run that differs least.

        One that read other parts was of another stage; one without teachers is no run of a student with some; and one
        for another target is none for this one.
        """
        earlier = [
            changes(record.components, now)
            for record in self._store.remembered(name)
            if record.components.get("subject", {}).keys() == now.get("subject", {}).keys()
            and bool(record.components.get("teachers")) == bool(now.get("teachers"))
            and record.components.get("target") == now.get("target")
        ]
        if not earlier:
            return ("it never ran",)
        nearest = min(earlier, key=len)
        return tuple(nearest) or ("its result is no longer in the store",)
