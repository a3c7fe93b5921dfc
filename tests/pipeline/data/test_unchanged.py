"""An image that became another one while a stage ran is noticed, and nothing is kept under the old one's name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from PIL import Image

from pipeline.artifact import ArtifactKind
from pipeline.chain.execution import cached, execute
from pipeline.data.open import open_dataset
from pipeline.data.unchanged import refuse_changed
from pipeline.errors import DataError
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs, Made, Stage, Workspace
from pipeline.store import Store
from pipeline.subject import Parts, Subject

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten images of one class."""
    folder = tmp_path / "own" / "val" / "cat"
    folder.mkdir(parents=True)
    for number in range(10):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


def _opened(images: Path, tmp_path: Path) -> Dataset:
    return open_dataset(str(images.parent.parent), cache=tmp_path / "cache")


def test_another_content_and_a_removed_file_are_named(images: Path, tmp_path: Path) -> None:
    dataset = _opened(images, tmp_path)
    refuse_changed(dataset.test)
    Image.new("RGB", (5, 5)).save(dataset.test[2].path)
    dataset.test[5].path.unlink()
    with pytest.raises(DataError, match="2 images are others than at the start") as raised:
        refuse_changed(dataset.test)
    assert raised.value.where == str(dataset.test[2].path)


def test_a_new_time_alone_is_no_change(images: Path, tmp_path: Path) -> None:
    dataset = _opened(images, tmp_path)
    for sample in dataset.test:
        os.utime(sample.path, ns=(1, 1))
    refuse_changed(dataset.test)


class _Meddling(Stage):
    """Stands for a stage beside which somebody changes an image."""

    name: ClassVar = "meddling"
    version: ClassVar = 1
    takes: ClassVar = ()
    gives: ClassVar = ArtifactKind.ENGINE
    reads: ClassVar = frozenset({"calibration"})
    pins: ClassVar = ()

    def run(self, inputs: Inputs, workspace: Workspace) -> Made:
        (workspace.folder / "engine").write_bytes(b"made of other images than it says")
        Image.new("RGB", (6, 6)).save(inputs.subject.calibration[0].path)
        return Made(facts={})


def test_a_stages_result_on_changed_images_is_not_kept(images: Path, tmp_path: Path, tiny_parts: Parts) -> None:
    inputs = Inputs(
        artifacts={}, subject=Subject(parts=replace(tiny_parts, dataset=_opened(images, tmp_path))), teachers=()
    )
    store, stage = Store(tmp_path / "store"), _Meddling()
    with pytest.raises(DataError, match="the data changed while it was used"):
        execute(stage, inputs, store, seed=0, progress=SilentProgress())
    assert cached(stage, inputs, store, seed=0) is None
