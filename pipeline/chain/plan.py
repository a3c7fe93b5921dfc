"""From a recipe to a plan: every name looked up, every default filled in, every mistake told before work starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.workers.workplace import HERE
from exporters.auto import AUTO
from pipeline.catalog import task_named
from pipeline.chain.goal_checks import check_plannable, goal_decides_depth, goal_decides_size
from pipeline.chain.preprocessing import preprocess_of
from pipeline.chain.skipped_stages import check_asked, skipped_stages
from pipeline.chain.slow_bf16 import slow_bf16
from pipeline.chain.targets import cannot_run, targets_of
from pipeline.chain.task_defaults import for_task
from pipeline.chain.teachers import answer_files, named_teachers, teacher_parts
from pipeline.data.balance import imbalance
from pipeline.data.boxed.layouts import LAYOUTS
from pipeline.data.check import check_images
from pipeline.data.coverage import unscored
from pipeline.data.open import is_folder, open_dataset, task_of
from pipeline.errors import DataError, UsageError
from pipeline.measuring.bundle_images import remember_dataset
from pipeline.models.backbone import with_backbone
from pipeline.models.resolve import PINNED, resolve_model, resolve_weights
from pipeline.models.ssdlite_tail import with_tail_of
from pipeline.preprocess_section import InputSection
from pipeline.pruning.kernel_width import kernel_width
from pipeline.stages.answers import AskTeacher, TakeAnswers
from pipeline.stages.build import BuildFor
from pipeline.stages.calibrate import CalibrateGraph
from pipeline.stages.import_onnx import ImportOnnx
from pipeline.subject import Parts
from pipeline.tasks.distillation.teaching import INSIDE
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.workers.workplace import Workplace
    from exporters.target import Precision, Target
    from pipeline.artifact import Json
    from pipeline.data import Dataset
    from pipeline.environment import Machine
    from pipeline.models import ModelSource, WeightsSource
    from pipeline.preprocess import PreprocessSpec, Renormalisation
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe
    from pipeline.stage import Stage
    from pipeline.stages.distill import Distill
    from pipeline.stages.recovery import Recovering
    from pipeline.store import Store
    from pipeline.tasks import Task
    from pipeline.training.schedule import Schedule

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A run that is ready to go.

    Attributes:
        recipe: Fully resolved: valid input that leads to the same plan.
        parts: Model, weights, data, preprocessing and task.
        teachers: The same for each teacher's network.
        answer_files: Teachers of which only answers are known.
        targets: Where the bundles will run.
        fastest_only: Whether only the fastest of the targets gets a bundle: what ``auto`` asks for.
        skipped: Stages left out, each with its reason.
        assumed: What nobody said and the figures rest on, such as the preprocessing.
        notes: What else the user should know before it starts.
        place: Where everything is measured.
        machine: What the bundles are built for; that of the place where they are measured at all.
        doubts: Why a network may be fed otherwise than in its training, as far as that is known before the first stage.
        normalised_as_said: Networks for which the user said mean and standard deviation.
        sized_as_said: Networks for which the user said the size of the input, or whose size is that of embedded data.
        resized_as_said: Networks for which the user said how images are resized, or whose images are embedded data.
        size_opened_by_goal: Whether a smaller input is looked for though nobody but a goal asks for it.
    """

    recipe: Recipe
    parts: Parts
    teachers: tuple[Parts, ...]
    answer_files: tuple[TakeAnswers, ...]
    targets: tuple[Target, ...]
    fastest_only: bool
    skipped: Mapping[str, str]
    assumed: tuple[str, ...]
    notes: tuple[str, ...]
    place: Workplace
    machine: Machine
    doubts: tuple[str, ...] = ()
    normalised_as_said: tuple[Parts, ...] = ()
    sized_as_said: tuple[Parts, ...] = ()
    resized_as_said: tuple[Parts, ...] = ()
    size_opened_by_goal: bool = False

    def cannot_run(self, target: Target) -> str | None:
        """None when engines of a target can be measured where this plan measures; else the reason in one sentence."""
        return cannot_run(target, self.place, self.machine)

    def fed(self, preprocess: PreprocessSpec) -> Plan:
        """The same plan with its network fed otherwise."""
        return replace(self, parts=replace(self.parts, preprocess=preprocess))

    def network_stages(self) -> tuple[Stage, ...]:
        """The stages up to and with calibrate, which all targets share, in their order."""
        recipe = self.recipe
        if self.parts.model.origin == "onnx":
            return (ImportOnnx(opset=recipe.calibrate.opset), CalibrateGraph())
        smaller = (recipe.downsample,) if self.downsamples else ()
        stages: tuple[Stage, ...] = (recipe.baseline, recipe.distill, *smaller, recipe.prune, recipe.calibrate)
        return tuple(stage for stage in stages if stage.name not in self.skipped)

    @property
    def size_is_open(self) -> bool:
        """Whether a goal decides how large the input is."""
        return goal_decides_size(self.recipe, self.skipped)

    @property
    def baseline_as_distill(self) -> bool:
        """Whether the baseline is trained by the schedule of distill, by which the two students can be compared."""
        return self.recipe.baseline.schedule == _untaught(self.recipe.distill, self.skipped)

    @property
    def depth_is_open(self) -> bool:
        """Whether a goal decides how many residual blocks stay."""
        return goal_decides_depth(self.recipe, self.skipped)

    @property
    def downsamples(self) -> bool:
        """Whether input or maps are made smaller, or may be."""
        return "downsample" not in self.skipped and self.recipe.downsample.acts

    def question(self, lesson: Distill | Recovering) -> AskTeacher:
        """What each teacher is asked before a training of its student; of no image where nothing compares that."""
        if not lesson.compares_answers:
            return AskTeacher(views=0)
        return AskTeacher(views=lesson.schedule.asked_views, augment=lesson.schedule.augment)

    def renormalising(self, teacher: Parts) -> Renormalisation | None:
        """What a teacher that runs beside its student makes of what that is fed; None: it runs not, or wants it so."""
        own, theirs = self.parts.preprocess, teacher.preprocess
        beside = INSIDE.intersection(self.recipe.distill.losses) and theirs.channels == own.channels
        return own.renormalising(theirs) if beside else None

    def build_stage(
        self, target: Target, *, source: str, precision: Precision, options: Mapping[str, Json] | None = None
    ) -> BuildFor:
        """The stage that builds one of an ONNX artifact's files for a target, its input as the recipe wants it.

        Args:
            target: Where it will run.
            source: Which file.
            precision: What the engine computes in.
            options: Of the runtime, over the target's defaults.
        """
        section, parts = self.recipe.build, self.parts
        return BuildFor(
            target=target.name,
            source=source,
            precision=precision,
            options=dict(options or {}),
            folded=parts.preprocess if section.input == "uint8" else None,
            suppression=parts.task.suppression(len(parts.dataset.classes)) if section.nms == "graph" else None,
            builder=target,
        )


