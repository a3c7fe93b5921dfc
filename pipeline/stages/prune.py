"""Whole channels go, and the network learns to do without them from what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveInt

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace

__all__ = ["Prune"]


class Prune(Teaching):
    """Structured pruning with recovery: the dense network is the teacher of the pruned one."""

    name: ClassVar[str] = "prune"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "train", "validation", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "torch-pruning", "lightning-fabric", "pillow")

    ratio: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="fraction of the channels that go")
    rounds: PositiveInt = Field(default=1, description="the channels go in so many steps, each with its recovery")
    round_to: PositiveInt = Field(default=8, description="channel numbers stay multiples of this: what kernels like")
    schedule: Schedule = Schedule(epochs=10)

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Prune, recover; write the network.

        Raises:
            DataError: when there are no training images to recover with.
            EdgewrightError: when nothing could be pruned.
        """
        from pipeline.models.files import load_network, save_network
        from pipeline.stages.channels import ChannelPruner
        from pipeline.stages.start import network_facts
        from pipeline.training.curve import curve_to_json
        from pipeline.training.feature_pairs import feature_losses
        from pipeline.training.images import TrainingImages
        from pipeline.training.logits import reader_of_logits
        from pipeline.training.loop import train
        from pipeline.training.teacher_answers import ask
        from pipeline.training.teaching import TaughtLoss
        from pipeline.training.validation import Validation

        subject = inputs.subject
        folder = inputs.artifacts[ArtifactKind.NETWORK].root
        images = TrainingImages(subject.train, subject.preprocess, work.progress)
        dense, network = (load_network(folder, subject.model) for _ in range(2))
        before = network_facts(dense, inputs)
        said = ask(
            dense,
            reader_of_logits(subject.task, dense, images),
            images,
            views=self.schedule.asked_views,
            augment=self.schedule.augment,
            batch_size=4 * self.schedule.batch_size,
            precision=self.schedule.precision,
            progress=work.progress,
            kept=work.kept,
        )
        schedule = self.schedule.with_teachers()
        pruner = ChannelPruner(
            network,
            input_shape=subject.preprocess.shape,
            outputs=subject.model.last_outputs(len(subject.classes)),
            ratio=self.ratio,
            rounds=self.rounds,
            round_to=self.round_to,
        )
        curves: list[Json] = []
        validation = Validation.of(subject, work.progress)
        for number in range(1, self.rounds + 1):
            pruner.step()
            features = feature_losses(self, network, lambda: [dense], images)
            loss = TaughtLoss(
                subject.task, network, images, [said], self, smoothing=schedule.label_smoothing, features=features
            )
            suffix = f" ({number}/{self.rounds})" if self.rounds > 1 else ""
            epochs = train(
                network,
                images,
                schedule,
                loss,
                seed=work.seed + number,
                progress=work.progress,
                description=f"recovering {subject.model.name}{suffix}",
                kept=work.kept,
                validation=validation,
            )
            curves.append(curve_to_json(f"{subject.model.name}, pruned{suffix}", epochs))
            if features is not None:
                features.release()
        save_network(network, subject.model, work.folder, classes=len(subject.classes))
        facts = network_facts(network, inputs, curves)
        note = f"parameters {before['params'] / 1e6:.2f} M -> {facts['params'] / 1e6:.2f} M"
        return Made(facts=facts, notes=(note,))
