"""A teacher's answers written to a file, for a student elsewhere: the network stays here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chain.chain import Chain

__all__ = ["share_answers"]

_IMAGES_A_PASS = 128


def share_answers(chain: Chain, out: Path) -> int:
    """Ask the plan's network about every image that a student may train on; returns how many those were.

    The test images are not among them.

    Args:
        chain: The run; of its stages only the baseline is executed, which trains where the weights do not fit the data.
        out: File to write.

    Raises:
        DataError: when there are no such images.
    """
    import torch

    from pipeline.models.files import load_network
    from pipeline.training.images import TrainingImages
    from pipeline.training.logits import reader_of_logits
    from pipeline.training.shared_answers import write_shared
    from pipeline.training.teacher_answers import ask

    parts = chain.plan.parts
    samples = (*parts.dataset.train, *parts.dataset.calibration)
    if not samples:
        raise DataError("there are no images to answer", where=chain.plan.recipe.data.source)
    trained = chain.execute(chain.plan.recipe.baseline, {}).artifact
    assert trained.kind is ArtifactKind.NETWORK  # noqa: S101 - what a baseline gives
    network = load_network(trained.root, parts.model)
    images = TrainingImages(samples, parts.preprocess, chain.progress)
    read = reader_of_logits(parts.task, network, images)
    answers = ask(network, read, images, views=1, augment=(), batch_size=_IMAGES_A_PASS, progress=chain.progress)
    logits = answers.said(torch.arange(len(samples)), 0)
    write_shared(out, logits, samples=samples, classes=parts.dataset.classes, model=parts.model.name)
    return len(samples)
