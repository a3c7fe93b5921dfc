"""Torchvision's attentions when heads are missing: theirs take the width of their input for that of all heads.

Each is a subclass with another ``forward`` and nothing else: parameters, buffers and their names are the same, with all
heads so are the answers. Weights of queries, keys and values lie as (3, heads, width of a head) in all of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import nn
from torchvision.models.maxvit import RelativePositionalMultiHeadAttention
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2

from pipeline.models.form_names import FEWER_HEADS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["let_heads_go"]

_MASKED = -100.0
"""What torchvision adds where one window holds what was far apart before it was shifted."""


def let_heads_go(module: nn.Module) -> bool:
    """Make an attention one that heads can be missing of, in place; it answers as before.

    Returns:
        Whether it is an attention that we know.
    """
    form = _FORMS.get(type(module))
    if form is not None:
        module.__class__ = form
    return form is not None or type(module) in _FORMS.values()


class SelfAttention(nn.MultiheadAttention):
    """That of an encoder block, which asks a sequence about itself."""

    recorded_form = FEWER_HEADS

    def forward(  # type: ignore[override] # what an encoder block asks for, and no more
        self,
        query: Tensor,
        key: Tensor,  # noqa: ARG002 - the block gives the same three times
        value: Tensor,  # noqa: ARG002 - as above
        *,
        need_weights: bool = False,  # noqa: ARG002 - as above
    ) -> tuple[Tensor, None]:
        """Attend.

        Args:
            query: (batch, length, width).
            key: The same.
            value: The same.
            need_weights: They are not given.
        """
        mixed = F.linear(query, self.in_proj_weight, self.in_proj_bias)
        queries, keys, values = torch.unflatten(mixed, -1, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(queries, keys, values, dropout_p=self.dropout if self.training else 0.0)
        return self.out_proj(seen.transpose(1, 2).flatten(-2)), None


class GridAttention(RelativePositionalMultiHeadAttention):  # type: ignore[misc] # torchvision has no types
    """MaxViT's, over the places of a window or a grid."""

    recorded_form = FEWER_HEADS

    def forward(self, x: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (batch, windows, places, width).
        """
        mixed = torch.unflatten(self.to_qkv(x), -1, (3, self.n_heads, self.head_dim))
        queries, keys, values = mixed.permute(3, 0, 1, 4, 2, 5)
        seen = queries @ (keys * self.scale_factor).transpose(-2, -1) + self.get_relative_positional_bias()
        answered: Tensor = self.merge((seen.softmax(-1) @ values).transpose(2, 3).flatten(-2))
        return answered


class WindowAttention(ShiftedWindowAttention):  # type: ignore[misc] # torchvision has no types
    """Swin's, over the places of a window that may be shifted."""

    recorded_form = FEWER_HEADS

    def forward(self, x: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (batch, height, width, channels).
        """
        return _attend_windows(self, x)


class WindowAttentionV2(ShiftedWindowAttentionV2):  # type: ignore[misc] # torchvision has no types
    """That of Swin V2: by the cosine, scaled by what was learned."""

    recorded_form = FEWER_HEADS

    def forward(self, x: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (batch, height, width, channels).
        """
        return _attend_windows(self, x, self.logit_scale.clamp(max=math.log(100.0)).exp())


_FORMS: dict[type, type] = {
    nn.MultiheadAttention: SelfAttention,
    RelativePositionalMultiHeadAttention: GridAttention,
    ShiftedWindowAttention: WindowAttention,
    ShiftedWindowAttentionV2: WindowAttentionV2,
}


def _attend_windows(attention: WindowAttention | WindowAttentionV2, x: Tensor, scale: Tensor | None = None) -> Tensor:
    """What both versions share; ``scale`` (heads, 1, 1) is the second's."""
    high, wide = attention.window_size
    batch, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % wide, 0, -height % high))
    rows, columns = x.shape[1] // high, x.shape[2] // wide
    down, right = (
        0 if number == 1 else shift for number, shift in zip((rows, columns), attention.shift_size, strict=True)
    )  # where one window holds everything there is nothing to shift
    if down or right:
        x = x.roll((-down, -right), (1, 2))
    x = x.view(batch, rows, high, columns, wide, channels).transpose(2, 3).reshape(batch, -1, high * wide, channels)

    bias = attention.qkv.bias
    if scale is not None and bias is not None:  # the second version's keys have none
        queries_bias, _, values_bias = bias.chunk(3)
        bias = torch.cat((queries_bias, torch.zeros_like(queries_bias), values_bias))
    mixed = F.linear(x, attention.qkv.weight, bias)
    queries, keys, values = torch.unflatten(mixed, -1, (3, attention.num_heads, -1)).permute(3, 0, 1, 4, 2, 5)
    if scale is None:
        seen = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
    else:
        seen = F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).transpose(-2, -1) * scale
    seen = seen + attention.get_relative_position_bias()
    if down or right:
        places = _region(rows * high, high, down, x).unsqueeze(1) * 3 + _region(columns * wide, wide, right, x)
        places = places.view(rows, high, columns, wide).transpose(1, 2).reshape(rows * columns, 1, high * wide)
        seen = seen + _MASKED * (places.mT != places).to(seen.dtype).unsqueeze(1)
    seen = F.dropout(seen.softmax(-1), attention.attention_dropout, attention.training)

    x = attention.proj((seen @ values).transpose(2, 3).flatten(-2))
    x = F.dropout(x, attention.dropout, attention.training)
    x = x.view(batch, rows, columns, high, wide, channels).transpose(2, 3).reshape(batch, rows * high, -1, channels)
    if down or right:
        x = x.roll((down, right), (1, 2))
    return x[:, :height, :width].contiguous()


def _region(length: int, window: int, shift: int, like: Tensor) -> Tensor:
    """For each place along one side which of the three stretches it came from that a shift puts side by side."""
    place = torch.arange(length, device=like.device)
    if not shift:
        return torch.zeros_like(place)
    return (place >= length - window).long() + (place >= length - shift).long()
