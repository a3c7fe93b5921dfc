"""Batch-norm statistics are those of the whole training split under the final weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.data.dataset import Sample
from pipeline.errors import DataError
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.batch_norm import current_statistics, reestimate_batch_norm
from pipeline.training.images import TrainingImages

_COUNT = 34
_PREPROCESS = PreprocessSpec(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    """Images that grow brighter one by one, as a split does that is sorted by class: no batch is like the whole."""
    folder = tmp_path_factory.mktemp("images")
    samples = []
    for number in range(_COUNT):
        path = Path(folder, f"{number:02}.png")
        noise = np.random.default_rng(number).integers(0, 50, (8, 8, 3))
        Image.fromarray((noise + 6 * number).astype(np.uint8)).save(path)
        samples.append(Sample(path=path, name=path.name, label=0, sha256=str(number)))
    return TrainingImages(samples, _PREPROCESS, SilentProgress(), Classification())


@pytest.fixture(scope="module")
def pixels(images: TrainingImages) -> np.ndarray:
    """All inputs, (images, 3, 8, 8)."""
    return next(images.batches(torch.arange(_COUNT), _COUNT)).inputs.numpy().astype(np.float64)


def _first_layer() -> nn.BatchNorm2d:
    """A batch norm that sees the images themselves, with statistics of something else and a momentum of its own."""
    layer = nn.BatchNorm2d(3, momentum=0.013)
    nn.init.constant_(layer.running_mean, 7.0)
    nn.init.constant_(layer.running_var, 0.01)
    return layer


def test_with_one_batch_they_are_the_mean_and_variance_of_the_data(images: TrainingImages, pixels: np.ndarray) -> None:
    layer = _first_layer()
    reestimate_batch_norm(layer, images, batch_size=_COUNT)
    np.testing.assert_allclose(layer.running_mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(layer.running_var, pixels.var(axis=(0, 2, 3)), rtol=1e-3)


@pytest.mark.parametrize("batch_size", [2, 17])
def test_the_mean_of_equal_batches_is_the_mean_of_the_data(
    images: TrainingImages, pixels: np.ndarray, batch_size: int
) -> None:
    layer = _first_layer()
    reestimate_batch_norm(layer, images, batch_size=batch_size)
    np.testing.assert_allclose(layer.running_mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-4)


def test_variances_of_few_values_a_batch_add_up_to_that_of_the_data(images: TrainingImages, pixels: np.ndarray) -> None:
    """Of a map of one pixel a batch has as many values as images."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), _first_layer())
    reestimate_batch_norm(network, images, batch_size=_COUNT // 17)
    means = pixels.mean(axis=(2, 3))
    np.testing.assert_allclose(network[1].running_var, means.var(axis=0), rtol=2e-3)


def test_for_a_moment_they_are_those_of_some_images_and_then_what_they_were(images: TrainingImages) -> None:
    layer, frozen = _first_layer(), nn.Sequential(nn.Dropout()).eval()
    network = nn.Sequential(layer, frozen).train()
    frozen.eval()
    layer.num_batches_tracked += 5
    lagging = {name: value.clone() for name, value in network.state_dict().items()}
    with current_statistics(network, images, batch_size=_COUNT):
        within = layer.running_mean.clone()
        assert not any(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, lagging[name])
    assert [module.training for module in network.modules()] == [True, True, False, False]
    assert layer.momentum == 0.013
    # A quarter of the images: the first of the order in which the whole split is walked through.
    some = torch.randperm(_COUNT, generator=torch.Generator().manual_seed(0))[: _COUNT // 4]
    (batch,) = images.batches(some, _COUNT)
    torch.testing.assert_close(within, batch.inputs.mean(dim=(0, 2, 3)))


def test_what_fails_within_leaves_them_as_they_were(images: TrainingImages) -> None:
    layer = _first_layer()
    with pytest.raises(KeyboardInterrupt), current_statistics(layer, images, batch_size=8):
        raise KeyboardInterrupt
    assert torch.equal(layer.running_mean, torch.full((3,), 7.0))
    assert layer.training


def test_a_smaller_last_batch_weighs_less(images: TrainingImages, pixels: np.ndarray) -> None:
    # 32 and 2 images: the two brightest ones must not count like all the others together.
    layer = _first_layer()
    reestimate_batch_norm(layer, images, batch_size=32)
    np.testing.assert_allclose(layer.running_mean, pixels.mean(axis=(0, 2, 3)), atol=0.02)


def test_a_last_batch_of_one_image_harms_nothing(images: TrainingImages, pixels: np.ndarray) -> None:
    layer = _first_layer()
    reestimate_batch_norm(layer, images, batch_size=33)
    np.testing.assert_allclose(layer.running_mean, pixels.mean(axis=(0, 2, 3)), atol=0.1)


@pytest.mark.parametrize("batch_size", [4, 17])
def test_the_variance_holds_the_differences_between_batches_too(
    images: TrainingImages, pixels: np.ndarray, batch_size: int
) -> None:
    # Wu and Johnson, section 3: the population's variance is E[mean^2 + var] - E[mean]^2, not the batches' mean var.
    layer = _first_layer()
    reestimate_batch_norm(layer, images, batch_size=batch_size)
    np.testing.assert_allclose(layer.running_var, pixels.var(axis=(0, 2, 3)), rtol=0.1)


def test_a_network_without_dropout_or_noise_gets_the_same_bits_again(images: TrainingImages) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    )
    states = []
    for _ in range(2):
        # Dropout stays off: were it on, the second layer would see other values at each call.
        reestimate_batch_norm(network, images, batch_size=17)
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_what_lies_behind_the_last_batch_norm_is_asked_once(images: TrainingImages, pixels: np.ndarray) -> None:
    """A detector's boxes cost more than its backbone, and no statistics come from them."""
    asked: list[int] = []

    class Behind(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            asked.append(len(inputs))
            return inputs

    layer = _first_layer()
    reestimate_batch_norm(nn.Sequential(layer, Behind()), images, batch_size=17)

    assert asked == [2, 2, 17]  # the first two to see how maps may lie
    np.testing.assert_allclose(layer.running_mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-4)


def test_a_layer_that_is_called_twice_sees_both(images: TrainingImages) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            first: torch.Tensor = self.norm(inputs)
            return first + self.norm(inputs + 5)

    network = Twice()
    reestimate_batch_norm(network, images, batch_size=17)

    once = nn.BatchNorm2d(3)
    reestimate_batch_norm(once, images, batch_size=17)
    np.testing.assert_allclose(network.norm.running_mean, once.running_mean + 2.5, rtol=1e-4)
    np.testing.assert_allclose(network.norm.running_var, once.running_var + 2.5**2, rtol=1e-3)


def test_a_layer_that_is_never_called_is_as_it_began(images: TrainingImages) -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.used(inputs)
            return found

    network = Idle()
    reestimate_batch_norm(network, images, batch_size=17)

    assert network.idle.running_mean is not None
    assert network.idle.running_var is not None
    assert (network.idle.running_mean.tolist(), network.idle.running_var.tolist()) == ([0.0] * 3, [1.0] * 3)


def test_nothing_else_of_the_network_changes(images: TrainingImages) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.02))
    nn.init.normal_(network[1].weight)
    before = {name: value.clone() for name, value in network.named_parameters()}
    reestimate_batch_norm(network, images, batch_size=17)
    assert network[1].momentum == 0.02
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())
    assert all(value.grad is None for value in network.parameters())


def test_the_network_ends_in_eval_mode(images: TrainingImages) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    reestimate_batch_norm(network, images, batch_size=17)
    assert not any(module.training for module in network.modules())


def test_a_network_without_batch_norm_only_ends_in_eval_mode(images: TrainingImages) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    reestimate_batch_norm(network, images, batch_size=17)
    assert not network[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_layer_that_keeps_no_statistics_is_left_alone(images: TrainingImages) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    reestimate_batch_norm(network, images, batch_size=17)
    assert network[1].running_mean is None


def test_one_image_tells_no_statistics(pixels: np.ndarray) -> None:
    inputs = torch.from_numpy(pixels[:1]).to(torch.uint8)
    one = TrainingImages.of_pixels(inputs, torch.zeros(1, dtype=torch.int64), _PREPROCESS, Classification())
    layer = _first_layer()
    with pytest.raises(DataError, match="too few images"):
        reestimate_batch_norm(layer, one, batch_size=8)
    assert layer.running_mean.tolist() == [7.0] * 3