def make_plan(
    recipe: Recipe, store: Store, progress: Progress, *, place: Workplace = HERE, machine: Machine | None = None
) -> Plan:
    """Resolve everything a recipe names; cheap checks first, nothing is trained.

    Args:
        recipe: What is asked for.
        store: Where images and weights are kept.
        progress: Told of the work.
        place: Where everything is measured.
        machine: What the bundles are for; None: that of the place.

    Raises:
        UsageError: for whatever does not fit.
        DeviceError: when the device where it should be measured lacks something.
    """
    machine = machine or place.machine
    _check_measurable(recipe)
    targets = targets_of(recipe, progress, place, machine)
    model = replace(resolve_model(recipe.model), output=recipe.network.output)
    task = task_named(_task_of(recipe, model))
    model = replace(model, task=task.name)
    _check_output(recipe, model)
    recipe = for_task(recipe, task, model)
    _check_data(recipe, model, task)
    named = named_teachers(recipe, task)
    cache = store.root / "data"
    dataset = open_dataset(
        recipe.data.source,
        cache=cache,
        seed=recipe.seed,
        calibration_images=recipe.data.calibration_images,
        calibration_list=_path(recipe.data.calibration_list),
        test_list=_path(recipe.data.test_list),
        test_images=recipe.data.test_images,
        validation=recipe.data.validation,
        bad_boxes=recipe.data.bad_boxes,
        progress=progress,
    )
    _check_views(recipe, task)
    _check_suppression(recipe, task, len(dataset.classes))
    remember_dataset(store, dataset, recipe.data, seed=recipe.seed)
    weights = with_backbone(
        resolve_weights(recipe.weights, model, cache=cache, progress=progress),
        recipe.network.backbone,
        model,
        unwanted=recipe.weights == "none",
        cache=cache,
        progress=progress,
    )
    model = with_tail_of(model, weights)
    _check_trainable(recipe, dataset, weights)
    _check_expectation(recipe, targets, place, machine)
    told = check_images(dataset, progress, cache=cache)
    preprocess, assumed = preprocess_of(recipe, model, weights)
    skipped = skipped_stages(recipe, dataset, model, weights, task)
    check_asked(recipe, preprocess, skipped, task)
    check_plannable(recipe, targets, place, machine, skipped)
    parts = Parts(model=model, weights=weights, dataset=dataset, preprocess=preprocess, task=task)
    teachers = {
        teacher.text: teacher_parts(parts, teacher, recipe, cache, progress)
        for teacher in (() if "distill" in skipped else named)
    }
    embedded = (parts, *teachers.values()) if recipe.data.source == task.embedded else ()
    return Plan(
        recipe=_resolved(recipe, targets, parts, skipped, teachers, machine),
        parts=parts,
        teachers=tuple(teachers.values()),
        answer_files=() if "distill" in skipped else answer_files(recipe),
        targets=targets,
        fastest_only=AUTO in recipe.targets,
        skipped=skipped,
        assumed=assumed,
        notes=(
            *_weights_notes(model, weights),
            *told,
            *_data_notes(recipe, parts, skipped),
            *_precision_notes(recipe, parts, skipped),
        ),
        place=place,
        machine=machine,
        normalised_as_said=_said_of(recipe, parts, teachers, ("mean", "std")),
        sized_as_said=embedded or _said_of(recipe, parts, teachers, ("size",)),
        resized_as_said=embedded or _said_of(recipe, parts, teachers, ("resize",)),
        size_opened_by_goal=recipe.downsample.size is None and goal_decides_size(recipe, skipped),
    )


