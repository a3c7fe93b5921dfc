"""Training in fp16 through Fabric's own scaler, on the CPU: everything of it that needs no GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from pipeline.errors import EdgewrightError
from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.hardware import scaler_of
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import train
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec

_OPTIMIZERS = ["adamw", "adam", "sgd"]


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())


@pytest.fixture
def fabrics(monkeypatch: pytest.MonkeyPatch) -> list[Fabric]:
    """Those of the trainings that follow: mixed precision with a scaler, which Fabric itself sets up on GPUs alone."""
    made = []

    def fabric_for(*_: object) -> Fabric:
        made.append(Fabric(accelerator="cpu", plugins=[MixedPrecision("16-mixed", "cpu")]))
        return made[-1]

    monkeypatch.setattr("pipeline.training.loop.fabric_for", fabric_for)
    return made


def _network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(392, 3)
        )


def _cross_entropy(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs.float(), batch.labels)


def _schedule(optimizer: str, **fields: object) -> Schedule:
    rate = 0.05 if optimizer == "sgd" else 3e-3
    return Schedule.model_validate({"epochs": 6, "learning_rate": rate, "optimizer": optimizer, **fields})


def _train(network: nn.Module, images: TrainingImages, schedule: Schedule, loss: object = _cross_entropy) -> None:
    train(network, images, schedule, loss, seed=0, progress=SilentProgress(), description="a training")  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", _OPTIMIZERS)
def test_fp16_learns_with_every_optimiser(images: TrainingImages, fabrics: list[Fabric], optimizer: str) -> None:
    network = _network()
    _train(network, images, _schedule(optimizer))
    (fabric,) = fabrics
    assert scaler_of(fabric) is not None
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    with torch.no_grad():
        said = network(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9


@pytest.mark.usefixtures("fabrics")
@pytest.mark.parametrize("optimizer", _OPTIMIZERS)
def test_gradients_are_clipped_at_their_own_length_and_not_at_the_scaled_one(
    images: TrainingImages, optimizer: str
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    _train(network, images, _schedule(optimizer, epochs=1, clip_norm=0.25), lambda outputs, _: outputs.float().mean())
    gradients = torch.cat([value.grad.flatten() for value in network.parameters() if value.grad is not None])
    assert float(gradients.norm()) == pytest.approx(0.25, rel=1e-3)


def test_a_step_whose_gradient_overflows_is_left_out_and_no_error(
    images: TrainingImages, fabrics: list[Fabric]
) -> None:
    network, weights = _network(), list[torch.Tensor]()

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        weights.append(network[0].weight.detach().clone())
        # Of 65,536 times as much as the first steps are scaled by, no gradient of fp16 is left.
        return _cross_entropy(outputs, batch) * (1e5 if len(weights) == 3 else 1.0)

    _train(network, images, _schedule("adamw", epochs=2), loss)
    assert torch.equal(weights[3], weights[2])
    assert not torch.equal(weights[2], weights[1])
    assert not torch.equal(weights[4], weights[3])
    (fabric,) = fabrics
    scaler = scaler_of(fabric)
    assert scaler is not None
    assert scaler.get_scale() == 2.0**15


@pytest.mark.usefixtures("fabrics")
def test_a_gradient_that_no_scale_makes_finite_ends_the_training(images: TrainingImages) -> None:
    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        # finite itself, but not its slope: the root of what is 0
        return _cross_entropy(outputs, batch) + (outputs - outputs.detach()).abs().sum().sqrt()

    with pytest.raises(EdgewrightError, match="the gradient is no longer finite") as raised:
        _train(_network(), images, _schedule("adamw", epochs=20, batch_size=32), loss)
    assert raised.value.where == "a training, step 33"


@pytest.mark.usefixtures("fabrics")
def test_a_loss_that_is_not_finite_ends_it_at_once(images: TrainingImages) -> None:
    with pytest.raises(EdgewrightError, match="the loss is no longer finite") as raised:
        _train(_network(), images, _schedule("adamw"), lambda outputs, _: outputs.sum() * float("nan"))
    assert raised.value.where == "a training, step 0"
