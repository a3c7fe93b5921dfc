"""The student learns from the teachers' answers as well as from the labels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline.artifact import ArtifactKind
from pipeline.preprocess_section import InputSection  # noqa: TC001 - pydantic reads annotations
from pipeline.stage import Made
from pipeline.stages.first_lesson import FirstLesson
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from pipeline.stage import Inputs, Teacher, Workspace
    from pipeline.training.beside import Beside
    from pipeline.training.images import TrainingImages
    from pipeline.training.loop import BatchLoss

__all__ = ["Distill"]


def _says_nothing(named: object) -> bool:
    """Whether a key is left as it is: it then decides nothing, and what was made before there was it stays."""
    return named is None


class Distill(Teaching, FirstLesson):
    """Distillation from one teacher or an ensemble into the network itself, starting where the baseline started."""

    name: ClassVar[str] = "distill"
    version: ClassVar[int] = 15
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "weights", "train", "validation", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "lightning-fabric", "pillow")

    teachers: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="to learn from: MODEL or MODEL@WEIGHTS, trained on the data first where its weights do not fit it, "
        "or a file of answers; default: two small networks, and no distillation where trained weights are given",
    )
    teacher_input: dict[str, InputSection] = Field(
        default={},
        description="how a teacher, as it is named in teachers, is fed where not as its published weights or the "
        "student want it: the keys of input",
    )
    teacher_classes: dict[str, str] | None = Field(
        default=None,
        exclude_if=_says_nothing,
        description="a file with the names of the classes, one a line, in the order in which a teacher, as it is named "
        "in teachers, answers; default: that of the data",
    )
    pairs: dict[str, str] | dict[str, dict[str, str]] | None = Field(
        default=None,
        exclude_if=_says_nothing,
        description="layers that 'features' and 'attention' compare, the student's to the teacher's, or such pairs for "
        "each teacher as it is named in teachers; default: the last ones of each resolution that both have",
    )
    teacher_schedule: Schedule = Schedule()
    schedule: Schedule = Schedule(epochs=8)

    def pairs_with(self, teacher: str) -> dict[str, str]:
        """The pairs of layers that are named for a teacher, the student's first; none: they are found by resolution."""
        named = self.pairs or {}
        own = named.get(teacher)
        if isinstance(own, dict):
            return own
        return {ours: theirs for ours, theirs in named.items() if isinstance(theirs, str)}

    @property
    def seen(self) -> Schedule:
        """The schedule, on those views of the images that the teachers are asked about.

        Where nothing is compared with their answers they are not, and each epoch has views of its own.
        """
        if self.compares_answers:
            return self.schedule.with_teachers()
        own = self.schedule.epochs if self.schedule.augment else 1
        return self.schedule.model_copy(update={"views": self.schedule.views or own})

    def untaught(self) -> Distill:
        """The same training with nobody to learn from: what a student with its teachers is compared with.

        Only what decides it is left, so that students of other teachers share it.
        """
        lesson = {name: getattr(self, name) for name in FirstLesson.model_fields}
        return Distill(schedule=self.seen, weight=0.0, **lesson)

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Train the student; write it. Where there is no teacher the labels alone are its loss.

        Raises:
            DataError: when there are no training images.
            UsageError: when layers or heads are to be compared and no teacher has any that fit.
        """
        from pipeline.models.files import save_network
        from pipeline.stages.start import network_facts, starting_network
        from pipeline.training.curve import curve_to_json
        from pipeline.training.images import TrainingImages
        from pipeline.training.loop import train
        from pipeline.training.validation import Validation

        subject = inputs.subject
        start = starting_network(inputs, work)
        images = TrainingImages(subject.train, subject.preprocess, work.progress, subject.task)
        lesson, told = ((), ()) if start.trained else self.teach_first(start.network, images, inputs, work)
        with self._loss(start.network, images, inputs) as loss:
            epochs = train(
                start.network,
                images,
                self.seen,
                loss,
                seed=work.seed,
                progress=work.progress,
                description=f"{'distilling' if inputs.teachers else 'training without teachers'} {subject.model.name}",
                kept=work.kept,
                validation=Validation.of(subject, work.progress),
            )
        save_network(start.network, subject.model, work.folder, classes=len(subject.classes))
        names = " and ".join(teacher.name for teacher in inputs.teachers)
        how = "taught" if names else "without teachers"
        training = (*lesson, curve_to_json(f"{subject.model.name}, {how}", epochs))
        note = (
            f"learned from {names}" if names else f"{subject.model.name}: trained for {len(epochs)} epochs on the data"
        )
        return Made(facts=network_facts(start.network, inputs, training), notes=(*told, note))

    def _beside(self, teachers: Sequence[Teacher]) -> list[Beside]:
        """What is to be known of each teacher that is a network; they stand as they are named."""
        from pipeline.training.beside import Beside

        texts = self.teachers or [teacher.name for teacher in teachers]
        weights = self.weighting if isinstance(self.weighting, tuple) else [1.0] * len(teachers)
        return [
            Beside(pairs=self.pairs_with(text), change=teacher.renormalised, weight=weight)
            for text, teacher, weight in zip(texts, teachers, weights, strict=True)
            if teacher.network is not None
        ]

    @contextmanager
    def _loss(self, network: nn.Module, images: TrainingImages, inputs: Inputs) -> Iterator[BatchLoss]:
        """What the student learns from; within it its layers may be watched."""
        from pipeline.training.cached_answers import TeacherAnswers
        from pipeline.training.inside_losses import inside_losses
        from pipeline.training.own_loss import own_loss
        from pipeline.training.student_loss import TaughtLoss

        task, smoothing = inputs.subject.task, self.schedule.label_smoothing
        if not inputs.teachers:
            yield own_loss(task, network, images, smoothing=smoothing)
            return
        answers = [TeacherAnswers.load(teacher.answers.root) for teacher in inputs.teachers]
        inside = inside_losses(
            self,
            network,
            lambda: _networks(inputs.teachers),
            images,
            self._beside(inputs.teachers),
        )
        try:
            yield TaughtLoss(task, network, images, answers, self, smoothing=smoothing, inside=inside)
        finally:
            if inside is not None:
                inside.release()


def _networks(teachers: Sequence[Teacher]) -> list[nn.Module]:
    """Those that are there: of some only answers are known."""
    from pipeline.models.files import load_network

    there = [teacher.network for teacher in teachers if teacher.network is not None]
    return [load_network(network.artifact.root, network.source) for network in there]
