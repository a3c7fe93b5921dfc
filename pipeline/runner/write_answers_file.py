"""A teacher's answers written to a file, for a student elsewhere: the network stays here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.errors import DataError, UsageError
from pipeline.runner.output_folder import check_writable
from pipeline.runner.preflight import preflight
from pipeline.stages.answers import AskTeacher

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chain.chain import Chain

__all__ = ["write_answers_file"]


def write_answers_file(chain: Chain, out: Path) -> int:
    """Ask the plan's network about every image that a student may train on; returns how many those were.

    The test images are not among them. The network is tried first, as before a deploy: how it answers decides how it is
    read, and what it does not answer is told before it is trained.

    Args:
        chain: The run; of its stages only the baseline is executed, which trains where the weights do not fit the data.
        out: File to write.

    Raises:
        DataError: when there are no such images.
        UsageError: when the network comes as an ONNX file.
        UsageError, WeightsError, ResourceError: as of :func:`pipeline.runner.preflight.preflight`.
    """
    import torch

    from pipeline.training.answers_file import write_shared
    from pipeline.training.cached_answers import TeacherAnswers

    model, dataset = chain.plan.parts.model, chain.plan.parts.dataset
    if model.origin == "onnx":
        raise UsageError(
            "an ONNX file cannot teach: teachers are asked as PyTorch networks",
            where=str(model.file),
            fix="give the PyTorch network as path/to/file.py:factory with its --weights",
        )
    samples = (*dataset.train, *dataset.validation, *dataset.calibration)
    if not samples:
        raise DataError(
            "there are no images to answer", where=chain.plan.recipe.data.source, fix="add images to the folder"
        )
    check_writable(out.parent)
    chain = preflight(chain)
    network = chain.execute(chain.plan.recipe.baseline, {}).artifact
    about_all = chain.about(replace(chain.plan.parts, dataset=replace(dataset, train=samples)))
    answers = about_all.execute(AskTeacher(views=1), {ArtifactKind.NETWORK: network}).artifact
    task, classes = chain.plan.parts.task, dataset.classes
    kept = TeacherAnswers.load(answers.root).said(torch.arange(len(samples)), 0)
    write_shared(
        out,
        task.shared(kept, len(classes)),
        samples=samples,
        classes=classes,
        model=chain.plan.parts.model.name,
        task=task.name,
        preprocess=chain.plan.parts.preprocess,
    )
    return len(samples)
