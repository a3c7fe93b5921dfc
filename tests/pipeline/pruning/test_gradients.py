"""Gradients that channels are judged by: of everything that is judged, and of nothing after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.gradients import gradients_of
from pipeline.tasks.classification import Classification
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from pipeline.subject import Parts


class _WithIdle(nn.Module):
    """A frozen stem, and a branch that is asked and counts for nothing, as an auxiliary classifier without its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Linear(16, 3)
        self.side, self.idle = nn.Conv2d(16, 16, 3), nn.Linear(16, 3)
        self.stem.requires_grad_(False)

    def forward(self, given: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        seen = self.stem(given).relu()
        answer = self.head(self.body(seen).relu().mean((2, 3)))
        return (answer, self.idle(self.side(seen).relu().mean((2, 3)))) if self.training else answer


def test_frozen_layers_have_gradients_and_what_the_loss_does_not_reach_has_zeros(session_parts: Parts) -> None:
    torch.manual_seed(0)
    network, task = _WithIdle().eval(), Classification()
    images = TrainingImages(session_parts.dataset.train[:8], session_parts.preprocess, SilentProgress(), task)

    with gradients_of("taylor", network, images, task):
        held = {name: one.grad.abs().sum().item() for name, one in network.named_parameters() if one.grad is not None}
        assert not network.stem.weight.requires_grad

    assert {name for name, amount in held.items() if not amount} == {
        "side.weight",
        "side.bias",
        "idle.weight",
        "idle.bias",
    }
    assert held.keys() == dict(network.named_parameters()).keys()
    assert all(one.grad is None for one in network.parameters())


def test_channels_go_by_their_effect_on_a_loss_that_does_not_reach_all(session_parts: Parts) -> None:
    torch.manual_seed(0)
    network, task = _WithIdle().eval(), Classification()
    images = TrainingImages(session_parts.dataset.train[:8], session_parts.preprocess, SilentProgress(), task)
    cutter = ChannelGroups(network, input_shape=session_parts.preprocess.shape, outputs=3, importance="taylor")

    with cutter.judging(images, task, seed=0):
        scores = {group.root: group.scores for group in cutter.groups()}
        cutter.cut({"stem": 8, "body": 8, "side": 8})

    assert scores["side"].tolist() == [0.0] * 16
    assert scores["body"].mean().item() > 0
    assert [layer.out_channels for layer in (network.stem, network.body, network.side)] == [8, 8, 8]
