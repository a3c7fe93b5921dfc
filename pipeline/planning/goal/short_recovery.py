"""What a network would come back to: a recovery of a few epochs on some of the training images, judged on others.

Before recovery, accuracy says nothing of what a network can learn to answer: one that lost pixels is hurt little and
one that lost channels answers next to nothing, and after it the second may be the better one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.data.dataset import rotating_samples
from pipeline.planning.goal.plan_record import WeighedSize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.data import Dataset
    from pipeline.stage import Stage

__all__ = ["weighed"]

_EPOCHS = 4
_TRAINED_ON, _JUDGED_ON = 1024, 512
_SHARE_JUDGED = 0.3
"""Of a small training split."""


def weighed(
    chain: Chain, network: Artifact, size: tuple[int, int], fewer: Mapping[str, int], left: float
) -> WeighedSize:
    """A network with a smaller input and fewer channels after a short recovery.

    Every way takes the same number of steps, half of them for each lever where both are pulled.

    Args:
        chain: What is run; it says how its stages recover.
        network: Artifact of the unpruned network.
        size: Height and width of the input.
        fewer: Root layer to how many of its channels stay, of those that lose some.
        left: Fraction of all channels that stay.
    """
    parts, recipe = chain.plan.parts, chain.plan.recipe
    shrinks = size != parts.preprocess.size
    own = chain.about(replace(parts, dataset=_some_images(parts.dataset)))
    epochs = _EPOCHS // 2 if shrinks and fewer else _EPOCHS
    stages: list[Stage] = []
    if shrinks:
        schedule = recipe.downsample.schedule.model_copy(update={"epochs": epochs})
        stages.append(recipe.downsample.model_copy(update={"size": size, "schedule": schedule}))
    if fewer:
        schedule = recipe.prune.schedule.model_copy(update={"epochs": epochs})
        update = {"channels": dict(fewer), "schedule": schedule, "rounds": 1}
        stages.append(recipe.prune.model_copy(update=update))
    for stage in stages:
        network = own.execute(stage, {ArtifactKind.NETWORK: network}).artifact
        if stage.name == "downsample":
            own = own.fed(parts.preprocess.at(size))
    accuracy, loss = _judged(own, network)
    return WeighedSize(size=size, channels_left=left, accuracy=accuracy, loss=loss)


def _some_images(dataset: Dataset) -> Dataset:
    """Few training images, and others to judge by: those held back where there are such."""
    judged = rotating_samples(dataset.validation or dataset.train, _count_judged(dataset))
    names = {sample.name for sample in judged}
    others = [sample for sample in dataset.train if sample.name not in names]
    return replace(dataset, train=rotating_samples(others, _TRAINED_ON), validation=judged)


def _count_judged(dataset: Dataset) -> int:
    return min(_JUDGED_ON, len(dataset.validation) or int(_SHARE_JUDGED * len(dataset.train)))


def _judged(chain: Chain, network: Artifact) -> tuple[float, float]:
    """Accuracy and loss on the images held back."""
    from pipeline.models.files import load_network
    from pipeline.training.validation import Validation

    parts = chain.plan.parts
    loaded = load_network(network.root, parts.model)
    samples = parts.dataset.validation
    outputs = Validation(samples, parts.preprocess, parts.task, chain.progress).outputs(loaded)
    return parts.task.score(outputs, samples).value, parts.task.mean_loss(outputs, samples)
