"""Anchors whose sides are pixels: they shrink with the images, and are recorded where they are not the builder's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from pipeline.artifact import Json

__all__ = ["recorded_anchors", "scale_anchors", "set_anchors"]

_MARK = "not_the_builders"


def scale_anchors(network: nn.Module, factor: float) -> None:
    """Make the anchors of all levels smaller or larger, in place; those that are shares of the image stay.

    Args:
        network: With generators of torchvision's ``AnchorGenerator``, or without.
        factor: Of their sides.
    """
    for generator in _generators(network).values():
        _resize(network, generator, tuple(tuple(side * factor for side in level) for level in generator.sizes))


def recorded_anchors(network: nn.Module) -> dict[str, Json]:
    """Name of each generator that was changed, to the sides of each level's anchors, pixels."""
    changed = {name: one for name, one in _generators(network).items() if getattr(one, _MARK, False)}
    return {name: [list(level) for level in one.sizes] for name, one in changed.items()}


def set_anchors(network: nn.Module, recorded: Mapping[str, Any], where: str) -> None:
    """Give generators the sides that they were written with, in place.

    Args:
        network: As the builder made it.
        recorded: As :func:`recorded_anchors` told them.
        where: What is read, for errors.

    Raises:
        IntegrityError: for a generator that is not there, or has other levels.
    """
    there = _generators(network)
    for name, sizes in recorded.items():
        known = [len(level) for level in there[name].sizes] if name in there else None
        if known != [len(level) for level in sizes]:
            raise IntegrityError(
                f"the builder makes no such anchors {name!r}",
                where=where,
                got=str(sizes),
                expected=f"levels of {known}",
            )
        _resize(network, there[name], tuple(map(tuple, sizes)))


def _generators(network: nn.Module) -> dict[str, Any]:
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return {name: module for name, module in network.named_modules() if isinstance(module, AnchorGenerator)}


def _resize(
    network: nn.Module,
    generator: Any,  # noqa: ANN401 - torchvision has no types
    sizes: tuple[tuple[float, ...], ...],
) -> None:
    """Give a generator other sides.

    FCOS's tell how large an object each level finds, and how far from an object's middle a place learns of it. Places
    stay as far apart as they were: so that small objects have one, that reach stays as it is in pixels.
    """
    from torchvision.models.detection import FCOS

    for module in network.modules():
        if isinstance(module, FCOS) and module.anchor_generator is generator:
            module.center_sampling_radius *= generator.sizes[0][0] / sizes[0][0]
    generator.sizes = sizes
    levels = zip(sizes, generator.aspect_ratios, strict=False)  # of more ratios than levels some stand for nothing
    generator.cell_anchors = [generator.generate_anchors(level, ratios) for level, ratios in levels]
    setattr(generator, _MARK, True)
