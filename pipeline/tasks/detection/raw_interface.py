"""What is asked of a detector of raw outputs: that what decodes them gives boxes and scores, always as many.

Of one that is trained also that its loss is a number to learn from, whatever the images show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import UsageError
from pipeline.models import model_file
from pipeline.models.build import advice_on_input
from pipeline.models.one_output import described

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.raw_detector import RawDetector

__all__ = ["LEFT_OUT", "check_decoding", "check_loss"]

LEFT_OUT = (
    "a category that stands above others and was left out, as is noted, is a class where its supercategory is itself"
)
"""How the data comes to name a class of the network that it has no box of."""

_DECODE, _LOSS = "decode(outputs)", "loss(outputs, targets)"
_GIVES = (
    "boxes (images, candidates, 4), xyxy in pixels of the input, and scores (images, candidates, {classes}), 0 to 1"
)
_LOSSES = "a scalar, or a dictionary of scalars"


def check_decoding(network: RawDetector, input_shape: tuple[int, ...], *, classes: int) -> None:
    """See that an image's raw outputs are decoded into boxes and scores of the data's classes.

    Args:
        network: In evaluation mode.
        input_shape: With the batch, such as ``(1, 3, 320, 320)``.
        classes: Of the data.

    Raises:
        UsageError: when the decoding fails, gives something else, boxes that are no numbers, scores that are not from 0
            to 1 or for another number of classes, or another number of candidates for another image.
    """
    draw = torch.Generator().manual_seed(0)
    counts = []
    for images in (torch.zeros(input_shape), torch.randn(input_shape, generator=draw)):
        with torch.no_grad():
            answered = _answered(network, images)
            boxes, scores = _decoded(network, answered, images, classes)
        _check_values(boxes, scores)
        counts.append(boxes.shape[1])
    if len(set(counts)) > 1:
        raise UsageError(
            "how many candidates are decoded depends on what the image shows",
            where=_DECODE,
            got=f"{counts[0]} for one image, {counts[1]} for another",
            expected="as many for every image, likely or not: which of them count is chosen after it",
            fix="leave thresholds and suppression out of it",
        )


def check_loss(network: RawDetector, input_shape: tuple[int, ...], *, classes: int) -> None:
    """See that its loss says numbers to learn from, also of images without objects, and in a batch of nothing else.

    Args:
        network: In training mode, with a loss.
        input_shape: With the batch, such as ``(1, 3, 320, 320)``.
        classes: Of the data.

    Raises:
        UsageError: when the loss fails, gives something else than scalars, one that is no number, or one that does not
            depend on what the network learns.
    """
    height, width = input_shape[2:]
    box = torch.tensor([[width * 0.25, height * 0.25, width * 0.75, height * 0.75]])
    one = {"boxes": box, "labels": torch.tensor([classes])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    images = torch.randn(2, *input_shape[1:], generator=torch.Generator().manual_seed(0))
    for targets, of in (
        ([one, empty], "one image with an object and one without"),
        ([empty, empty], "two images without objects"),
    ):
        with torch.enable_grad():
            answered = _answered(network, images)
            try:
                losses = network.losses(answered, targets)
            except Exception as error:
                raise UsageError(
                    f"the loss fails for {of}",
                    where=_LOSS,
                    got=f"{model_file.describe(error)}, for {described(answered)}",
                    expected=f"{_LOSSES}, for what the network answers in training mode, and of each image boxes "
                    f"(objects, 4) and labels (objects,), 0 to {classes - 1}",
                    fix="mend the loss; the network's number of classes is num_classes of the factory, without a "
                    "background",
                ) from error
            _check_scalars(losses, of)
            total = sum(losses.values())
        _check_learnable(losses, total, of)


def _check_scalars(losses: Any, of: str) -> None:  # noqa: ANN401 - whatever a user's loss gives
    """See that it is a dictionary of one number each, one at least."""
    if isinstance(losses, dict) and losses and all(isinstance(one, torch.Tensor) for one in losses.values()):
        several = {name: tuple(one.shape) for name, one in losses.items() if one.numel() != 1}
        if not several:
            return
        got = ", ".join(f"{name} {shape}" for name, shape in several.items())
        fix = 'add up or average what it says of places and images, such as with reduction="sum"'
    else:
        got = described(losses)
        fix = "return the number that is to become small as a tensor"
    raise UsageError("the loss is no scalar", where=_LOSS, got=f"{got} for {of}", expected=_LOSSES, fix=fix)


def _check_learnable(losses: dict[str, Tensor], total: Any, of: str) -> None:  # noqa: ANN401 - a sum is 0 or a tensor
    """See that each is a number and that their sum moves the network."""
    astray = [f"{name} is {float(one.detach()):g}" for name, one in losses.items() if not one.isfinite().all()]
    if astray:
        raise UsageError(
            f"the loss is no number for {of}",
            where=_LOSS,
            got=", ".join(astray),
            expected="finite numbers for every batch: images without objects are trained on too",
            fix="divide by the number of objects only where it is above 0, such as by max(1, objects)",
        )
    if not total.requires_grad:
        raise UsageError(
            f"nothing is learned from the loss: it does not depend on the network for {of}",
            where=_LOSS,
            got="a sum without a gradient",
            expected="one that leads back to what the network answers, for every batch",
            fix="leave out detach(), item(), numpy() and no_grad on the way; where there are no objects, the scores of "
            "all places are to be learned down",
        )


def _answered(network: RawDetector, images: Tensor) -> Any:  # noqa: ANN401 - whatever the user's network answers
    try:
        return network.module(images)
    except Exception as error:
        raise UsageError(
            f"the network does not take an input of {'x'.join(map(str, images.shape))}"
            + (" in training mode" if network.training else ""),
            got=model_file.describe(error),
            fix=advice_on_input(network.module, tuple(images.shape)),
        ) from error


def _decoded(network: RawDetector, answered: Any, images: Tensor, classes: int) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - likewise
    """Boxes and scores, of the shapes that they should have."""
    expected = _GIVES.format(classes=classes)
    try:
        found = network.decoded(answered)
    except Exception as error:
        raise UsageError(
            "what the network answers cannot be decoded",
            where=_DECODE,
            got=f"{model_file.describe(error)}, for {described(answered)}",
            expected=f"{expected}, of what the network answers in evaluation mode",
        ) from error
    pair = tuple(found) if isinstance(found, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(one, torch.Tensor) and one.is_floating_point() for one in pair):
        raise UsageError(
            "the decoding does not give boxes and scores", where=_DECODE, got=described(found), expected=expected
        )
    boxes, scores = pair
    if {boxes.dtype, scores.dtype} != {torch.float32}:
        raise UsageError(
            "the decoding gives boxes and scores of another type",
            where=_DECODE,
            got=f"boxes {_type_of(boxes)}, scores {_type_of(scores)}",
            expected="float32",
            fix="make constants float32 where they are made, such as torch.from_numpy(grid).float()",
        )
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape != (len(images), scores.shape[1], 4) or not boxes.numel():
        raise UsageError(
            "the decoding gives boxes and scores of other shapes",
            where=_DECODE,
            got=f"boxes {tuple(boxes.shape)}, scores {tuple(scores.shape)} for an input of {tuple(images.shape)}",
            expected=expected,
        )
    if scores.shape[2] != classes:
        raise UsageError(
            f"the network answers for {scores.shape[2]} classes, the data has {classes}",
            where=_DECODE,
            got=f"scores {tuple(scores.shape)}",
            expected=f"a column for each of the data's classes in their order, and none for a background: {classes}",
            fix="let the factory take num_classes, or name every class that the network knows, in its order, as "
            f"categories or in the classes.txt of the data; {LEFT_OUT}",
        )
    return boxes, scores


def _type_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_values(boxes: Tensor, scores: Tensor) -> None:
    """See that boxes are somewhere, and scores are likelihoods."""
    if not boxes.isfinite().all():
        raise UsageError(
            "the decoding gives boxes that are no numbers",
            where=_DECODE,
            got=f"{int((~boxes.isfinite()).any(dim=2).sum())} of {boxes.shape[1]} for a random image",
            expected="finite corners, whatever the image shows",
            fix="bound what is exponentiated or divided by, such as with clamp(max=4)",
        )
    if not bool(((scores >= 0) & (scores <= 1)).all()):
        raise UsageError(
            "the decoding gives scores that are no likelihoods",
            where=_DECODE,
            got=f"{float(scores.min()):.4g} to {float(scores.max()):.4g}",
            expected="0 to 1",
            fix="take the sigmoid or softmax of logits in it",
        )
