"""A network that ends in softmax is trained as if it did not, and stays what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.images import Batch, TrainingImages

if TYPE_CHECKING:
    from pipeline.data import Dataset
    from pipeline.preprocess import PreprocessSpec

TASK = Classification()


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())


def _network(*ending: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3), *ending)


def test_logits_are_read_as_they_are(images: TrainingImages) -> None:
    outputs = torch.randn(4, 3)

    for ending in ((), (nn.LogSoftmax(dim=1),), (nn.Sigmoid(),)):
        assert TASK.reader(_network(*ending), images.first(4))(outputs) is outputs


def test_the_loss_and_its_gradient_are_those_without_the_softmax(images: TrainingImages) -> None:
    inputs, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 3
    gradients = []
    for network in (_network(), _network(nn.Softmax(dim=1))):
        read = TASK.reader(network, images.first(4))
        batch = Batch(indices=torch.arange(8), inputs=inputs, labels=labels, view=0)
        TASK.loss(read(network(inputs)), batch).backward()
        gradients.append(network[1].weight.grad)

    torch.testing.assert_close(gradients[1], gradients[0])


def test_probabilities_that_vanish_give_no_infinite_loss(images: TrainingImages) -> None:
    read = TASK.reader(_network(nn.Softmax(dim=1)), images.first(4))

    assert torch.isfinite(read(torch.tensor([[1.0, 0.0, 0.0]]))).all()
