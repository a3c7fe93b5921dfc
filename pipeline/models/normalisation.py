"""Whether a network is fed what it was trained with: a detector says it, and a first batch normalisation remembers."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array

__all__ = ["contradiction", "normalisation_doubt", "own_size"]

_IMAGES_NDIM = 4
_ALIKE = 0.1
"""Ratios that differ by less than a tenth: images of one camera differ as much."""
_SHIFT = 0.8
_SPREAD = 3.0
"""All channels together, weighted by their variance: one dead channel then says nothing.

Seen on three networks with real weights (MobileNet V1 and V2, a ResNet-20) and their own images. Rightly fed: means off
by 0.16 to 0.19 deviations, variances 0.68 to 1.7 times those of the training. Channels swapped: no more than that, so
this cannot see it. Without a normalisation: 0.3 to 1.1, or 0.05 to 0.45 times; with another network's: 0.14 times, or
4.6 to 8.5; without the division by 255: means off by 57 and more.
"""


def contradiction(
    network: nn.Module,
    preprocess: PreprocessSpec,
    *,
    colours: bool = True,
    sides: bool = True,
    ratio: float | None = None,
) -> str | None:
    """A sentence when a detector's own transform, which is left out, prepares otherwise; None where it says nothing.

    Args:
        network: Of torchvision's detection interface, or any other.
        preprocess: What takes the transform's place.
        colours: Whether mean and deviation are asked about.
        sides: Whether the size is.
        ratio: Of the images, width to height; None where it is not asked whether they keep it.
    """
    transform = getattr(network, "transform", None)
    mean, std = (_numbers(getattr(transform, name, None)) for name in ("image_mean", "image_std"))
    said, settings = [], []
    if colours and mean and std and not (_about(mean, preprocess.mean) and _about(std, preprocess.std)):
        said.append(f"has mean {[*mean]} and std {[*std]}")
        settings += [f"--set 'input.mean={[*mean]}'", f"--set 'input.std={[*std]}'"]
    other = None if ratio is None else _other_ratio(network, preprocess, ratio)
    if other is None and sides:
        other = _other_size(network, preprocess)
    if other is not None:
        resizing, setting = other
        said.append(resizing)
        settings.append(setting)
    if not said:
        return None
    return (
        f"the network's own transform, which is left out, {', and '.join(said)}: if its weights were trained so, "
        f"{' '.join(settings)}"
    )


def _numbers(values: Any) -> tuple[float, ...]:  # noqa: ANN401 - a list, an array, a tensor, or nothing
    """Rounded to what a float32 holds of them; empty where they are none."""
    import torch

    if values is None:
        return ()
    try:
        found = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach().flatten().tolist()
    except (TypeError, ValueError, RuntimeError):  # a text, a mapping, anything
        return ()
    return tuple(float(f"{value:.6g}") for value in found)


def _about(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(map(partial(math.isclose, rel_tol=1e-5, abs_tol=1e-7), one, other))


def own_size(network: nn.Module) -> tuple[int, int] | None:
    """Height and width to which a detector's own transform resizes images; None where it says nothing.

    Args:
        network: Of torchvision's detection interface, or any other. Where the transform keeps the ratio, both are the
            shorter side.
    """
    found = _resizing(network)
    return found and found[0]


def _resizing(network: nn.Module) -> tuple[tuple[int, int], bool] | None:
    """What :func:`own_size` gives, and whether the transform keeps the ratio."""
    transform = getattr(network, "transform", None)
    match getattr(transform, "fixed_size", None), getattr(transform, "min_size", None):
        case (int(wide), int(high)), _:
            return (high, wide), False
        case _, (*_, int(side)):  # the last is for other than training
            return (side, side), True
    return None


def _other_size(network: nn.Module, preprocess: PreprocessSpec) -> tuple[str, str] | None:
    """How torchvision's transform resizes, and the setting for that; None where it resizes to the same, or not at all.

    Args:
        network: As of :func:`contradiction`.
        preprocess: What takes the transform's place.
    """
    match _resizing(network):
        case (side, _), True if side != min(preprocess.size):
            return f"resizes the shorter side to {side}", f"--set input.size={side}"
        case (high, wide), False if (high, wide) != preprocess.size:
            return f"resizes images to {high}x{wide}", f"--set 'input.size=[{high}, {wide}]'"
    return None


def _other_ratio(network: nn.Module, preprocess: PreprocessSpec, ratio: float) -> tuple[str, str] | None:
    """As of :func:`_other_size`, where the transform keeps the images' ratio and they are squashed to another one.

    Args:
        network: As of :func:`contradiction`.
        preprocess: What takes the transform's place.
        ratio: Of the images, width to height.
    """
    resizing, (high, wide) = _resizing(network), preprocess.size
    if resizing is None or not resizing[1] or preprocess.resize != "squash":
        return None
    if abs(math.log(ratio * high / wide)) <= _ALIKE:
        return None
    side, longest = resizing[0][0], getattr(getattr(network, "transform", None), "max_size", None)
    long = side * max(ratio, 1 / ratio)
    if isinstance(longest, int | float) and long > longest:
        side, long = round(side * longest / long), longest
    size = [side, round(long)] if ratio > 1 else [round(long), side]
    return (
        f"keeps the ratio of images, {size[1]}x{size[0]} of most of these, which are squashed to {wide}x{high}",
        f"--set 'input.size={size}'",
    )


def normalisation_doubt(network: nn.Module, images: Sequence[Array]) -> str | None:
    """A sentence when the first batch normalisation meets other values than in its training, else None.

    A training that ends by estimating its batch normalisations anew leaves ones that remember how it was fed, rightly
    or not: ask before any.

    Args:
        network: In evaluation mode, with the weights that were given.
        images: Prepared inputs, each (1, channels, height, width); at least one.
    """
    import torch

    norms = [module for module in network.modules() if _remembers(module)]
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    first: nn.Module | None = None
    hooks = [module.register_forward_pre_hook(_stop) for module in norms]
    try:
        with torch.inference_mode():
            for image in images if norms else ():
                try:
                    network(torch.from_numpy(image))
                except _MetError as met:
                    first, values = met.norm, met.values
                    count += values[0].numel()
                    total = total + values.sum(dim=1)
                    squares = squares + values.square().sum(dim=1)
    finally:
        for hook in hooks:
            hook.remove()
    if first is None:
        return None
    return _told(first, total / count, squares / count)


def _remembers(module: Any) -> bool:  # noqa: ANN401 - any module
    """Whether it is a batch normalisation of images that knows what it met: torch's, or a frozen one of anybody's."""
    from torch import Tensor, nn

    if isinstance(module, nn.BatchNorm2d) or not hasattr(module, "track_running_stats"):
        told = [getattr(module, name, None) for name in ("running_mean", "running_var")]
        return all(isinstance(one, Tensor) and one.ndim == 1 for one in told)
    return False  # torch's for other things than images, and those of single images


class _MetError(Exception):
    """The first batch normalisation was met: what comes behind it need not be computed.

    Attributes:
        norm: It.
        values: What came to it, float64: (channels, all of a batch's places).
    """

    def __init__(self, norm: nn.Module, values: Tensor) -> None:
        super().__init__()
        self.norm, self.values = norm, values


def _stop(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if inputs and inputs[0].ndim == _IMAGES_NDIM:
        raise _MetError(norm, inputs[0].double().transpose(0, 1).flatten(1))


def _told(trained: Any, mean: Tensor, square: Tensor) -> str | None:  # noqa: ANN401 - one that remembers
    """The sentence for means of the values and of their squares, each (channels,)."""
    variance = trained.running_var + getattr(trained, "eps", 0.0)
    shift = float(((mean - trained.running_mean).square().sum() / variance.sum()).sqrt())
    spread = float((square - mean.square()).sum() / variance.sum())
    if shift <= _SHIFT and 1 / _SPREAD <= spread <= _SPREAD:
        return None
    return (
        f"the first layer sees other values than in training (mean off by {shift:.1f} deviations, "
        f"variance {spread:.2g}x): are input.mean, input.std and input.channels those the network was trained with?"
    )