def _check_output(recipe: Recipe, model: ModelSource) -> None:
    """Refuse an output to be named where there is no choice."""
    if recipe.network.output is not None and (model.task == "detection" or model.origin == "torchvision"):
        kind = "a detector" if model.task == "detection" else "a classifier of torchvision"
        raise UsageError(
            f"{kind} has one answer", where="network.output", got=recipe.network.output, fix="leave it out"
        )


def _check_suppression(recipe: Recipe, task: Task, classes: int) -> None:
    """Refuse a suppression in the graph where nothing is suppressed."""
    if recipe.build.nms == "graph" and task.suppression(classes) is None:
        raise UsageError(
            f"a network for {task.name} has no boxes to suppress", where="build.nms", got="graph", fix="leave it out"
        )


def _check_expectation(recipe: Recipe, targets: tuple[Target, ...], place: Workplace, machine: Machine) -> None:
    """An accuracy that is expected has to be measured."""
    reasons = [f"{target.name}: {why}" for target in targets if (why := cannot_run(target, place, machine))]
    if recipe.goal.expect_accuracy is not None and len(reasons) == len(targets):
        raise UsageError(
            "an accuracy is expected, and no target can run here to measure it",
            got="; ".join(reasons),
            fix="add --target ort-cpu, or leave --expect-accuracy out",
        )


def _path(text: str | None) -> Path | None:
    return typed_path(text) if text else None


def _check_measurable(recipe: Recipe) -> None:
    """See that a measurement has enough samples to say how long an inference takes.

    Raises:
        UsageError: when it has fewer than its median needs.
    """
    from benchmarks.statistics.percentiles import NEEDED
    from pipeline.chain.engine_measurement import profile_of

    profile = profile_of(recipe.measure)
    if (count := profile.processes * profile.iterations) < NEEDED["p50"]:
        raise UsageError(
            "so few timed inferences tell no median",
            where="measure.iterations",
            got=f"{profile.iterations} in each of {profile.processes} process(es), {count} in all",
            expected=f"at least {NEEDED['p50']} in all",
            fix="raise measure.iterations or measure.processes, or leave them to the profile",
        )


