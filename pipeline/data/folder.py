"""A folder of images as a data set.

====================================== ==================== ======================================= ===============
layout                                 test                 calibration                             train
====================================== ==================== ======================================= ===============
``train/ val/``                        ``val/``             part of ``train/``                      its rest
``train/ val/ test/``                  ``test/``            part of ``val/``                        ``train/``
``train/ calibration/ test/``          ``test/``            ``calibration/``                        ``train/``
``val/`` or ``test/`` alone            its rest             part of it                              empty
``train/`` or class folders alone      20 %                 10 %                                    70 %
====================================== ==================== ======================================= ===============

A part is drawn by class with the run's seed: ``calibration_images`` images, at most a fifth of where they come from
(a tenth in the last row). ``valid/`` and ``validation/`` are read as ``val/``. Two text files of relative paths may
name the test and the calibration images instead; what they name is taken out of everything else.

An image that stands in two splits, by its bytes, stays where it is scored and leaves the other with a note: test keeps
it before calibration, calibration before train. Of what is left of train a share of each class may be held back to
judge the epochs of a training by: validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from pipeline.data.boxed.layouts import LAYOUTS
from pipeline.data.dataset import Dataset, Sample
from pipeline.data.scan import class_folders, folders, links_out, links_within, order_of_classes, read_lines
from pipeline.data.split import drop_shared, stratified, two_labels
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.data.index import FileIndex
    from pipeline.progress import Progress

__all__ = ["SplitOptions", "open_folder", "split_pools"]

_VAL_NAMES = ("val", "valid", "validation")
_DETECTION_MARKS = frozenset(("data.yaml", "dataset.yaml", "annotations", "Annotations"))
_WITH_BOXES = frozenset(("images", "labels", "annotations", "Annotations", "JPEGImages"))
"""Folders beside each other in such a set, which are no classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitOptions:
    """How images are drawn where the folder does not say it.

    Attributes:
        seed: Of the draw.
        calibration_images: At most so many images to calibrate on.
        calibration_list: Text file of paths relative to the data set, one a line: the calibration images.
        test_list: The same for the test images.
        test_images: At most so many images to score; None for all.
        validation: Share of the training images, class by class, that is held back from training; at least one image.
    """

    seed: int = 0
    calibration_images: int = 512
    calibration_list: Path | None = None
    test_list: Path | None = None
    test_images: int | None = None
    validation: float = 0.0


def open_folder(root: Path, options: SplitOptions, index: FileIndex, progress: Progress, *, name: str) -> Dataset:
    """Read a folder by the table above.

    Raises:
        DataError: empty or unknown layout, a class that does not fit, an unreadable file, too few images.
    """
    places = _parts(root)
    links: list[Path] = []
    parts = {part: class_folders(path, links) for part, path in places.items()}
    if "all" in parts:
        _refuse_nested(root, parts["all"])
    classes = order_of_classes(root, parts)
    if led_out := links_out(root, [place / name for part, place in places.items() for name in ("", *parts[part])]):
        progress.note(led_out)
    if not_followed := links_within(root, links):
        progress.note(not_followed)
    pools = _samples(root, parts, classes, index, progress)
    if torn := two_labels([sample for pool in pools.values() for sample in pool], classes):
        progress.note(torn)
    dataset = split_pools(pools, root, options, progress)
    return Dataset(
        name=name,
        classes=classes,
        train=dataset["train"],
        validation=dataset["validation"],
        calibration=dataset["calibration"],
        test=dataset["test"],
    )


