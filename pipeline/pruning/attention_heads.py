"""Whole attention heads of torchvision's transformers: those of ViT, Swin, Swin V2 and MaxViT.

Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", 2019 (arXiv:1905.10650). A head goes with its
queries, keys and values, its part of the projection after it and its relative positions; what the attention takes and
gives keeps its width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.pruning.group_source import ChannelGroup
from pipeline.pruning.importance.of_weights import IMPORTANCE_OF_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

__all__ = ["AttentionHeads", "attentions"]


def attentions(network: nn.Module) -> dict[str, nn.Module]:
    """The attentions that heads can be taken out of, by name, in the order of the network.

    Of ``nn.MultiheadAttention`` only those in torchvision's encoder blocks: others may be asked in ways that ours does
    not know.
    """
    from torchvision.models.maxvit import RelativePositionalMultiHeadAttention
    from torchvision.models.swin_transformer import ShiftedWindowAttention
    from torchvision.models.vision_transformer import EncoderBlock

    encoders = {block.self_attention for block in network.modules() if isinstance(block, EncoderBlock)}
    own = (RelativePositionalMultiHeadAttention, ShiftedWindowAttention)
    return {name: module for name, module in network.named_modules() if module in encoders or isinstance(module, own)}


class AttentionHeads:
    """The heads of each attention as a group of channels, of which a head's width goes at once.

    Args:
        network: Cut in place.
        importance: By what heads are judged; see :class:`pipeline.pruning.channel_groups.ChannelGroups`.
        keep: Modules whose heads stay.
    """

    def __init__(self, network: nn.Module, *, importance: str, keep: Collection[nn.Module] = ()) -> None:
        kept = {inner for module in keep for inner in module.modules()}
        self._importance = importance
        self.staying: tuple[str, ...] = ()  # nothing else reads a head's places
        self._heads = {
            name: _Heads.of(module)
            for name, module in attentions(network).items()
            if kept.isdisjoint((module, _Heads.of(module).makes))
        }
        self._names = {module: name for name, module in network.named_modules()}

    def groups(self) -> list[ChannelGroup]:
        """One for each attention; none where heads cannot be judged by this importance."""
        return [
            ChannelGroup(
                root=name,
                channels=heads.number * heads.width,
                scores=scores,
                copies=heads.width,
                kind="attention heads",
                makes=(self._names[heads.makes],),
                takes={self._names[heads.takes]: 1.0},
            )
            for name, heads in self._heads.items()
            if (scores := heads.scores(self._importance)) is not None
        ]

    def cut(self, kept: Mapping[str, int]) -> None:
        """Leave the heads with the highest scores: as many as the channels are enough for, at least one.

        Args:
            kept: Name of an attention to its channels; others stay, and names of other layers are another's.
        """
        for name, heads in self._heads.items():
            number = max(1, kept.get(name, heads.number * heads.width) // heads.width)
            scores = heads.scores(self._importance)
            if number < heads.number and scores is not None:
                heads.leave(scores.topk(number).indices.sort().values)
                self._heads[name] = _Heads.of(heads.attention)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A tensor with a place for each head along one axis: (..., heads, width) flattened there."""

    owner: nn.Module
    name: str
    axis: int
    width: int
    judged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heads:
    """Where an attention keeps what belongs to each of its heads."""

    attention: nn.Module
    counter: str
    makes: nn.Module
    takes: nn.Linear
    number: int
    width: int
    pieces: tuple[_Piece, ...]

    @classmethod
    def of(cls, attention: Any) -> _Heads:  # noqa: ANN401 - which it is shows in what it has
        """Read an attention of one of the kinds that :func:`attentions` finds."""
        if isinstance(attention, nn.MultiheadAttention):
            makes, weight, takes = attention, "in_proj_weight", attention.out_proj
        elif hasattr(attention, "to_qkv"):
            makes, weight, takes = attention.to_qkv, "weight", attention.merge
        else:
            makes, weight, takes = attention.qkv, "weight", attention.proj
        counter = "n_heads" if hasattr(attention, "n_heads") else "num_heads"
        number = int(getattr(attention, counter))
        width = takes.in_features // number
        pieces = [
            _Piece(makes, weight, 0, width, judged=True),
            _Piece(makes, weight.replace("weight", "bias"), 0, width),
            _Piece(takes, "weight", 1, width, judged=True),
            _Piece(attention, "relative_position_bias_table", 1, 1),
            _Piece(attention, "logit_scale", 0, 1),
        ]
        if hasattr(attention, "cpb_mlp"):
            pieces.append(_Piece(attention.cpb_mlp[-1], "weight", 0, 1))
        there = tuple(piece for piece in pieces if getattr(piece.owner, piece.name, None) is not None)
        return cls(
            attention=attention,
            counter=counter,
            makes=makes,
            takes=takes,
            number=number,
            width=width,
            pieces=there,
        )

    def scores(self, importance: str) -> Tensor | None:
        """How much each head matters, (heads,): relative to their mean, except by chance; None: nobody knows."""
        if importance == "random":
            return torch.rand(self.number)
        judge = IMPORTANCE_OF_WEIGHTS.get(importance)
        if judge is None:
            return None
        total = torch.zeros(self.number)
        for piece in self.pieces:
            if piece.judged:
                figures = judge(getattr(piece.owner, piece.name)).detach()
                total += self._by_head(figures, piece).movedim(piece.axis + 1, 0).flatten(1).sum(1).cpu()
        mean = total.mean()
        return total / mean if mean else total

    def leave(self, heads: Tensor) -> None:
        """Take all other heads out.

        Args:
            heads: Indices, ascending, int64.
        """
        from pipeline.models.fewer_heads import let_heads_go

        for piece in self.pieces:
            old = getattr(piece.owner, piece.name)
            left = self._by_head(old.detach(), piece).index_select(piece.axis + 1, heads)
            left = left.flatten(piece.axis, piece.axis + 2).contiguous()
            setattr(piece.owner, piece.name, nn.Parameter(left, requires_grad=old.requires_grad))
            if isinstance(piece.owner, nn.Linear) and piece.name == "weight":
                piece.owner.out_features, piece.owner.in_features = left.shape
        setattr(self.attention, self.counter, len(heads))
        let_heads_go(self.attention)

    def _by_head(self, tensor: Tensor, piece: _Piece) -> Tensor:
        return torch.unflatten(tensor, piece.axis, (-1, self.number, piece.width))