def _check_trainable(recipe: Recipe, dataset: Dataset, weights: WeightsSource) -> None:
    if dataset.train or weights.origin != "scratch":
        return
    raise DataError(
        "there are neither weights nor training images",
        where=recipe.data.source,
        got=f"{len(dataset.test)} test images; {weights.reason}",
        expected="a folder with train/, or trained weights",
        fix="give the weights with --weights FILE",
    )


def _task_of(recipe: Recipe, model: ModelSource) -> str:
    """What the model is for; of a user's own one the recipe says it."""
    said = recipe.task if "task" in recipe.model_fields_set else model.task
    if model.origin == "onnx" and said == "detection":
        raise _no_onnx_detectors("task", said)
    if model.origin != "file" and said != model.task:
        raise UsageError(
            f"{model.name} is no network for {said}", where="task", expected=model.task, fix="leave task out"
        )
    return said


def _no_onnx_detectors(where: str, got: str) -> UsageError:
    return UsageError(
        "ONNX files of detectors are not taken, only of classifiers",
        where=where,
        got=got,
        expected="images by class, such as --data digits",
        fix="give a detector as its PyTorch network: path/to/file.py:factory with --set task=detection, or by its name",
    )


def _check_data(recipe: Recipe, model: ModelSource, task: Task) -> None:
    """Refuse data of another task, before any of it is read."""
    found = task_of(recipe.data.source)
    if model.origin == "onnx" and found == "detection":
        raise _no_onnx_detectors(recipe.data.source, "data with boxes")
    if found == "classification" and task.name == "detection" and is_folder(recipe.data.source):
        raise DataError(
            "the model is for detection, and no annotations of boxes are found in this folder",
            where=recipe.data.source,
            expected=LAYOUTS,
            fix="put the annotations there, or add --set task=classification, if this network is for classification"
            if model.origin == "file"
            else "put the annotations there, or see that --data is the folder that holds both them and the images",
        )
    if found is not None and found != task.name:
        raise DataError(
            f"the model is for {task.name}, the data is for {found}",
            where=recipe.data.source,
            expected=f"data for {task.name}, such as --data {task.embedded}",
            fix=f"add --set task={found}, if this network is for {found}" if model.origin == "file" else None,
        )


def _check_views(recipe: Recipe, task: Task) -> None:
    """Refuse views of images that their truth cannot follow."""
    of_task, of_objects = task.follows, task_named("classification").follows
    follows = {
        ("baseline", "schedule"): of_task,
        ("baseline", "objects_schedule"): of_objects,
        ("distill", "schedule"): of_task,
        ("distill", "teacher_schedule"): of_task,
        ("distill", "objects_schedule"): of_objects,
        ("downsample", "schedule"): of_task,
        ("prune", "schedule"): of_task,
    }
    for (stage, name), kinds in follows.items():
        schedule = getattr(getattr(recipe, stage), name)
        astray = sorted(set(schedule.augment if schedule else ()) - kinds)
        if astray:
            raise UsageError(
                f"{astray[0]} changes images so that their labels cannot follow",
                where=f"{stage}.{name}.augment",
                expected=f"some of {', '.join(sorted(kinds))}",
            )


def _settled_by(model: ModelSource) -> set[str]:
    """Keys of the input that an ONNX file decides and that no recipe may: it normalises bytes itself."""
    return {"mean", "std"} if model.image is not None and model.image.dtype == "uint8" else set()


