"""Which images a bundle is judged with: those that were named, else those it was made with, wherever they lie."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from exporters.bundle import Bundle
from exporters.provenance import PROVENANCE
from pipeline.data.open import open_dataset
from pipeline.errors import DataError, IntegrityError
from pipeline.measuring.bundle_images import images_for, remember_dataset
from pipeline.progress import SilentProgress
from pipeline.recipe import DataSection

if TYPE_CHECKING:
    from pipeline.data import Dataset
    from pipeline.store import Store

Remake = Callable[..., Bundle]


class _Notes(SilentProgress):
    """Remembers what the user was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def photos(tiny_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_data, tmp_path / "photos"))


def _of(dataset: Dataset, trained: Bundle, remake: Remake) -> Bundle:
    """The trained bundle as if it had been made with these images."""
    data = {"name": dataset.name, "test": dataset.split_identity("test")}
    return remake({"provenance": {**trained.manifest["provenance"], "data": data}})


def _opened(store: Store, source: Path, **options: Any) -> Dataset:  # noqa: ANN401 - passed on
    return open_dataset(str(source), cache=store.root / "data", **options)


@pytest.mark.parametrize("test", ["../../../secret", 3, None])
def test_a_bundle_that_names_its_images_by_no_hash_is_refused(
    trained: Bundle, remake: Remake, store: Store, test: object
) -> None:
    odd = remake({"provenance": {**trained.manifest["provenance"], "data": {"name": "x", "test": test}}})
    with pytest.raises(IntegrityError, match="does not say by a hash"):
        images_for(odd, None, store, SilentProgress())


def test_images_of_an_earlier_run_are_found_again(trained: Bundle, photos: Path, store: Store) -> None:
    """The trained bundle's images by their content, where this machine has them."""
    progress = _Notes()
    remember_dataset(store, _opened(store, photos), DataSection(source=str(photos)), seed=0)

    found = images_for(trained, None, store, progress)

    assert found.split_identity("test") == trained.manifest["provenance"]["data"]["test"]
    assert {sample.path.is_relative_to(photos) for sample in found.test} == {True}
    assert progress.notes == []


