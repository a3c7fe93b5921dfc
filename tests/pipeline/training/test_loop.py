"""The training loop: reproducible to the bit, on schedule, and loud when it diverges."""

from __future__ import annotations

import json
import math
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from pipeline.errors import DataError, EdgewrightError, UsageError
from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.batch_norm import reestimate_batch_norm
from pipeline.training.curve import best_of
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import BatchLoss, train
from pipeline.training.schedule import Schedule
from pipeline.training.tensor_file import read_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.subject import Parts


@pytest.fixture(scope="module")
def images(session_parts: Parts) -> TrainingImages:
    """96 images of three colours, read once: nothing changes them."""
    train, preprocess = session_parts.dataset.train, session_parts.preprocess
    return TrainingImages(train, preprocess, SilentProgress(), Classification())


def _network() -> nn.Sequential:
    """The same one at each call; its dropout draws random numbers in every step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(392, 3)
        )


def _undropped() -> nn.Sequential:
    """Without dropout, whose numbers a compiler draws in another order."""
    return nn.Sequential(*(module for module in _network() if not isinstance(module, nn.Dropout)))


def _cross_entropy(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, batch.labels)


class _Progress(SilentProgress):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.status = ""

    def track(self, description: str, total: int, *, even: bool = True) -> _Progress:
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


def test_too_few_images_for_a_step_are_told(session_parts: Parts) -> None:
    train, preprocess = session_parts.dataset.train, session_parts.preprocess
    one = TrainingImages(train[:1], preprocess, SilentProgress(), Classification())
    with pytest.raises(DataError, match="too few training images for one step") as raised:
        _train(_network(), one, Schedule(epochs=3))
    assert (raised.value.where, raised.value.got) == ("teaching a test", "1 for 1 process(es)")


def test_another_seed_gives_another_network(images: TrainingImages) -> None:
    first, second = (_state(_train(_network(), images, Schedule(epochs=2), seed=seed)) for seed in (5, 6))
    assert not _same(first, second)


def test_training_leaves_the_global_generator_as_it_was(images: TrainingImages) -> None:
    before = torch.random.get_rng_state()
    _train(_network(), images, Schedule(epochs=2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_loss_falls_until_the_colours_are_told_apart(images: TrainingImages) -> None:
    def loss_and_hits(network: nn.Module) -> tuple[float, float]:
        with torch.no_grad():
            outputs = network.eval()(images.first(len(images)))
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


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_network_that_the_last_step_ruined_is_not_given_away(
    images: TrainingImages, tmp_path: Path, *, batch_norm: bool
) -> None:
    network = nn.Sequential(*(module for module in _network() if batch_norm or not isinstance(module, nn.BatchNorm2d)))
    # As far as float32 goes: with a batch norm its statistics overflow, without one the weights themselves have to.
    schedule = Schedule(epochs=1, batch_size=96, learning_rate=1e30 if batch_norm else 1e39, warmup=0.9)
    with pytest.raises(EdgewrightError, match="training diverged: the network is no longer finite") as raised:
        train(
            network,
            images,
            schedule,
            _cross_entropy,
            seed=0,
            progress=SilentProgress(),
            description="a training",
            kept=tmp_path,
        )
    assert raised.value.where == ("a training, at its end" if batch_norm else "a training, step 0")
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_state_that_is_not_finite_does_not_take_the_place_of_a_good_one(
    images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.checkpoint._EVERY_S", 0.0)
    network, calls = _network(), [0]
    left = tmp_path / "a-training-training.safetensors"

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:
            with torch.no_grad():
                network[5].bias[1] = math.inf  # behind the loss and its gradient, which stay finite
        return _cross_entropy(outputs, batch)

    with pytest.raises(EdgewrightError, match="training diverged: the network is no longer finite") as raised:
        train(
            network,
            images,
            Schedule(epochs=2, batch_size=24),
            loss,
            seed=0,
            progress=SilentProgress(),
            description="a training",
            kept=tmp_path,
        )
    assert raised.value.where == f"before step 3 of {left.name}"
    assert raised.value.got is not None
    assert "5.bias" in raised.value.got
    tensors, texts = read_tensors(left)
    assert json.loads(texts["state"])["steps"] == 2
    assert all(tensor.isfinite().all() for tensor in tensors.values())


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="done on CPUs alone, and there is a GPU")
def test_what_comes_to_one_pixel_is_multiplied_as_matrices_in_its_steps_alone(images: TrainingImages) -> None:
    last, ways = nn.Conv2d(8, 3, 7), []
    last.register_forward_hook(lambda layer, _, outputs: ways.append((layer.training, outputs.grad_fn)))
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), last, nn.Flatten())
    network(torch.zeros(2, 3, 16, 16))
    _train(network, images, Schedule(epochs=1, batch_size=16))
    before, *steps = (way.name() for training, way in ways if training and way is not None)
    assert "Convolution" in before
    assert len(steps) == 6
    assert not any("Convolution" in way for way in steps)


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
    """One parameter, a matrix of one, whose answer is itself."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones((1, 1), dtype=torch.float64))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(inputs), 1)


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
    return (1 - values[1:] / values[:-1]) / schedule.decay


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