def _parts(root: Path) -> dict[str, Path]:
    """Part name to folder; ``{"all": root}`` for class folders alone."""
    names = folders(root)
    if not any(root.iterdir()):
        raise DataError(
            "the data folder is empty", where=str(root), fix="put train/<class>/* and val/<class>/* into it"
        )
    marks = sorted(_DETECTION_MARKS & {path.name for path in root.iterdir()})
    if marks or {"images", "labels"} <= set(names):
        raise _no_classes(root, marks[0] if marks else "images/ and labels/")
    parts: dict[str, Path] = {part: root / part for part in ("train", "calibration", "test") if part in names}
    vals = [name for name in _VAL_NAMES if name in names]
    if len(vals) > 1:
        raise DataError(f"both {vals[0]}/ and {vals[1]}/ are here", where=str(root), fix="keep one of them")
    if vals:
        parts["val"] = root / vals[0]
    if parts and set(parts) <= {"calibration"}:
        raise DataError("only calibration/ is here: nothing to score", where=str(root), fix="add val/<class>/*")
    if not parts and not names:
        class_folders(root)  # says what is here instead
    for place in parts.values() or [root]:
        inner = folders(place)
        if inner and set(inner) <= _WITH_BOXES:
            raise _no_classes(root, (place / inner[0]).relative_to(root).as_posix())
    return {"all": parts["train"]} if set(parts) == {"train"} else parts or {"all": root}


def _no_classes(root: Path, got: str) -> DataError:
    return DataError(
        "this looks like a detection data set",
        where=str(root),
        got=got,
        expected=f"for classification train/<class>/* and val/<class>/*, or <class>/*; for detection {LAYOUTS}",
    )


def _refuse_nested(root: Path, found: Mapping[str, Sequence[Path]]) -> None:
    """Class folders alone hold their images themselves; else any folder of folders would be a data set."""
    for name, images in found.items():
        if images and not any(image.parent.name == name for image in images):
            raise DataError(
                f"unknown layout: {name}/ holds its images in folders of its own",
                where=str(root),
                got=images[0].relative_to(root).as_posix(),
                expected="train/<class>/* and val/<class>/*, only val/<class>/*, or <class>/*",
                fix=f"is {root / name} the data set?",
            )


def _samples(
    root: Path,
    parts: Mapping[str, Mapping[str, Sequence[Path]]],
    classes: Sequence[str],
    index: FileIndex,
    progress: Progress,
) -> dict[str, tuple[Sample, ...]]:
    """Part name to its labelled images, sorted by name."""
    labels = {name: label for label, name in enumerate(classes)}
    paths = [path for found in parts.values() for images in found.values() for path in images]
    hashes = index.hashes(paths, progress)
    return {
        part: tuple(
            Sample(
                path=path,
                name=path.relative_to(root).as_posix(),
                label=labels[name],
                sha256=known.sha256,
                status=known.status,
            )
            for name, images in sorted(found.items())
            for path in images
            for known in (hashes[path],)
        )
        for part, found in parts.items()
    }


def split_pools(
    pools: dict[str, tuple[Sample, ...]], root: Path, options: SplitOptions, progress: Progress
) -> dict[str, tuple[Sample, ...]]:
    """All splits by the table above, disjoint by content and none of test and calibration empty.

    Args:
        pools: Part name to its images.
        root: The data set's folder.
        options: How images are drawn.
        progress: Told of images that stand in two parts.

    Raises:
        DataError: when too few images are left for a split, or a list names what is not there.
    """
    everything = {sample.name: sample for pool in pools.values() for sample in pool}
    test = _listed(options.test_list, everything, root)
    calibration = _listed(options.calibration_list, everything, root)
    _refuse_listed_twice(test, calibration, options)
    taken = {sample.name for sample in test or ()} | {sample.name for sample in calibration or ()}
    pools = {part: tuple(sample for sample in pool if sample.name not in taken) for part, pool in pools.items()}
    train = pools.get("train", pools.get("all", ()))
    scored, spare = pools.get("test"), pools.get("calibration", pools.get("val"))
    if scored is None:
        scored, spare = pools.get("val"), pools.get("calibration")

    if test is None and scored is None:
        test, train = stratified(train, round(len(everything) / 5), seed=options.seed)
        test = tuple(sorted(test, key=lambda sample: sample.name))
    elif test is None:
        test, scored = scored, None
    if calibration is None:
        calibration, train, test = _calibration(spare or scored or (), train, test or (), options, parts=pools)
    test = test or ()
    calibration = drop_shared(calibration, of="calibration", others={"test": test}, progress=progress)
    train = drop_shared(train, of="train", others={"test": test, "calibration": calibration}, progress=progress)
    for name, split in (("test", test), ("calibration", calibration)):
        if not split:
            _refuse_same_images(pools, root)
            raise DataError(
                f"too few images: none left for {name}",
                where=str(root),
                got=f"{len(everything)} images in all",
                fix="add images; 10 and more of each class are a start",
            )
    if options.test_images is not None:  # the others are used for nothing
        chosen = {sample.name for sample in stratified(test, options.test_images, seed=options.seed)[0]}
        test = tuple(sample for sample in test if sample.name in chosen)
    validation: tuple[Sample, ...] = ()
    if options.validation and train:
        if len(train) == 1:
            raise DataError(
                "too few images: none left to train on beside those that are held back",
                where=str(root),
                got="1 training image",
                expected="at least 2",
                fix="add images, or leave data.validation out",
            )
        count = min(max(1, round(options.validation * len(train))), len(train) - 1)
        validation, train = stratified(train, count, seed=options.seed)
        train = drop_shared(train, of="train", others={"validation": validation}, progress=progress)
    return {"train": train, "validation": validation, "calibration": calibration, "test": test}


