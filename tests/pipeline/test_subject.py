"""A stage reads of the subject what it declared; that alone enters its key."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.dataset import Dataset, Sample
from pipeline.errors import ContractError
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.preprocess import PreprocessSpec
from pipeline.subject import PARTS, Parts, Subject
from pipeline.tasks.classification import Classification


def _samples(*names: str, label: int = 0) -> tuple[Sample, ...]:
    return tuple(Sample(path=Path("images", name), name=name, label=label, sha256=f"hash of {name}") for name in names)


DATASET = Dataset(
    name="set",
    classes=("cat", "dog"),
    train=_samples("a", "b"),
    validation=_samples("h"),
    calibration=_samples("c"),
    test=_samples("d", "e", "f"),
)
EVERYTHING = Parts(
    model=ModelSource(origin="torchvision", name="resnet18"),
    weights=WeightsSource(origin="scratch"),
    dataset=DATASET,
    preprocess=PreprocessSpec(size=(8, 8)),
    task=Classification(),
)
SUBSETS = [frozenset(some) for some in chain.from_iterable(combinations(PARTS, count) for count in range(7))]


class _OtherTask(Classification):
    name = "other"


CHANGED: dict[str, dict[str, Any]] = {
    "model": {"model": replace(EVERYTHING.model, name="resnet34")},
    "weights": {"weights": WeightsSource(origin="file", file_sha256="hash")},
    "train": {"dataset": replace(DATASET, train=_samples("a"))},
    "validation": {"dataset": replace(DATASET, validation=_samples("g"))},
    "calibration": {"dataset": replace(DATASET, calibration=_samples("g"))},
    "preprocess": {"preprocess": PreprocessSpec(size=(9, 9))},
    "task": {"task": _OtherTask()},
}
"""For each part of the subject, what makes it another one and leaves the others alone."""


@pytest.mark.parametrize("part", PARTS)
def test_reading_a_part_that_was_not_declared_is_an_error_that_says_what_to_declare(part: str) -> None:
    subject = Subject(parts=EVERYTHING).restricted(set(PARTS) - {part})
    with pytest.raises(ContractError) as raised:
        getattr(subject, part)
    assert str(raised.value) == (
        f"a stage read {part!r} without declaring it\n"
        f"  got: reads = {sorted(set(PARTS) - {part})}\n"
        f"  fix: add {part!r} to the stage's `reads`, so that it enters the key"
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_declared_part_is_what_the_run_is_about(part: str) -> None:
    source = DATASET if part in {"train", "validation", "calibration"} else EVERYTHING
    assert getattr(Subject(parts=EVERYTHING).restricted([part]), part) == getattr(source, part)


@pytest.mark.parametrize("reads", SUBSETS, ids=lambda reads: "+".join(sorted(reads)) or "nothing")
def test_the_classes_can_be_read_with_either_split_of_the_data_and_only_so(reads: frozenset[str]) -> None:
    subject = Subject(parts=EVERYTHING).restricted(reads)
    if reads & {"train", "calibration"}:
        assert subject.classes == ("cat", "dog")
    else:
        with pytest.raises(ContractError, match="a stage read 'train' without declaring it"):
            _ = subject.classes


@pytest.mark.parametrize("reads", SUBSETS, ids=lambda reads: "+".join(sorted(reads)) or "nothing")
def test_the_identity_holds_the_readable_parts_and_no_other(reads: frozenset[str]) -> None:
    assert set(Subject(parts=EVERYTHING).restricted(reads).identity()) == reads


@pytest.mark.parametrize("part", PARTS)
def test_another_part_has_another_identity_and_leaves_the_others_theirs(part: str) -> None:
    before = Subject(parts=EVERYTHING).identity()
    after = Subject(parts=replace(EVERYTHING, **CHANGED[part])).identity()
    assert {name for name in PARTS if before[name] != after[name]} == {part}


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_other_class_names_are_other_data(split: str) -> None:
    renamed = replace(EVERYTHING, dataset=replace(DATASET, classes=("cat", "fox")))
    before, after = (Subject(parts=parts).restricted([split]).identity() for parts in (EVERYTHING, renamed))
    assert before != after


def test_another_label_is_other_data() -> None:
    relabelled = replace(EVERYTHING, dataset=replace(DATASET, train=_samples("a", "b", label=1)))
    assert Subject(parts=relabelled).identity()["train"] != Subject(parts=EVERYTHING).identity()["train"]


def test_the_test_split_is_in_no_identity() -> None:
    other = replace(EVERYTHING, dataset=replace(DATASET, test=_samples("z")))
    assert Subject(parts=other).identity() == Subject(parts=EVERYTHING).identity()


def test_the_test_split_is_no_part_that_could_be_declared() -> None:
    assert not hasattr(Subject(parts=EVERYTHING).restricted([*PARTS, "test"]), "test")


def test_places_and_reasons_are_in_no_identity() -> None:
    moved = replace(
        EVERYTHING,
        model=replace(EVERYTHING.model, file=Path("elsewhere.py")),
        weights=replace(EVERYTHING.weights, reason="another one", file=Path("elsewhere.pth")),
        dataset=replace(
            DATASET, name="another name", train=tuple(replace(one, path=Path("elsewhere")) for one in DATASET.train)
        ),
    )
    assert Subject(parts=moved).identity() == Subject(parts=EVERYTHING).identity()


def test_the_same_images_at_another_place_have_the_same_identity(
    tiny_subject: Subject, tiny_data: Path, tmp_path: Path
) -> None:
    from pipeline.data.open import open_dataset

    (tmp_path / "moved").symlink_to(tiny_data)
    moved = open_dataset(str(tmp_path / "moved"), cache=tmp_path / "cache" / "data")
    parts = replace(tiny_subject.parts, dataset=moved)
    assert Subject(parts=parts).identity() == tiny_subject.identity()


@given(st.sets(st.sampled_from(PARTS)), st.sets(st.sampled_from(PARTS)))
def test_restricting_twice_allows_no_more_than_either_does(first: set[str], second: set[str]) -> None:
    twice = Subject(parts=EVERYTHING).restricted(first).restricted(second)
    assert set(twice.identity()) == first & second
