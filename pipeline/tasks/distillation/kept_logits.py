"""What a classifier said, made small: the likeliest classes in 16 bits each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["kept_logits", "logits_of"]

_ALL_UP_TO = 100
"""With at most so many classes every logit is kept, with more the largest so many."""

_NUMBERED_IN_16_BITS = 1 << 15


def kept_logits(logits: Tensor) -> dict[str, Tensor]:
    """Made small, relative to the largest logit.

    With more than 100 classes the hundred largest are kept, and the others share alike what probability is left: that
    is then what the teacher is taken to say.

    Args:
        logits: (..., classes).

    Returns:
        ``logits``, float16 (..., kept), the largest of each 0; with more than 100 classes also ``places``, which class
        each is of, int16 of the same shape (int32 with more than 32,768 classes), and ``rest``, what every other class
        has, float16 (...).
    """
    classes = logits.shape[-1]
    logits = logits.float()
    logits = logits - logits.amax(dim=-1, keepdim=True)
    if classes <= _ALL_UP_TO:
        return {"logits": _half(logits)}
    largest, places = logits.topk(_ALL_UP_TO, dim=-1)
    left = logits.scatter(-1, places, -torch.inf).logsumexp(dim=-1) - torch.tensor(classes - _ALL_UP_TO).log()
    number = torch.int16 if classes <= _NUMBERED_IN_16_BITS else torch.int32
    return {"logits": _half(largest), "places": places.to(number), "rest": _half(left)}


def _half(logits: Tensor) -> Tensor:
    """In 16 bits; a class that the network rules out (-inf, or -1e9 of a mask) has the least that is still a number."""
    return logits.clamp(min=torch.finfo(torch.float16).min).half()


def logits_of(kept: Mapping[str, Tensor], classes: int) -> Tensor:
    """The logits again, of 32 bits or as many as they have, (..., classes).

    Args:
        kept: As of :func:`kept_logits`.
        classes: How many there are.
    """
    logits = kept["logits"].to(torch.promote_types(kept["logits"].dtype, torch.float32))
    if "places" not in kept:
        return logits
    whole = kept["rest"].to(logits.dtype)[..., None].repeat_interleave(classes, dim=-1)
    return whole.scatter(-1, kept["places"].long(), logits)
