"""What a training leaves, and what becomes of a file that is damaged."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.errors import EdgewrightError
from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.checkpoint import Checkpoints, TrainingState
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import train
from pipeline.training.ranks import Ranks
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec

_FILE = "a-training-training.safetensors"


class _Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())


def _network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(768, 3))


def _train(images: TrainingImages, kept: Path, progress: SilentProgress) -> nn.Module:
    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, batch.labels)

    network = _network()
    train(network, images, Schedule(epochs=2), loss, seed=0, progress=progress, description="a training", kept=kept)
    return network


def _state(scale: float) -> TrainingState:
    network = _network()
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    return TrainingState({"step": network}, torch.optim.AdamW(network.parameters()), scaler)


def _step(state: TrainingState, factor: float) -> None:
    assert state.scaler is not None
    value = state.modules["step"](torch.ones(2, 768)).sum() * factor
    state.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad()
    state.steps += 1


def test_the_scale_of_the_gradients_and_its_history_go_on(tmp_path: Path) -> None:
    before, after = _state(2.0**10), _state(2.0**16)
    _step(before, 3e38)  # overflows: the scale is halved
    _step(before, 1.0)
    Checkpoints(tmp_path, "a").leave(before, now=True)
    Checkpoints(tmp_path, "a").restore(after, SilentProgress())
    for state in (before, after):
        assert state.scaler is not None
        assert state.scaler.get_scale() == 2.0**9
        _step(state, 1.0)
        assert state.scaler.get_scale() == 2.0**9
        _step(state, 1.0)
        assert state.scaler.get_scale() == 2.0**10  # the third good step in a row
    assert after.steps == before.steps == 4


@pytest.mark.parametrize("content", [b"", b"no such file at all", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_checkpoint_that_cannot_be_read_is_told_and_the_training_starts_anew(
    images: TrainingImages, tmp_path: Path, content: bytes
) -> None:
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    for folder in (whole, damaged):
        folder.mkdir()
    wanted = _train(images, whole, SilentProgress())
    (damaged / _FILE).write_bytes(content)
    progress = _Notes()
    found = _train(images, damaged, progress)
    (note,) = progress.notes
    assert note.startswith(f"the checkpoint {damaged / _FILE} cannot be read, so that this training starts anew: ")
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in wanted.state_dict().items())
    assert (damaged / _FILE).stat().st_size == (whole / _FILE).stat().st_size


def test_a_flipped_bit_of_a_checkpoint_is_told_and_the_training_starts_anew(
    images: TrainingImages, tmp_path: Path
) -> None:
    wanted = _train(images, tmp_path, SilentProgress())
    content = bytearray((tmp_path / _FILE).read_bytes())
    content[-1] ^= 1  # of a tensor
    (tmp_path / _FILE).write_bytes(content)
    progress = _Notes()
    found = _train(images, tmp_path, progress)
    (note,) = progress.notes
    assert note.endswith("so that this training starts anew: its bytes are not those that were written")
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in wanted.state_dict().items())


def test_a_checkpoint_of_another_training_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(768, 3), nn.Linear(3, 3))
    other = TrainingState({"step": network}, torch.optim.AdamW(network.parameters()))
    Checkpoints(tmp_path, "a").leave(other, now=True)
    state, progress = _state(2.0**10), _Notes()
    before = state.tensors(), state.told()
    Checkpoints(tmp_path, "a").restore(state, progress)
    (note,) = progress.notes
    assert "is of another training, so that this one starts anew: " in note
    assert state.told() == before[1]
    assert all(torch.equal(value, before[0][name]) for name, value in state.tensors().items())


def test_where_nothing_is_left_nothing_that_reads_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    progress = _Notes()
    Checkpoints(None, "a").restore(_state(2.0**10), progress)
    assert progress.notes == []


def test_memory_that_runs_out_while_a_checkpoint_is_put_back_starts_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Checkpoints(tmp_path, "a").leave(_state(2.0**10), now=True)
    state, progress = _state(2.0**10), _Notes()

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(nn.Module, "load_state_dict", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        Checkpoints(tmp_path, "a").restore(state, progress)
    assert progress.notes == []


def test_processes_that_find_different_checkpoints_do_not_train_together(
    images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranks, "gathered", lambda _ranks, own: {**own, 1: own[0] + 5})
    with pytest.raises(EdgewrightError, match="do not find the same checkpoint") as raised:
        _train(images, tmp_path, SilentProgress())
    assert raised.value.got == "step 0 in the first of them, step 5 in number 2"
    assert not (tmp_path / _FILE).exists()
