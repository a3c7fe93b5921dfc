"""From what a person types after ``--data`` to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.boxed.open_boxed import is_boxed, open_boxed
from pipeline.data.digits import write_digits
from pipeline.data.digits_detection import write_digits_detection
from pipeline.data.folder import SplitOptions, open_folder
from pipeline.data.index import FileIndex
from pipeline.data.scan import folders
from pipeline.data.torchvision_sets import TORCHVISION_SETS, write_torchvision_set
from pipeline.errors import DataError, UnknownNameError, nearest
from pipeline.progress import SilentProgress
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.data.dataset import Dataset
    from pipeline.progress import Progress

__all__ = ["is_embedded", "is_folder", "open_dataset", "task_of"]

_TORCHVISION = "torchvision:"
_EMBEDDED: dict[str, tuple[str, Callable[[Path, Progress], Path]]] = {
    "digits": ("classification", write_digits),
    "digits-detection": ("detection", write_digits_detection),
}
"""The sets that come with us: what each is for, and what writes it below a cache."""


def open_dataset(  # noqa: PLR0913 - keyword arguments, most of them optional
    text: str,
    *,
    cache: Path,
    seed: int = 0,
    calibration_images: int = 512,
    calibration_list: Path | None = None,
    test_list: Path | None = None,
    test_images: int | None = None,
    validation: float = 0.0,
    bad_boxes: str = "refuse",
    progress: Progress | None = None,
) -> Dataset:
    """Open ``digits``, ``digits-detection``, a folder, or a torchvision set (``CIFAR10``, ``torchvision:CIFAR10``).

    A name wins over a folder of the same name; ``./digits`` is the folder. How a folder is split is said in
    :mod:`pipeline.data.folder`, which folders have boxes in :mod:`pipeline.data.boxed`.

    Args:
        text: As above.
        cache: Where embedded and downloaded sets and the index of hashes are kept.
        seed: Of the splits that the folder does not fix.
        calibration_images: At most so many images to calibrate on.
        calibration_list: Text file of paths relative to the data set: the calibration images.
        test_list: The same for the test images.
        test_images: At most so many images to score, class by class; None for all.
        validation: Share of the training images that is held back to judge trainings by.
        bad_boxes: ``refuse``, or ``drop``: boxes that are none, or whose image is not there, are left out.
        progress: Where hashing and notes are reported; nowhere by default.

    Raises:
        DataError: whatever is wrong with the data.
        UnknownNameError: for a torchvision data set that does not exist.
        ResourceError: when the cache cannot be written.
    """
    if calibration_images < 1:
        raise DataError("calibration needs images", got=str(calibration_images), expected="1 or more")
    progress = progress or SilentProgress()
    root, name = _root_and_name(text, cache, progress)
    options = SplitOptions(
        seed=seed,
        calibration_images=calibration_images,
        calibration_list=calibration_list,
        test_list=test_list,
        test_images=test_images,
        validation=validation,
    )
    with FileIndex(cache) as index:
        boxed = open_boxed(root, options, index, progress, name=name, drop=bad_boxes == "drop")
        return boxed or open_folder(root, options, index, progress, name=name)


def task_of(text: str) -> str | None:
    """What the data are for, before any image is read; None where there is no such data.

    Args:
        text: As of :func:`open_dataset`.

    Raises:
        DataError: for a folder of an ambiguous layout.
    """
    if text in _EMBEDDED:
        return _EMBEDDED[text][0]
    if (name := _torchvision_set(text)) is not None:
        return "classification" if name in TORCHVISION_SETS else None
    root = typed_path(text)
    if not root.is_dir():
        return None
    return "detection" if is_boxed(root) else "classification"


def is_embedded(text: str) -> bool:
    """Whether a set that comes with us is meant, which wins over a folder of its name."""
    return text in _EMBEDDED


def is_folder(text: str) -> bool:
    """Whether a folder of the user's is meant, and is there; ``text`` as of :func:`open_dataset`."""
    return text not in _EMBEDDED and _torchvision_set(text) is None and typed_path(text).is_dir()


def _torchvision_set(text: str) -> str | None:
    """The name of torchvision's set that is meant, whether there is one or not; None where none is."""
    name = text.removeprefix(_TORCHVISION)
    return name if name != text or (text in TORCHVISION_SETS and not typed_path(text).is_dir()) else None


def _root_and_name(text: str, cache: Path, progress: Progress) -> tuple[Path, str]:
    if text in _EMBEDDED:
        return _EMBEDDED[text][1](cache, progress), text
    if (name := _torchvision_set(text)) is not None:
        if name not in TORCHVISION_SETS:
            raise UnknownNameError("torchvision data set", name, TORCHVISION_SETS)
        return write_torchvision_set(name, cache, progress), name
    root = typed_path(text)
    if not root.is_dir():
        raise _missing(text, root)
    return root, root.resolve().name


def _missing(text: str, root: Path) -> DataError:
    """What to say about a folder that is not there."""
    if root.exists():
        return DataError("this is a file, not a folder of images", where=text, expected="a folder with train/ and val/")
    parent = root.parent
    siblings = [str(parent / name) for name in folders(parent)] if parent.is_dir() else []
    names = [] if "/" in text else [*_EMBEDDED, *TORCHVISION_SETS]
    close = nearest(text, [*siblings, *names])
    return DataError(
        "there is no such data folder",
        where=text,
        got=None if parent.is_dir() else f"{parent} does not exist either",
        expected=f"did you mean {' or '.join(close)}?"
        if close
        else "digits, digits-detection, a folder with train/ and val/, or a torchvision data set such as CIFAR10",
    )
