"""From a classifier's state dict to the backbone of a detector that is built of the same layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["load_backbone"]

_PREFIXES = ("", "backbone.", "backbone.body.")
"""Of the detector's tensors in the backbone; a file may have them without."""
_BEHIND = re.compile(r"backbone\.extra\.0\.(\d+)\.(\w+)")
"""In an SSD300, what is left of VGG behind its ``backbone.features``."""
_LEAST = 0.5
"""Of the backbone's tensors: a file with fewer is of something else."""
_SHOWN = 3


def load_backbone(network: nn.Module, state: Mapping[str, Tensor], *, where: Path) -> str:
    """Put a classifier's weights into the backbone of a detector; says how much of it they are.

    Args:
        network: The detector; its parts below ``backbone`` are looked at.
        state: Of a classifier of the same build, of a backbone, or of a detector.
        where: For people.

    Raises:
        WeightsError: when most of the backbone is not in the file, or a tensor has another shape.
    """
    own = network.state_dict()
    inside = "backbone.body." if any(key.startswith("backbone.body.") for key in own) else "backbone."
    vgg = _in_vgg(network, own)
    wanted = [key for key in own if key.startswith(inside) and (not vgg or key in vgg)]
    found = {
        key: there
        for key in own
        if key.startswith("backbone.") and (there := _named(key, state, vgg.get(key))) is not None
    }
    missing = [key for key in wanted if key not in found]
    taken = len(wanted) - len(missing)
    if not wanted or taken < _LEAST * len(wanted):
        raise WeightsError(
            "this file has not the tensors of the detector's backbone",
            where=str(where),
            got=f"{taken} of {len(wanted)}, missing among others {', '.join(missing[:_SHOWN])}",
            expected="a state dict of the classifier that the backbone is taken from, or of the backbone",
        )
    odd = [key for key, tensor in found.items() if tensor.shape != own[key].shape]
    if odd:
        raise WeightsError(
            "these weights do not fit the detector's backbone",
            where=str(where),
            got=f"{odd[0]} is {list(found[odd[0]].shape)}, the detector has {list(own[odd[0]].shape)}",
            expected="those of the same width",
        )
    network.load_state_dict(found, strict=False)
    return f"{taken} of {len(wanted)} tensors"


def _in_vgg(network: Any, own: Mapping[str, Tensor]) -> dict[str, str]:  # noqa: ANN401 - torchvision has no types
    """What of an SSD300's backbone is VGG's, with its names there; of other detectors nothing.

    torchvision cuts VGG's features in two before their fourth pooling, and adds layers of its own behind them.
    """
    if "backbone.scale_weight" not in own:
        return {}
    before = {key: key.removeprefix("backbone.") for key in own if key.startswith("backbone.features.")}
    cut, behind = len(network.backbone.features), [_BEHIND.fullmatch(key) for key in own]
    return before | {one[0]: f"features.{cut + int(one[1])}.{one[2]}" for one in behind if one}


def _named(key: str, state: Mapping[str, Tensor], other: str | None) -> Tensor | None:
    """The file's tensor for one of the detector's, which may have another name in a classifier.

    Many classifiers have theirs below ``features``.
    """
    for prefix in _PREFIXES:
        if key.startswith(prefix) and (rest := key.removeprefix(prefix)) in state:
            return state[rest]
    if other is not None:
        return state.get(other)
    return state.get(f"features.{key.removeprefix('backbone.body.')}") if key.startswith("backbone.body.") else None