def test_norms_and_biases_do_not_decay(images: TrainingImages) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    before = _state(network)
    _train(
        network,
        images,
        Schedule(epochs=1, learning_rate=0.1, weight_decay=0.5),
        lambda outputs, _batch: (0 * outputs).sum(),
    )
    assert torch.equal(network[1].bias, before["1.bias"])
    assert network[1].weight.abs().sum().item() < 0.99 * before["1.weight"].abs().sum().item()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_every_optimiser_learns_to_tell_the_colours_apart(images: TrainingImages, optimizer: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 3e-3
    schedule = Schedule.model_validate({"epochs": 6, "learning_rate": rate, "optimizer": optimizer})
    network = _train(_network(), images, schedule)
    with torch.no_grad():
        said = network(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9


def test_the_moving_average_is_that_of_the_weights_after_each_step(images: TrainingImages) -> None:
    decay, values = 0.6, list[float]()
    network = _Scalar()

    def loss(outputs: torch.Tensor, _batch: Batch) -> torch.Tensor:
        values.append(network.value.item())
        return (0 * outputs).sum()

    schedule = Schedule(epochs=2, learning_rate=0.02, weight_decay=0.5)
    _train(network, images, schedule.model_copy(update={"ema": decay}), loss)
    rates = _one_cycle(schedule, 6)
    after = [*values[1:], values[-1] * (1 - 0.5 * rates[-1])]
    average = after[0]
    for step, value in enumerate(after[1:], start=1):
        now = min(decay, (1 + step) / (10 + step))  # close at first: the first steps say little
        average = now * average + (1 - now) * value
    assert network.value.item() == pytest.approx(average, rel=1e-6)


class _Killed(Exception):  # noqa: N818 - stands for a signal
    """The training ends here."""


@pytest.mark.parametrize("fields", [{}, {"optimizer": "sgd", "ema": 0.9}, {"augment": ("flip", "shift", "erase")}])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(
    images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object]
) -> None:
    monkeypatch.setattr("pipeline.training.checkpoint._EVERY_S", 0.0)
    schedule = Schedule.model_validate({"epochs": 3, "batch_size": 24, **fields})
    kills, done = [1, 3, 4, 7, 11], list[list[int]]()  # before which steps; the images of each step that was done

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        if kills[:1] == [len(done)]:
            kills.pop(0)
            raise _Killed
        done.append(batch.indices.tolist())
        return _cross_entropy(outputs, batch)

    def run(network: nn.Module, loss: BatchLoss) -> nn.Module:
        train(network, images, schedule, loss, seed=5, progress=SilentProgress(), description="a training", kept=kept)
        return network

    kept = tmp_path / "killed"
    kept.mkdir()
    for _ in range(len(kills)):
        with pytest.raises(_Killed):
            run(_network(), loss)
    resumed = run(_network(), loss)
    assert len(done) == 12  # no step twice
    for epoch in range(3):  # and what follows a kill are the images that were still to come
        assert sorted(chain.from_iterable(done[4 * epoch : 4 * epoch + 4])) == list(range(len(images)))
    kept = tmp_path / "whole"
    kept.mkdir()
    assert _same(_state(run(_network(), _cross_entropy)), _state(resumed))


def test_what_is_left_is_never_half_a_file(images: TrainingImages, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    train(
        _network(),
        images,
        Schedule(epochs=1),
        _cross_entropy,
        seed=0,
        progress=SilentProgress(),
        description="a training",
        kept=kept,
    )
    assert [path.name for path in kept.iterdir()] == ["a-training-training.safetensors"]


def test_a_loss_with_parameters_is_trained_too(images: TrainingImages) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
            return _cross_entropy(self.scale * outputs, batch)

    loss = Scaled()
    _train(_network(), images, Schedule(epochs=2), loss)
    assert loss.scale.item() != 1.0


@pytest.mark.parametrize(("views", "seen"), [(None, 4), (2, 2), (1, 1)])
def test_an_image_has_as_many_views_as_were_asked_for(images: TrainingImages, views: int | None, seen: int) -> None:
    found: dict[int, set[bytes]] = {}

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        for index, row in zip(batch.indices.tolist(), batch.inputs, strict=True):
            found.setdefault(index, set()).add(row.numpy().tobytes())
        return outputs.sum()

    _train(_Scalar(), images, Schedule(epochs=4, augment=("shift", "erase"), views=views), loss)
    assert max(len(views) for views in found.values()) == seen


class _Judge:
    """Gives the epochs scores that were decided before, and remembers the weights it judged."""

    def __init__(self, *scores: float) -> None:
        self._scores = list(scores)
        self.judged: list[dict[str, torch.Tensor]] = []

    def score(self, network: nn.Module) -> float:
        self.judged.append(_state(network))
        return self._scores.pop(0)


def _judged(images: TrainingImages, judge: Any, network: nn.Module, folder: Path | None = None, **fields: Any) -> Any:  # noqa: ANN401
    schedule = Schedule.model_validate({"epochs": 5, **fields})
    return train(
        network,
        images,
        schedule,
        _cross_entropy,
        seed=5,
        progress=SilentProgress(),
        description="a training",
        kept=folder,
        validation=judge,
    )


def test_the_weights_of_the_best_epoch_are_kept(images: TrainingImages) -> None:
    judge, network = _Judge(0.2, 0.9, 0.5, 0.9, 0.3), _network()
    epochs = _judged(images, judge, network)
    assert [epoch.validation for epoch in epochs] == [0.2, 0.9, 0.5, 0.9, 0.3]
    assert best_of(epochs) == 3  # of equals the later one
    for name, value in network.named_parameters():
        assert torch.equal(value, judge.judged[3][name])


def test_a_training_that_gets_no_better_ends(images: TrainingImages) -> None:
    epochs = _judged(images, _Judge(0.2, 0.9, 0.5, 0.6, 0.95), _network(), patience=2)
    assert len(epochs) == 4


def test_a_score_that_stays_the_same_is_no_better_and_the_later_weights_are_kept(images: TrainingImages) -> None:
    judge, network = _Judge(0.9, 0.9, 0.9, 0.9, 0.9), _network()
    assert len(_judged(images, judge, network, patience=2)) == 3
    for name, value in network.named_parameters():
        assert torch.equal(value, judge.judged[2][name])


def test_the_moving_average_is_what_is_judged_and_kept(images: TrainingImages) -> None:
    judge, network = _Judge(0.1, 0.9, 0.2, 0.2, 0.2), _network()
    _judged(images, judge, network, ema=0.9)
    for name, value in network.named_parameters():
        assert torch.equal(value, judge.judged[1][name])


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_an_epoch_is_judged_by_what_would_be_given_away_after_it(images: TrainingImages, ema: float) -> None:
    judge = _Judge(0.1, 0.9, 0.2, 0.2, 0.2)
    _judged(images, judge, _network(), ema=ema)
    for state in judge.judged:
        shipped = _network()
        shipped.load_state_dict(state)
        reestimate_batch_norm(shipped, images, batch_size=128, at_most=len(images) // 4)
        # Neither averages that lag behind, nor those that a moving average of the weights began with.
        assert torch.equal(state["1.running_mean"], shipped[1].running_mean)
        assert torch.equal(state["1.running_var"], shipped[1].running_var)


def test_who_judges_changes_nothing_of_the_training(images: TrainingImages) -> None:
    judged, alone = _network(), _network()
    with_judge = _judged(images, _Judge(0.1, 0.2, 0.3, 0.4, 0.5), judged)
    without = _judged(images, None, alone)
    assert _same(_state(judged), _state(alone))
    assert [epoch.loss for epoch in with_judge] == [epoch.loss for epoch in without]


@pytest.mark.parametrize("ends_after", [2, 3])
def test_the_best_epoch_survives_that_the_training_is_killed(
    images: TrainingImages, tmp_path: Path, ends_after: int
) -> None:
    scores = (0.2, 0.9, 0.5, 0.6, 0.3)

    class Killing(_Judge):
        def score(self, network: nn.Module) -> float:
            if len(self.judged) == ends_after:
                raise _Killed
            return super().score(network)

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = _network()
    wanted = _judged(images, _Judge(*scores), whole, tmp_path / "whole", patience=3)
    with pytest.raises(_Killed):
        _judged(images, Killing(*scores), _network(), tmp_path / "killed", patience=3)
    resumed = _network()
    found = _judged(images, _Judge(*scores[ends_after:]), resumed, tmp_path / "killed", patience=3)
    assert found == wanted
    assert _same(_state(whole), _state(resumed))


def test_the_curve_is_the_mean_loss_of_every_epoch(images: TrainingImages) -> None:
    values: list[float] = []

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        value = _cross_entropy(outputs, batch)
        values.append(value.item())
        return value

    schedule = Schedule(epochs=3, batch_size=24)
    epochs = train(_network(), images, schedule, loss, seed=0, progress=SilentProgress(), description="a training")
    assert [epoch.steps for epoch in epochs] == [4, 8, 12]
    assert [epoch.loss for epoch in epochs] == pytest.approx([np.mean(values[at : at + 4]) for at in (0, 4, 8)])
    assert [epoch.validation for epoch in epochs] == [None] * 3


def test_a_gradient_that_is_not_finite_moves_no_weight(images: TrainingImages) -> None:
    network, before = _network(), dict[str, torch.Tensor]()
    calls = [0]

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:
            before.update({name: value.clone() for name, value in network.named_parameters()})
            # finite itself, but not its slope: the root of what is 0
            return _cross_entropy(outputs, batch) + (outputs - outputs.detach()).abs().sum().sqrt()
        return _cross_entropy(outputs, batch)

    with pytest.raises(EdgewrightError, match="the gradient is no longer finite") as raised:
        _train(network, images, Schedule(epochs=3), loss)
    assert raised.value.where == "teaching a test, step 2"
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_bf16_learns_too_and_leaves_float32_weights(images: TrainingImages) -> None:
    network = _train(_network(), images, Schedule(epochs=6, learning_rate=3e-3, precision="bf16"))
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    with torch.no_grad():
        said = network(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9


def test_gpus_that_a_training_does_not_use_are_left_alone(
    images: TrainingImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, fork = list[object](), torch.random.fork_rng

    def noted(devices: object = "every GPU there is") -> object:
        looked_at.append(devices)
        return fork(devices=[])

    monkeypatch.setattr("pipeline.training.loop.fabric_for", lambda *_: Fabric(accelerator="cpu", devices=1))
    monkeypatch.setattr(torch.random, "fork_rng", noted)
    _train(_undropped(), images, Schedule(epochs=1))
    assert looked_at
    assert all(devices == [] for devices in looked_at)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
@pytest.mark.parametrize("precision", ["auto", "fp16", "float32"])
def test_on_a_gpu_every_precision_learns_and_ends_on_the_cpu(images: TrainingImages, precision: str) -> None:
    schedule = Schedule.model_validate({"epochs": 6, "learning_rate": 3e-3, "precision": precision, "ema": 0.5})
    network = _train(_network(), images, schedule)
    assert {(value.dtype, value.device.type) for value in network.parameters()} == {(torch.float32, "cpu")}
    with torch.no_grad():
        said = network(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_fp16_without_a_gpu_is_one_error(images: TrainingImages) -> None:
    with pytest.raises(UsageError, match="fp16 is trained in on GPUs only"):
        _train(_network(), images, Schedule(epochs=1, precision="fp16"))


def test_the_weights_end_in_the_usual_order_of_memory(images: TrainingImages) -> None:
    network = _train(_network(), images, Schedule(epochs=1))
    assert all(value.is_contiguous() for value in network.state_dict().values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler about torch's own code
def test_a_compiled_network_learns_the_same(images: TrainingImages) -> None:
    schedule = Schedule(epochs=2)
    first, second = (
        _train(_undropped(), images, schedule.model_copy(update={"compiled": compiled})) for compiled in (False, True)
    )
    with torch.no_grad():
        torch.testing.assert_close(second(images.first(8)), first(images.first(8)), rtol=1e-2, atol=1e-3)
