"""Bias correction: what rounding a weight does to a layer's mean output, taken back in its bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["bias_shift"]


def bias_shift(weight: Array, rounded: Array, input_mean: Array, *, groups: int) -> Array:
    """What to add to a convolution's bias so that its mean output is that of the float weight.

    The rounding errors of a channel's weights do not average out: their sum, weighted by what usually comes in, moves
    every output of the channel by the same amount, most of all in depthwise layers with their few weights a channel.
    Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction", 2019 (arXiv:1906.04721),
    section 4.2, with the mean input measured rather than derived from batch normalisation. Positions whose window
    reaches over the border, where zeros come in, are treated like all others.

    Args:
        weight: Float, (out channels, in channels / groups, ...).
        rounded: The weight as INT8 represents it, same shape.
        input_mean: Mean of each input channel over images and positions, (in channels,).
        groups: Of the convolution; 1 for a matrix product.

    Returns:
        Float64, (out channels,).
    """
    error = (weight.astype(np.float64) - rounded).reshape(*weight.shape[:2], -1).sum(axis=2)
    inputs = input_mean.reshape(groups, weight.shape[1]).repeat(weight.shape[0] // groups, axis=0)
    shift: Array = (error * inputs).sum(axis=1)
    return shift