def _refuse_same_images(pools: Mapping[str, Sequence[Sample]], root: Path) -> None:
    """Two parts of the same images, as in tiny sets that are made for a first try, leave nothing to score."""
    contents = {part: {sample.sha256 for sample in pool} for part, pool in pools.items() if pool}
    for one, other in combinations(contents, 2):
        if contents[one] == contents[other]:
            raise DataError(
                f"{one} and {other} are the same images",
                where=str(root),
                got=f"{len(contents[one])} different ones in each",
                expected="parts without an image in common",
                fix="remove one of both, its folder, its file of annotations or its entry in data.yaml, so that the "
                "images are split here",
            )


def _calibration(
    spare: tuple[Sample, ...],
    train: tuple[Sample, ...],
    test: tuple[Sample, ...],
    options: SplitOptions,
    *,
    parts: Iterable[str],
) -> tuple[tuple[Sample, ...], tuple[Sample, ...], tuple[Sample, ...]]:
    """Draw the calibration images from what is used for nothing else, else from train, else from test.

    Returns:
        calibration, train, test.
    """
    if spare:
        return stratified(spare, options.calibration_images, seed=options.seed)[0], train, test
    if train:
        share = len(train) // (8 if "all" in parts else 5)  # an eighth of the 80 % left is a tenth of all
        calibration, train = stratified(train, min(options.calibration_images, share), seed=options.seed)
        return calibration, train, test
    calibration, test = stratified(test, min(options.calibration_images, len(test) // 5), seed=options.seed)
    return calibration, train, test


def _listed(file: Path | None, everything: Mapping[str, Sample], root: Path) -> tuple[Sample, ...] | None:
    """The samples a list names, in its order; None without a list."""
    if file is None:
        return None
    names = [line.removeprefix("./") for line in read_lines(file) if not line.startswith("#")]
    missing = [name for name in names if name not in everything]
    if missing or not names:
        raise DataError(
            f"{len(missing)} of {len(names)} paths are no images of the data set" if names else "names no image",
            where=str(file),
            got=missing[0] if missing else None,
            expected=f"paths relative to {root}, such as {next(iter(everything))}",
        )
    return tuple(everything[name] for name in dict.fromkeys(names))


def _refuse_listed_twice(
    test: tuple[Sample, ...] | None, calibration: tuple[Sample, ...] | None, options: SplitOptions
) -> None:
    shared = {sample.name for sample in test or ()} & {sample.name for sample in calibration or ()}
    if shared:
        raise DataError(
            f"{len(shared)} images are in the test list and in the calibration list",
            where=str(options.calibration_list),
            got=min(shared),
            fix="list each image once: what is calibrated on cannot be scored",
        )
