"""Whether the form in which a detector is deployed finds what the detector itself finds.

The form is made of the parts of one of torchvision's detectors. What a class derived from it answers by methods of its
own is not in there.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import UsageError
from pipeline.models.raw_detector import RawDetector, kind_of
from pipeline.tasks.detection.changed import changed_and_whole
from pipeline.tasks.detection.deployable import deployable, post_process
from pipeline.tasks.detection.interface import found_by
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from torch import Tensor, nn


__all__ = ["doubt_of_form", "own_methods"]

_ROUNDING = 1e-3
"""Of the squared scores; a sound form's other order of the same sums was seen to change 1e-12 of them."""
_PARTS = ("transform", "rpn", "roi_heads")
_ANSWERING = ("forward", "eager_outputs", "postprocess_detections", "filter_proposals", "postprocess")
"""Methods of torchvision's detectors and their parts that the form does without."""


def doubt_of_form(network: nn.Module, inputs: Tensor, *, trained: bool) -> str | None:
    """A sentence where the form may find something else than the network; None where it finds the same.

    Args:
        network: A detector in evaluation mode that has a deployable form.
        inputs: Prepared images, (images, channels, height, width).
        trained: Whether it knows what to find on them. What random weights find is tossed up, so that nobody is refused
            for it.

    Raises:
        UsageError: for a trained one with methods of its own that finds something else by them.
    """
    own = own_methods(network)
    if isinstance(network, RawDetector) or not (own or trained):
        return None
    unlike, anything = _unlike(network, inputs)
    if not unlike and (anything or not own):
        return None
    if not own:
        return (
            f"on {unlike} of {len(inputs)} images the form that is deployed finds something else than the network "
            "itself: figures are of that form"
        )
    if unlike and trained:
        raise UsageError(
            "what this network answers by methods of its own would not be deployed",
            where=kind_of(network),
            got=f"its own {', '.join(own)}; on {unlike} of {len(inputs)} images it finds something else than without",
            expected="methods that find what torchvision's find: its backbone, head, coder and anchors are deployed",
            fix="leave them to torchvision, or let forward give raw outputs, with a function decode beside the factory",
        )
    why = f"on {len(inputs)} images it finds nothing" if trained else "it is not trained yet"
    return (
        f"its own {', '.join(own)} will not be deployed, torchvision's in its place; {why}, so that it was not seen "
        "whether both find the same"
    )


def own_methods(network: nn.Module) -> tuple[str, ...]:
    """Methods with which a detector, or a part of it, answers otherwise than its class in torchvision, by name."""
    found = []
    for name, part in (("", network), *((f"{part}.", getattr(network, part, None)) for part in _PARTS)):
        base = _torchvision_s(part)
        for method in _ANSWERING if base else ():
            is_own = getattr(type(part), method, None) is not getattr(base, method, None) or method in vars(part)
            found += [f"{name}{method}"] if is_own else []
    return tuple(found)


def _torchvision_s(part: Any) -> type | None:  # noqa: ANN401 - any part of a network, or none
    """The first of its classes that is torchvision's."""
    return next((one for one in type(part).__mro__ if one.__module__.startswith("torchvision.models.detection.")), None)


def _unlike(network: nn.Module, inputs: Tensor) -> tuple[int, bool]:
    """On how many images both find something else, and whether anything was found at all."""
    height, width = inputs.shape[2:]
    form, rule = deployable(network, (height, width), channels=inputs.shape[1]), asdict(post_process(network))
    unlike, anything = 0, False
    for image in inputs[:, None]:  # one by one, as the form
        (own,) = found_by(network, image)
        with torch.no_grad():
            shipped = detections(*(output[0].numpy() for output in form(image)), **rule)
        changed, whole = changed_and_whole(shipped, own)
        unlike += changed > _ROUNDING * whole
        anything |= len(own[1]) > 0
    return unlike, anything