def _resolved(
    recipe: Recipe,
    targets: tuple[Target, ...],
    parts: Parts,
    skipped: Mapping[str, str],
    teachers: Mapping[str, Parts],
    machine: Machine,
) -> Recipe:
    """The recipe with every default that depends on the model, the data and the machine filled in.

    Where a measurement has to choose between targets, ``auto`` stays until it has.
    """
    preprocess = parts.preprocess
    downsample = recipe.downsample
    if goal_decides_size(recipe, skipped):
        downsample = downsample.model_copy(update={"size": "auto"})
    prune = recipe.prune
    if goal_decides_depth(recipe, skipped):
        prune = prune.model_copy(update={"blocks": "auto"})
    elif prune.blocks is None:
        prune = prune.model_copy(update={"blocks": 0})
    in_steps = recipe.goal.latency is not None and all(target.on_cpu for target in targets)
    if in_steps and "round_to" not in prune.model_fields_set and "prune" not in skipped:
        prune = prune.model_copy(update={"round_to": kernel_width(machine)})
    distill = recipe.distill.model_copy(
        update={
            "teachers": recipe.distill.teachers or parts.task.teachers or None,
            "teacher_input": {
                text: InputSection.model_validate(own.preprocess.model_dump())
                for text, own in teachers.items()
                if own.preprocess != preprocess
            },
        }
    )
    baseline = recipe.baseline
    if baseline.schedule is None:
        baseline = baseline.model_copy(update={"schedule": _untaught(distill, skipped)})
    weights = _pinned(parts.weights) or recipe.weights
    network = recipe.network.model_copy(update={"backbone": _pinned(parts.weights.backbone) or recipe.network.backbone})
    return recipe.model_copy(
        update={
            "weights": weights,
            "network": network,
            "targets": (targets[0].name,) if recipe.targets == (AUTO,) and len(targets) == 1 else recipe.targets,
            "input": InputSection.model_validate(preprocess.model_dump(exclude=_settled_by(parts.model))),
            "baseline": baseline,
            "distill": distill,
            "downsample": downsample,
            "prune": prune,
            "skip": tuple(sorted(skipped)),
        }
    )


def _untaught(distill: Distill, skipped: Mapping[str, str]) -> Schedule:
    """How the baseline is trained where it has no schedule of its own: as distill trains the same network.

    On the same views too, so that what distillation brings is the teachers' doing alone.
    """
    return distill.schedule if "distill" in skipped else distill.seen


def _said_of(recipe: Recipe, parts: Parts, teachers: Mapping[str, Parts], keys: tuple[str, ...]) -> tuple[Parts, ...]:
    """Those networks of whose input the user gave these keys."""
    said = [(parts, recipe.input)]
    said += [(teachers[text], own) for text, own in recipe.distill.teacher_input.items() if text in teachers]
    return tuple(one for one, own in said if all(getattr(own, key) is not None for key in keys))


def _pinned(weights: WeightsSource | None) -> str | None:
    """How published weights are named so that nothing else takes their place; None for others."""
    return f"{PINNED}{weights.file_sha256}" if weights and weights.origin == "pretrained" else None


def _data_notes(recipe: Recipe, parts: Parts, skipped: Mapping[str, str]) -> tuple[str, ...]:
    """What of the classes is told: to all, and to those whose networks learn from them."""
    dataset = parts.dataset
    smaller = ("downsample",) if recipe.downsample.acts or goal_decides_size(recipe, skipped) else ()
    alone = ("baseline",) if parts.weights.origin == "scratch" else ()
    learning = next((stage for stage in ("distill", *smaller, "prune", *alone) if stage not in skipped), None)
    uneven = imbalance(dataset, learning) if learning else None
    return tuple(told for told in (unscored(dataset), uneven) if told)


def _precision_notes(recipe: Recipe, parts: Parts, skipped: Mapping[str, str]) -> tuple[str, ...]:
    """What makes trainings slow on this machine; nothing where nothing is trained."""
    trains = bool(parts.dataset.train) and parts.model.origin != "onnx"
    slow = slow_bf16(recipe, skipped, comes_trained=parts.weights.origin != "scratch") if trains else None
    return () if slow is None else (slow,)


def _weights_notes(model: ModelSource, weights: WeightsSource) -> tuple[str, ...]:
    missing = [one.reason for one in (weights, weights.backbone) if one and one.origin == "scratch" and one.reason]
    return tuple(f"{model.name}: {reason}" for reason in missing)
