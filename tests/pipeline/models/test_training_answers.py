"""All answers of training from a network that does not train."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.models.training_answers import answering_as_in_training


class _Net(nn.Module):
    """Says more in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3), nn.Dropout(0.5)

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, bool]:
        return self.drop(self.norm(batch)), self.training


def test_it_says_what_it_says_in_training_and_does_nothing_that_it_does_there() -> None:
    network, batch = _Net().eval(), torch.rand(4, 3, 8, 8)
    wanted, _ = network(batch)
    with answering_as_in_training(network):
        said, training = network(batch)

    assert training
    assert torch.equal(said, wanted)
    assert torch.equal(network.norm.running_mean, torch.zeros(3))
    assert not any(module.training for module in network.modules())
