"""What teachers are remembered to have said: what they said, about the view it was said of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.tasks.distillation.kept_logits import kept_logits
from pipeline.training.cached_answers import TeacherAnswers, ask
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec
    from pipeline.training.schedule import Augmentation


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())


def _network(classes: int = 3) -> nn.Module:
    """Looks at every pixel; would answer at random in training mode."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(768, classes)).train()


def _ask(
    network: nn.Module,
    images: TrainingImages,
    *,
    views: int = 1,
    augment: tuple[Augmentation, ...] = (),
    kept: Path | None = None,
) -> TeacherAnswers:
    return ask(
        network,
        lambda outputs: outputs,
        images,
        views=views,
        augment=augment,
        batch_size=40,
        progress=SilentProgress(),
        kept=kept,
    )


def test_they_are_the_outputs_in_eval_mode_up_to_a_shift(images: TrainingImages) -> None:
    network = _network()
    said = _ask(network, images).said(torch.arange(96), 0)["logits"].float()
    with torch.no_grad():
        wanted = network.eval()(images.first(96))
    torch.testing.assert_close(said.softmax(dim=1), wanted.softmax(dim=1), atol=2e-3, rtol=0)
    assert float(said.max(dim=1).values.abs().max()) == 0


def test_every_view_is_answered_for_itself(images: TrainingImages) -> None:
    network = _network()
    answers = _ask(network, images, views=3, augment=("flip", "shift"))
    order = torch.tensor([50, 3, 17])
    for view in range(3):
        (batch,) = images.batches(order, 3, view=view, augment=("flip", "shift"))
        with torch.no_grad():
            wanted = network(batch.inputs)
        found = answers.said(order, view)["logits"].float()
        torch.testing.assert_close(found.softmax(dim=1), wanted.softmax(dim=1), atol=2e-3, rtol=0)
    first, second, fifth = (answers.said(order, view)["logits"] for view in (0, 1, 4))
    assert not torch.equal(first, second)
    assert torch.equal(fifth, second)


def test_they_survive_being_written(tmp_path: Path) -> None:
    answers = TeacherAnswers(kept_logits(torch.randn(6, 2, 1000, generator=torch.Generator().manual_seed(0))))
    answers.save(tmp_path)
    again = TeacherAnswers.load(tmp_path)
    assert again.views == 2
    for name, tensor in again.said(torch.arange(6), 1).items():
        assert torch.equal(tensor, answers.said(torch.arange(6), 1)[name])


def test_they_are_small(images: TrainingImages, tmp_path: Path) -> None:
    _ask(_network(), images, views=4, augment=("flip",)).save(tmp_path)
    assert (tmp_path / "answers.safetensors").stat().st_size < 96 * 4 * 3 * 2 + 500


def test_a_run_that_was_killed_goes_on_with_the_next_piece(
    images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, asked = _network(), list[int]()
    whole = _ask(network, images, views=2, augment=("flip",))
    monkeypatch.setattr("pipeline.training.cached_answers._IMAGES_A_PIECE", 50)  # 50 and 46 of each view

    def count(_module: nn.Module, inputs: tuple[torch.Tensor], _output: torch.Tensor) -> None:
        if len(inputs[0]) == 2:  # to see how maps may lie
            return
        asked.append(len(inputs[0]))
        if len(asked) == 4:
            raise KeyboardInterrupt

    hook = network.register_forward_hook(count)
    with pytest.raises(KeyboardInterrupt):
        _ask(network, images, views=2, augment=("flip",), kept=tmp_path)
    assert asked == [40, 10, 40, 6]  # the last one is lost
    found = _ask(network, images, views=2, augment=("flip",), kept=tmp_path)
    hook.remove()
    assert asked[4:] == [40, 6, 40, 10, 40, 6]
    torch.testing.assert_close(found.kept["logits"], whole.kept["logits"])
    left = {path.name for path in tmp_path.glob("*.safetensors")}
    assert left == {f"view-{view}-from-{start}.safetensors" for view in (0, 1) for start in (0, 50)}


@pytest.mark.parametrize("damaged", [lambda content: content[:100], lambda content: content[:-1] + b"\x01"])
def test_a_piece_that_cannot_be_read_is_told_and_asked_again(
    images: TrainingImages, tmp_path: Path, damaged: Callable[[bytes], bytes]
) -> None:
    class Notes(SilentProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    network, notes = _network(), list[str]()
    whole = _ask(network, images, kept=tmp_path)
    (piece,) = tmp_path.glob("*.safetensors")
    piece.write_bytes(damaged(piece.read_bytes()))
    again = ask(
        network, lambda outputs: outputs, images, views=1, augment=(), batch_size=40, progress=Notes(), kept=tmp_path
    )
    assert torch.equal(again.kept["logits"], whole.kept["logits"])
    (note,) = notes
    assert note.startswith(f"{piece} cannot be read, so that its teacher is asked again: ")


def test_a_teacher_is_asked_in_float32_wherever_students_train_in_less(
    images: TrainingImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a GPU that multiplies bf16, where that is what nobody having said otherwise means.
    monkeypatch.setattr(
        "pipeline.training.hardware.precision_here",
        lambda precision: "32-true" if precision == "float32" else "bf16-mixed",
    )
    seen = set()
    network = _network()
    network.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    _ask(network, images)
    assert seen == {torch.float32}
