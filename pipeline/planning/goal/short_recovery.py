"""What a network would come back to: a recovery of a few epochs on some of the training images, judged on others.

Before recovery, accuracy says nothing of what a network can learn to answer: one that lost pixels is hurt little and
one that lost channels answers next to nothing, and after it the second may be the better one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.data.dataset import judged_samples, rotating_samples
from pipeline.planning.trials import Trials
from pipeline.report.figures import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.data import Dataset
    from pipeline.planning.goal.outline import Outline
    from pipeline.report.choice_record import MeasuredChoice
    from pipeline.stage import Stage

__all__ = ["NO_PLAN_HELD", "ShortRecoveries", "Way"]

_EPOCHS = 4
"""At most: no more than the stages that recover are given, but two where two of them act."""
NO_PLAN_HELD = "no plan for it was measured to hold the goal"
_ITSELF = {"teachers": "itself", "weighting": "uniform"}
"""Whom they learn from: ways are compared, and other teachers would be asked about each size."""
_TRAINED_ON, _JUDGED_ON = 1024, 512
_SHARE_JUDGED = 0.3
"""Of a small training split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way to hold a goal.

    Attributes:
        outline: Size of the input and blocks that are gone.
        kept: Root layer to how many of its channels stay.
    """

    outline: Outline
    kept: Mapping[str, int]

    @property
    def channels_left(self) -> float:
        """Fraction of its outline's channels."""
        return sum(self.kept.values()) / max(1, sum(self.outline.all_channels.values()))


class ShortRecoveries:
    """Ways to hold a goal against each other.

    Args:
        chain: What is run; it says how its stages recover.
        network: Artifact of the unpruned network.
        asked: What is told of the goal: key of the recipe to what it says.
    """

    def __init__(self, chain: Chain, network: Artifact, asked: Mapping[str, str]) -> None:
        self._chain, self._network = chain, network
        plan = chain.plan
        recovering = (
            *((plan.recipe.downsample,) if plan.size_is_open else ()),
            *((plan.recipe.prune,) if "prune" not in plan.skipped else ()),
        )
        epochs = min([_EPOCHS, *(stage.schedule.epochs for stage in recovering)])
        # both of two stages take as many, and ways on which one acts as many as both
        self._epochs = max(2, epochs - epochs % 2) if len(recovering) > 1 else epochs
        what = f"{self._epochs} epoch{'s' * (self._epochs > 1)} on at most {_TRAINED_ON} training images"
        self._trials = Trials(f"ways to hold the goal, after {what} and judged by others", asked)
        self._found: dict[str, tuple[float, float, Way]] = {}

    def best(self, ways: Sequence[Way]) -> Way:
        """The one that comes back to most; recovers none where there is one alone."""
        if len(ways) == 1:
            return ways[0]
        new = [way for way in ways if way.outline.label not in self._found]
        with self._chain.progress.track("weighing ways to hold the goal", len(new)) as ticker:
            for way in new:
                with self._chain.phases.during("recovering ways to the goal", whole=True, apart=True):
                    accuracy, loss = self._recovered(way)
                label = way.outline.label
                figures = {"channels_left": way.channels_left, "accuracy": accuracy, "loss": loss}
                self._trials.note(label, "comes back to less", figures)
                self._found[label] = -accuracy, loss, way
                ticker.advance()
        return min(self._found.values(), key=lambda one: one[:2])[2]

    def choice(self, taken: Way, instead: str = "") -> MeasuredChoice | None:
        """What is told of it; None where there was one way alone.

        Args:
            taken: What came of it.
            instead: Why that is something else that was measured to hold the goal than what a plan for the way that
                comes back to most has led to; empty where it is that.
        """
        if not self._found:
            return None
        label = min(self._found, key=lambda one: self._found[one][:2])
        accuracy = percent(-self._found[label][0])
        reason = (
            f"{label} comes back to most, {accuracy} {self._chain.plan.parts.task.metric} on images it was not shown"
        )
        if taken.outline.label == label and not instead:
            self._trials.note(label, "taken")
            return self._trials.choice(label, reason)
        self._trials.note(label, f"comes back to most, but {instead or NO_PLAN_HELD}")
        if taken.outline.label == label:
            told = "something else of that size and depth is taken that was measured to hold it"
            return self._trials.choice(label, f"{reason}; as {instead}, {told}")
        label = taken.outline.label
        self._trials.note(label, "taken, since it was measured to hold the goal")
        return self._trials.choice(label, f"{reason}; as {instead or NO_PLAN_HELD}, {label} is taken")

    def accuracy(self, way: Way) -> float | None:
        """What a way came back to; None where exactly that was not recovered."""
        accuracy, _, known = self._found.get(way.outline.label, (0.0, 0.0, None))
        return -accuracy if known is not None and known == way else None

    def _recovered(self, way: Way) -> tuple[float, float]:
        """Accuracy and loss (nats) of a way; each takes as many steps, half of them for each stage where both act."""
        chain, network = self._chain, self._network
        parts, recipe = chain.plan.parts, chain.plan.recipe
        size, fewer, gone = way.outline.size, way.outline.fewer(way.kept), way.outline.gone
        shrinks, prunes = size != parts.preprocess.size, bool(fewer or gone)
        own = chain.about(replace(parts, dataset=_some_images(parts.dataset)))
        epochs = self._epochs // 2 if shrinks and prunes else self._epochs
        stages: list[Stage] = []
        if shrinks:
            schedule = recipe.downsample.schedule.model_copy(update={"epochs": epochs})
            stages.append(recipe.downsample.model_copy(update={"size": size, "schedule": schedule, **_ITSELF}))
        if prunes:
            schedule = recipe.prune.schedule.model_copy(update={"epochs": epochs})
            update = {"schedule": schedule, "rounds": 1, **_ITSELF}
            stages.append(recipe.prune.within(fewer, gone).model_copy(update=update))
        for stage in stages:
            network = own.execute(stage, {ArtifactKind.NETWORK: network}).artifact
            if stage.name == "downsample":
                own = own.fed(parts.preprocess.at(size))
        return _judged(own, network)


def _some_images(dataset: Dataset) -> Dataset:
    """Few training images, and others to judge by: those held back where there are such; a single one is both."""
    judged = judged_samples(dataset.validation or dataset.train, _count_judged(dataset))
    names = {sample.name for sample in judged}
    others = [sample for sample in dataset.train if sample.name not in names]
    return replace(dataset, train=rotating_samples(others or dataset.train, _TRAINED_ON), validation=judged)


def _count_judged(dataset: Dataset) -> int:
    return min(_JUDGED_ON, len(dataset.validation) or max(1, int(_SHARE_JUDGED * len(dataset.train))))


def _judged(chain: Chain, network: Artifact) -> tuple[float, float]:
    """Accuracy and loss on the images held back."""
    from pipeline.models.files import load_network
    from pipeline.training.validation import Validation

    parts = chain.plan.parts
    loaded = load_network(network.root, parts.model)
    samples = parts.dataset.validation
    outputs = Validation(samples, parts.preprocess, parts.task, chain.progress).outputs(loaded)
    return parts.task.score(outputs, samples).value, parts.task.mean_loss(outputs, samples)
