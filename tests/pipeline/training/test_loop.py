"""The training loop: reproducible to the bit, on schedule, and loud when it diverges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import EdgewrightError
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.training.batch_norm import reestimate_batch_norm
from pipeline.training.images import TrainingImages
from pipeline.training.loop import Batch, BatchLoss, answers, train
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    """96 images of three colours."""
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress())


def _network() -> nn.Sequential:
    """The same one at each call; its dropout draws random numbers in every step."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(392, 3)
        )


def _cross_entropy(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, batch.labels)


class _Progress(SilentProgress):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.status = ""

    def track(self, description: str, total: int) -> _Progress:
        self.total = total
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to close."""

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self.done += steps
        self.status = status


def _train(
    network: nn.Module,
    images: TrainingImages,
    schedule: Schedule,
    loss: BatchLoss = _cross_entropy,
    *,
    seed: int = 0,
    progress: _Progress | None = None,
) -> nn.Module:
    train(network, images, schedule, loss, seed=seed, progress=progress or _Progress(), description="teaching a test")
    return network


def _state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_same_seed_gives_the_same_bits(images: TrainingImages) -> None:
    schedule = Schedule(epochs=2, augment=("flip", "shift"))
    first = _state(_train(_network(), images, schedule, seed=5))
    torch.manual_seed(1234)  # what else was drawn in this process does not count
    assert _same(first, _state(_train(_network(), images, schedule, seed=5)))


def test_another_seed_gives_another_network(images: TrainingImages) -> None:
    first, second = (_state(_train(_network(), images, Schedule(epochs=2), seed=seed)) for seed in (5, 6))
    assert not _same(first, second)


def test_training_leaves_the_global_generator_as_it_was(images: TrainingImages) -> None:
    before = torch.random.get_rng_state()
    _train(_network(), images, Schedule(epochs=2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_loss_falls_until_the_colours_are_told_apart(images: TrainingImages) -> None:
    def loss_and_hits(network: nn.Module) -> tuple[float, float]:
        outputs = answers(network, images, batch_size=32, progress=SilentProgress())
        hits = (outputs.argmax(dim=1) == images.labels).double().mean()
        return float(nn.functional.cross_entropy(outputs, images.labels)), float(hits)

    network = _network()
    before, _ = loss_and_hits(network)
    after, hits = loss_and_hits(_train(network, images, Schedule(epochs=6, learning_rate=3e-3)))
    assert after < 0.2 * before
    assert hits > 0.95


def test_a_loss_that_is_not_finite_names_the_step(images: TrainingImages) -> None:
    calls = [0]

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        calls[0] += 1
        return _cross_entropy(outputs, batch) * (math.nan if calls[0] == 5 else 1.0)

    with pytest.raises(EdgewrightError, match="training diverged: the loss is no longer finite") as raised:
        _train(_network(), images, Schedule(epochs=3), loss)
    assert calls[0] == 5
    assert raised.value.where == "teaching a test, step 4"  # counted from 0
    assert raised.value.got == "nan"
    assert "lower the learning rate" in str(raised.value)


def test_a_network_whose_weights_explode_is_found_out(images: TrainingImages) -> None:
    with pytest.raises(EdgewrightError, match="training diverged") as raised:
        _train(_network(), images, Schedule(epochs=20, learning_rate=1e30, batch_size=8))
    assert raised.value.where is not None
    assert raised.value.where.startswith("teaching a test, step ")


def test_the_network_ends_in_eval_mode_on_the_cpu(images: TrainingImages) -> None:
    network = _train(_network(), images, Schedule(epochs=2))
    assert not any(module.training for module in network.modules())
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}


def test_batch_norm_ends_with_the_statistics_of_the_final_weights(images: TrainingImages) -> None:
    network = _train(_network(), images, Schedule(epochs=1, batch_size=24))
    ended = _state(network)
    reestimate_batch_norm(network, images, batch_size=96)
    torch.testing.assert_close(network[1].running_mean, ended["1.running_mean"])
    torch.testing.assert_close(network[1].running_var, ended["1.running_var"])


def test_every_image_is_seen_once_an_epoch_with_its_label_in_another_order(images: TrainingImages) -> None:
    seen: list[int] = []

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        assert torch.equal(batch.labels.cpu(), images.labels[batch.indices.cpu()])
        seen.extend(batch.indices.tolist())
        return _cross_entropy(outputs, batch)

    _train(_network(), images, Schedule(epochs=2, batch_size=40), loss)
    epochs = [seen[:96], seen[96:]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(96))] * 2
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_progress_reaches_its_total_and_tells_the_loss(images: TrainingImages) -> None:
    progress = _Progress()
    _train(_network(), images, Schedule(epochs=2, batch_size=36), progress=progress)
    assert (progress.done, progress.total) == (6, 6)
    assert progress.status.startswith("loss 0.") or progress.status.startswith("loss 1.")


class _Scalar(nn.Module):
    """One parameter, whose answer is itself."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(inputs))


def _rates(images: TrainingImages, schedule: Schedule, progress: _Progress | None = None) -> np.ndarray:
    """The learning rate of every step.

    AdamW's decay is decoupled from the gradient: under a loss without slope each step only shrinks the parameter, by
    the product of rate and decay.
    """
    network = _Scalar()
    at: list[float] = []

    def loss(outputs: torch.Tensor, _batch: Batch) -> torch.Tensor:
        at.append(network.value.item())
        return (0 * outputs).sum()

    _train(network, images, schedule, loss, progress=progress)
    values = np.array([*at, network.value.item()])
    return (1 - values[1:] / values[:-1]) / schedule.weight_decay


