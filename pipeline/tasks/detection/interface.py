"""What is asked of a detector: torchvision's interface, in training and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.errors import UsageError
from pipeline.models import model_file
from pipeline.models.build import advice_on_input, modes_kept
from pipeline.models.raw_detector import RawDetector, kind_of
from pipeline.tasks.detection.raw_interface import LEFT_OUT, check_decoding, check_loss

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.session import Outputs

__all__ = ["check_detector", "found_by"]

_ANSWER = ("boxes", "scores", "labels")


def check_detector(network: nn.Module, input_shape: tuple[int, ...], *, classes: int, trained: bool) -> None:
    """See that a network takes this input, finds boxes of the data's classes, and where it is trained learns from them.

    Args:
        network: Its mode is as before afterwards.
        input_shape: With the batch, such as ``(1, 3, 320, 320)``.
        classes: Of the data.
        trained: Whether it will be trained.

    Raises:
        UsageError: before anything is trained on it.
    """
    with modes_kept(network):
        network.eval()
        if isinstance(network, RawDetector):
            check_decoding(network, input_shape, classes=classes)
        _check_answers(network, input_shape)
        _check_labels(network, input_shape, classes)
        if trained and isinstance(network, RawDetector):
            check_loss(network.train(), input_shape, classes=classes)
        elif trained:
            _check_losses(network.train(), input_shape, classes)


def found_by(network: nn.Module, inputs: Tensor) -> list[Outputs]:
    """What a detector in evaluation mode finds: of each image boxes (k, 4) xyxy, scores (k,) and labels (k,) from 1.

    torchvision's RetinaNet and FCOS can answer with label 0, which is no class: left out, as of what is deployed.

    Args:
        network: Of torchvision's interface.
        inputs: (batch, channels, height, width).
    """
    return [_of_classes({name: one[name].detach().cpu() for name in _ANSWER}) for one in network(inputs)]


def _of_classes(answer: dict[str, Tensor]) -> Outputs:
    named = answer["labels"] >= 1
    boxes, scores, labels = (answer[name][named] for name in _ANSWER)
    return boxes.float().numpy(), scores.float().numpy(), labels.numpy()


def _check_answers(network: nn.Module, shape: tuple[int, ...]) -> None:
    shown = "x".join(map(str, shape))
    try:
        with torch.no_grad():
            answers = network(torch.zeros(shape))
    except Exception as error:
        raise UsageError(
            f"the network does not take an input of {shown}",
            got=model_file.describe(error),
            fix=advice_on_input(network, shape),
        ) from error
    first = answers[0] if isinstance(answers, list) and answers else answers
    if not isinstance(first, dict) or not set(_ANSWER) <= first.keys():
        raise UsageError(
            "the network does not answer as a detector",
            got=f"{type(answers).__name__} for an input of {shown}",
            expected="a list with a dictionary of boxes, scores and labels for each image, as torchvision's detectors, "
            "or raw outputs and what decodes them",
            fix="add a method or, beside the factory, a function decode(outputs) that gives boxes and scores",
        )


def _check_labels(network: nn.Module, shape: tuple[int, ...], classes: int) -> None:
    """See that it numbers its classes as the data's: of another count, names and boxes would be scored shifted."""
    from pipeline.tasks.detection.deployable import deployable

    try:
        known = deployable(network, (shape[2], shape[3]), channels=shape[1]).classes
    except UsageError:
        raise  # it has no deployable form, which is told as it is
    except Exception as error:
        raise UsageError(
            "this detector cannot be brought into the form that is deployed",
            where=kind_of(network),
            got=model_file.describe(error),
            expected="parts that are asked as torchvision's detectors ask theirs",
        ) from error
    if known != classes:
        raise UsageError(
            f"the network answers for {known} classes, the data has {classes}",
            where=kind_of(network),
            got=f"labels up to {known}",
            expected=f"labels 1 to {classes}: the label of a class is its rank among the data's classes + 1, and 0 is "
            "the background",
            fix="let the factory take num_classes, which counts the background as one, or name every class that the "
            f"network knows, in its order, as categories or in the classes.txt of the data; {LEFT_OUT}",
        )


def _check_losses(network: nn.Module, shape: tuple[int, ...], classes: int) -> None:
    height, width = shape[2:]
    box = torch.tensor([[width * 0.25, height * 0.25, width * 0.75, height * 0.75]])
    target = {"boxes": box, "labels": torch.tensor([classes])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    try:
        with torch.no_grad():
            losses = network(torch.zeros(2, *shape[1:]), [target, empty])
    except Exception as error:
        raise UsageError(
            f"the network cannot be trained on {classes} classes",
            got=model_file.describe(error),
            expected=f"losses for inputs and targets of boxes and labels, 1 to {classes}",
            fix="let the factory take num_classes, which counts the background as one",
        ) from error
    if not isinstance(losses, dict) or not all(isinstance(one, torch.Tensor) for one in losses.values()):
        raise UsageError(
            "the network gives no losses in training mode",
            got=type(losses).__name__,
            expected="a dictionary of losses, as torchvision's detectors",
        )
