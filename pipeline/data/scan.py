"""Finding the images of class folders and the order of the classes."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "IMAGE_SUFFIXES",
    "check_classes",
    "class_folders",
    "folders",
    "images_below",
    "is_text",
    "links_out",
    "links_within",
    "order_of_classes",
    "read_lines",
]

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)


def folders(root: Path) -> list[str]:
    """Names of the folders in ``root``, sorted, without hidden ones.

    Raises:
        DataError: when ``root`` cannot be read, or a name in it is no printable text.
    """
    try:
        with os.scandir(root) as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(root, error) from error
    for name in found:
        if not name.isprintable():  # also bytes that are no text in this system's encoding
            raise DataError(
                "the name of a folder is no printable text, and cannot be a class",
                where=str(root),
                got=ascii(name),
                fix="rename it",
            )
    return found


def images_below(folder: Path, links: list[Path] | None = None) -> list[Path]:
    """The image files below ``folder``, by suffix, sorted by path; hidden files and other suffixes do not count.

    Args:
        folder: May be a link.
        links: Gets the folders within that are links; they are not followed, since they may lead in circles.

    Raises:
        DataError: when a folder cannot be read, or the name of an image is no text.
    """
    found: list[Path] = []
    for parent, inner, files in os.walk(folder, onerror=_refuse_unreadable):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if links is not None:
            links += [place for name in inner if (place := Path(parent, name)).is_symlink()]
        found += [Path(parent, name) for name in files if _is_image(name)]
    for path in found:
        if not is_text(path):
            raise DataError(
                "the name of an image is no text in UTF-8",
                where=ascii(str(path.parent))[1:-1],
                got=ascii(path.name),
                fix="rename it",
            )
    return sorted(found)


def is_text(path: Path) -> bool:
    """Whether a path can be written down: names of files are bytes, and need not be text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise _unreadable(error.filename, error) from error


def _unreadable(folder: Path | str, error: OSError) -> DataError:
    return DataError(
        "this folder cannot be read", where=str(folder), got=error.strerror, fix="see that it is there and may be read"
    )


def links_within(root: Path, links: Sequence[Path]) -> str | None:
    """One sentence about links to folders that are not followed."""
    if not links:
        return None
    many = f"{len(links)} folders are links" if len(links) > 1 else "a folder is a link"
    first = links[0].relative_to(root).as_posix()
    return f"{many} within a folder of images, and not followed (first: {first}): no image there is used"


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - hot loop


def class_folders(part: Path, links: list[Path] | None = None) -> dict[str, list[Path]]:
    """Class name to its images, for the class folders of ``part``; a class folder without images stays, empty.

    Args:
        part: The folder.
        links: As of :func:`images_below`.

    Raises:
        DataError: when no class folder holds an image.
    """
    found = {name: images_below(part / name, links) for name in folders(part)}
    if not any(found.values()):
        loose = len([path for path in part.iterdir() if _is_image(path.name)])
        raise DataError(
            "no images in class folders here",
            where=str(part),
            got=f"{loose} images beside each other" if loose else f"{len(found)} folders, none with an image",
            expected="one folder per class with its images in it, such as cat/001.jpg",
            fix="sort the images into one folder per class",
        )
    return found


def links_out(root: Path, places: Iterable[Path]) -> str | None:
    """One sentence about folders that are links to somewhere outside ``root``: they are followed, and it is told."""
    inside = root.resolve()
    led = [
        (place.relative_to(root), target)
        for place in places
        if place != root and place.is_symlink() and not (target := place.resolve()).is_relative_to(inside)
    ]
    if not led:
        return None
    many = f"{len(led)} folders are links" if len(led) > 1 else "a folder is a link"
    return (
        f"{many} out of the data folder, and followed (first: {led[0][0].as_posix()} to {ascii(str(led[0][1]))[1:-1]})"
    )


def order_of_classes(root: Path, parts: Mapping[str, Mapping[str, Sequence[Path]]]) -> tuple[str, ...]:
    """The class names in the order of the labels: ``classes.txt`` where there is one, else the sorted folder names.

    Args:
        root: The data set's folder.
        parts: Part name (``train``, ``val`` ...) to its class folders.

    Raises:
        DataError: for a folder that ``classes.txt`` does not name, a name that stands there twice, or images of a
            class in another part that ``train`` has no image of.
    """
    file = root / "classes.txt"
    if file.is_file():
        classes = _read_classes(file)
        for part, found in parts.items():
            for name, images in found.items():
                if images and name not in set(classes):
                    _refuse_unlisted(file, part, name, classes)
    else:
        named_by = [parts["train"]] if "train" in parts else list(parts.values())
        classes = tuple(sorted({name for found in named_by for name in found}))
    if "train" in parts:
        _refuse_untrained(root, parts)
    return classes


def _read_classes(file: Path) -> tuple[str, ...]:
    classes = tuple(read_lines(file))
    check_classes(classes, where=file)
    return classes


def check_classes(classes: Sequence[str], *, where: Path) -> None:
    """See that every class has a name of its own that can stand on a line.

    Raises:
        DataError: naming the first that has not.
    """
    if not classes:
        raise DataError("names no class", where=str(where), expected="one name a class", fix="name at least one")
    for name, count in Counter(classes).items():
        if not name.isprintable() or not name.strip():
            raise DataError(
                "a class's name is no printable text", where=str(where), got=ascii(name), fix="write another"
            )
        if count > 1:
            raise DataError(f"class {name!r} stands there twice", where=str(where), fix="name each class once")


def _refuse_unlisted(file: Path, part: str, name: str, classes: Sequence[str]) -> None:
    close = nearest(name, classes)
    raise DataError(
        f"does not name class {name!r}, but there are images of it in {part}/{name}",
        where=str(file),
        got=f"{len(classes)} classes",
        expected=f"did you mean {' or '.join(map(repr, close))}?" if close else None,
        fix=f"add a line {name!r} to classes.txt, or remove the folder",
    )


def _refuse_untrained(root: Path, parts: Mapping[str, Mapping[str, Sequence[Path]]]) -> None:
    train = parts["train"]
    for part, found in parts.items():
        lacking = [name for name, images in found.items() if images and not train.get(name)]
        if lacking:
            close = nearest(lacking[0], [name for name, images in train.items() if images])
            raise DataError(
                f"class {lacking[0]!r} is in {part}/, but train/ has no image of it"
                + (f" (and {len(lacking) - 1} more such classes)" if len(lacking) > 1 else ""),
                where=str(root),
                expected=f"did you mean {' or '.join(map(repr, close))}?" if close else None,
                fix=f"add images to train/{lacking[0]}/, or remove {part}/{lacking[0]}/",
            )


def read_lines(file: Path) -> list[str]:
    """The non-empty lines of a text file, stripped.

    Raises:
        DataError: when it cannot be read as UTF-8.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "this file cannot be read as text", where=str(file), got=str(error), expected="a text file in UTF-8"
        ) from error
    return [line.strip() for line in lines if line.strip()]