def _one_cycle(schedule: Schedule, steps: int) -> np.ndarray:
    """Half a cosine from a 25th of the peak to the peak, half a cosine from there to nothing.

    The last point, where nothing is left, is one step after the end.
    """
    peak, start = schedule.learning_rate, schedule.learning_rate / 25
    top = schedule.warmup * (steps + 1) - 1
    position = np.arange(steps)
    rising = start + (peak - start) * (1 - np.cos(np.pi * position / top)) / 2
    falling = start / 1e4 + (peak - start / 1e4) * (1 + np.cos(np.pi * (position - top) / (steps - top))) / 2
    return np.where(position <= top, rising, falling)


@pytest.mark.parametrize("warmup", [0.25, 0.6])
def test_the_learning_rate_makes_one_cycle(images: TrainingImages, warmup: float) -> None:
    schedule = Schedule(epochs=5, batch_size=32, learning_rate=0.02, weight_decay=0.5, warmup=warmup)
    np.testing.assert_allclose(_rates(images, schedule), _one_cycle(schedule, 15), rtol=1e-6)


def test_a_batch_of_one_image_is_no_step_of_the_cycle(images: TrainingImages) -> None:
    # 96 images in batches of 19 leave one over in every epoch, which batch norm cannot learn from: 5 steps an epoch.
    schedule = Schedule(epochs=3, batch_size=19, learning_rate=0.02, weight_decay=0.5)
    rates = _rates(images, schedule)
    assert len(rates) == 15
    np.testing.assert_allclose(rates, _one_cycle(schedule, 15), rtol=1e-6)


def test_a_batch_of_one_image_does_not_count_for_progress(images: TrainingImages) -> None:
    progress = _Progress()
    _rates(images, Schedule(epochs=3, batch_size=19), progress)
    assert progress.done == progress.total == 15


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_a_training_of_few_steps_keeps_to_the_peak(images: TrainingImages, steps: int) -> None:
    schedule = Schedule(epochs=steps, batch_size=96, learning_rate=0.02)
    rates = _rates(images, schedule)
    assert len(rates) == steps
    assert 0 < rates.min() <= rates.max() <= 0.02 * (1 + 1e-6)


def test_weights_decay_by_the_learning_rates_share(images: TrainingImages) -> None:
    schedule = Schedule(epochs=2, learning_rate=0.02, weight_decay=0.5)
    network = _Scalar()
    _train(network, images, schedule, lambda outputs, _batch: (0 * outputs).sum())
    assert network.value.item() == pytest.approx(np.prod(1 - 0.5 * _one_cycle(schedule, 6)), rel=1e-6)


def test_gradients_are_clipped(images: TrainingImages) -> None:
    network = _Scalar()
    _train(network, images, Schedule(epochs=2, clip_norm=0.25), lambda outputs, _batch: outputs.sum())
    assert network.value.grad.item() == pytest.approx(0.25, rel=1e-4)  # unclipped: 32, one for each image


def _seen(images: TrainingImages, schedule: Schedule) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each batch as the network saw it, with the images it was made of."""
    pairs = []

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        original = next(images.batches(batch.indices.cpu(), len(batch.indices)))[1]
        pairs.append((batch.inputs.cpu().numpy(), original.numpy()))
        return outputs.sum()

    _train(_Scalar(), images, schedule, loss)
    return pairs


def test_without_augmentation_the_images_are_seen_as_they_are(images: TrainingImages) -> None:
    for seen, original in _seen(images, Schedule(epochs=2)):
        np.testing.assert_array_equal(seen, original)


def test_flip_mirrors_about_half_of_the_images_and_changes_nothing_else(images: TrainingImages) -> None:
    mirrored = []
    for seen, original in _seen(images, Schedule(epochs=2, augment=("flip",))):
        for one, other in zip(seen, original, strict=True):
            mirrored.append(np.array_equal(one, other[:, :, ::-1]))
            assert mirrored[-1] or np.array_equal(one, other)
    assert 0.35 < np.mean(mirrored) < 0.65


def _shift(seen: np.ndarray, original: np.ndarray) -> tuple[int, int]:
    """By how many rows and columns ``original`` was moved, values that leave one side coming in at the other."""
    height, width = original.shape[-2:]
    for down in range(-height // 2, height // 2):
        for right in range(-width // 2, width // 2):
            if np.array_equal(seen, np.roll(original, (down, right), axis=(-2, -1))):
                return down, right
    pytest.fail("the images were not only moved")


def test_shift_moves_a_batch_by_up_to_an_eighth(images: TrainingImages) -> None:
    shifts = [_shift(*pair) for pair in _seen(images, Schedule(epochs=4, batch_size=8, augment=("shift",)))]
    assert {abs(step) for shift in shifts for step in shift} == {0, 1, 2}
    assert any(down != right for down, right in shifts)


def test_shift_moves_by_an_eighth_of_each_side(tiny_dataset: Dataset) -> None:
    wide = TrainingImages(tiny_dataset.train, PreprocessSpec(size=(16, 48)), SilentProgress())
    shifts = [_shift(*pair) for pair in _seen(wide, Schedule(epochs=1, batch_size=8, augment=("shift",)))]
    assert max(abs(down) for down, _ in shifts) <= 2
    assert 2 < max(abs(right) for _, right in shifts) <= 6


def test_answers_are_the_outputs_in_eval_mode_in_the_order_of_the_split(images: TrainingImages) -> None:
    network = _network().train()
    found = answers(network, images, batch_size=40, progress=SilentProgress())
    with torch.no_grad():
        wanted = network.eval()(next(images.batches(torch.arange(96), 96))[1])
    torch.testing.assert_close(found, wanted)
    assert not found.requires_grad


def test_asking_tells_of_every_image(images: TrainingImages) -> None:
    progress = _Progress()
    answers(_network(), images, batch_size=40, progress=progress)
    assert (progress.done, progress.total) == (96, 96)