def test_a_relative_folder_is_found_from_elsewhere(
    trained: Bundle, photos: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(photos.parent)
    remember_dataset(store, _opened(store, Path("photos")), DataSection(source="photos"), seed=0)
    monkeypatch.chdir(os.sep)

    assert len(images_for(trained, None, store, SilentProgress()).test) == 72


def test_a_split_of_ones_own_is_found_again_as_it_was(
    trained: Bundle, photos: Path, store: Store, remake: Remake, tmp_path: Path
) -> None:
    names = tmp_path / "test.txt"
    names.write_text("".join(f"val/{colour}/{number:03}.png\n" for colour in ("red", "blue") for number in range(5)))
    dataset = _opened(store, photos, test_list=names, seed=3)
    remember_dataset(store, dataset, DataSection(source=str(photos), test_list=str(names)), seed=3)

    found = images_for(_of(dataset, trained, remake), None, store, SilentProgress())

    assert found.split_identity("test") == dataset.split_identity("test")
    assert len(found.test) == 10


def test_images_that_this_machine_never_saw_have_to_be_named(trained: Bundle, store: Store) -> None:
    with pytest.raises(DataError) as raised:
        images_for(trained, None, store, SilentProgress())

    assert str(raised.value) == (
        f"{trained.root}: the images of this bundle are not known on this machine\n"
        "  got: they were called 'colours'\n"
        "  fix: name them with --data"
    )


def test_what_is_named_wins_over_what_is_remembered(
    trained: Bundle, photos: Path, tiny_data: Path, store: Store
) -> None:
    remember_dataset(store, _opened(store, photos), DataSection(source=str(photos)), seed=0)

    found = images_for(trained, str(tiny_data), store, SilentProgress())

    assert {sample.path.is_relative_to(tiny_data) for sample in found.test} == {True}


def test_other_images_than_the_bundles_own_are_said_to_be_others(trained: Bundle, photos: Path, store: Store) -> None:
    (photos / "val" / "red" / "000.png").unlink()
    progress = _Notes()

    images_for(trained, str(photos), store, progress)

    assert progress.notes == ["judged on 71 images of photos, not on those the bundle was made with"]


def test_remembered_images_that_changed_meanwhile_are_said_to_be_others(
    trained: Bundle, photos: Path, store: Store
) -> None:
    remember_dataset(store, _opened(store, photos), DataSection(source=str(photos)), seed=0)
    (photos / "val" / "red" / "000.png").unlink()
    progress = _Notes()

    images_for(trained, None, store, progress)

    assert len(progress.notes) == 1


def test_remembered_images_that_are_gone_are_a_mistake_in_the_data(trained: Bundle, photos: Path, store: Store) -> None:
    remember_dataset(store, _opened(store, photos), DataSection(source=str(photos)), seed=0)
    shutil.rmtree(photos)

    with pytest.raises(DataError, match="there is no such data folder"):
        images_for(trained, None, store, SilentProgress())


def test_the_embedded_digits_need_no_memory(trained: Bundle, store: Store, remake: Remake) -> None:
    digits = open_dataset("digits", cache=store.root / "data")
    progress = _Notes()

    found = images_for(_of(digits, trained, remake), None, store, progress)

    assert found.split_identity("test") == digits.split_identity("test")
    assert progress.notes == []


def test_the_folder_that_is_named_is_split_as_it_was_for_the_run(
    trained: Bundle, photos: Path, store: Store, remake: Remake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the images that a bundle was trained on would judge it."""
    alone = photos / "train"
    dataset = _opened(store, alone, seed=1, test_images=12)
    remember_dataset(store, dataset, DataSection(source=str(alone), test_images=12), seed=1)
    bundle = _of(dataset, trained, remake)
    progress = _Notes()
    monkeypatch.chdir(photos)

    assert _opened(store, alone).split_identity("test") != dataset.split_identity("test")
    for text in ("train", str(alone)):
        assert images_for(bundle, text, store, progress) == dataset
    assert progress.notes == []


def test_a_copy_of_the_folder_elsewhere_is_split_by_the_bundles_seed(
    trained: Bundle, photos: Path, store: Store, remake: Remake
) -> None:
    dataset = _opened(store, photos / "train", seed=1)
    stages = [{"stage": "baseline", "seed": 1}]
    told = {"predicate": {"buildDefinition": {"externalParameters": {"stages": stages}}}}
    odd = (b"{", b"[]", b'{"predicate": {"buildDefinition": {"externalParameters": {"stages": []}}}}')
    said, *silent = (remake({PROVENANCE: one}) for one in (json.dumps(told).encode(), *odd))

    assert images_for(said, str(photos / "train"), store, SilentProgress()) == dataset
    for bundle in silent:
        drawn = images_for(bundle, str(photos / "train"), store, SilentProgress())
        assert drawn == _opened(store, photos / "train", seed=0)


def test_bad_boxes_are_left_out_with_a_note(trained: Bundle, store: Store, tmp_path: Path) -> None:
    """The commands on bundles have no option that would ask for that."""
    images, labels = tmp_path / "images" / "val", tmp_path / "labels" / "val"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for number in range(12):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(images / f"{number}.png")
        (labels / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n0 1.5 0.5 0.1 0.1\n", encoding="utf-8")
    (tmp_path / "data.yaml").write_text("names: [dog]\nval: images/val\n", encoding="utf-8")
    progress = _Notes()

    found = images_for(trained, str(tmp_path), store, progress)

    assert {len(sample.label.boxes) for sample in found.test} == {1}
    assert any(note.startswith("12 bad boxes or files are left out: ") for note in progress.notes)


def test_the_embedded_boxes_are_known_everywhere(
    trained: Bundle, remake: Remake, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits-detection").mkdir()  # the embedded ones win
    dataset = open_dataset("digits-detection", cache=store.root / "data", seed=0)
    bundle = _of(dataset, trained, remake)
    assert images_for(bundle, None, store, SilentProgress()).test == dataset.test
    remember_dataset(store, dataset, DataSection(source="digits-detection"), seed=0)
    assert images_for(bundle, None, store, SilentProgress()).test == dataset.test
