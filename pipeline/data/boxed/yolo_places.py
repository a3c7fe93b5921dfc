"""Where a folder with YOLO's texts keeps its images: which folders and lists are for which part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.data.boxed.annotated import PARTS, part_in
from pipeline.data.boxed.places import below, is_file, is_folder, spellings
from pipeline.data.boxed.yolo_yaml import YOLO_YAML
from pipeline.data.scan import folders
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from pipeline.data.boxed.annotated import Problems

__all__ = ["image_places", "is_yolo", "not_named"]

_NOT_SAID = frozenset({"", "~", "null", "Null", "NULL"})
"""What YAML has for nothing; here every word is a text."""
_SHOWN = 80
"""Letters of an entry that a message repeats."""


def is_yolo(root: Path) -> bool:
    """Whether a folder has the layout: texts in a folder ``labels``, or a ``data.yaml``."""
    if any((root / name).is_file() for name in YOLO_YAML):
        return True
    texts = (text for place in _bases(root) for text in (place / "labels").rglob("*.txt"))
    return next(texts, None) is not None


def _bases(root: Path) -> list[Path]:
    return [root, *(root / name for name in PARTS if (root / name).is_dir())]


def image_places(root: Path, told: Mapping[str, Any], problems: Problems) -> dict[str, list[Path]]:
    """Part name to its folders and lists of images.

    They are as ``data.yaml`` says where it names parts, a part of which nothing is there by its name; else all by name.

    Args:
        root: The data set's folder.
        told: As of :func:`pipeline.data.boxed.yolo_yaml.read_yolo_yaml`.
        problems: Told of what is not there, and of folders of no part.

    Raises:
        DataError: where it names parts, and none is there: to mix what is kept apart is no way out.
    """
    entries, by_name = _entries(told), _places_by_name(root)
    stated = {part: _stated_places(said, root, told) for part, said in entries.items()}
    taken = [place for places in stated.values() for place in places]
    free = {part: [place for place in places if not _within(place, taken)] for part, places in by_name.items()}
    found = {part: places for part in entries or by_name if (places := stated.get(part) or free.get(part))}
    nowhere = [": ".join(said[0])[:_SHOWN] for part, said in entries.items() if part not in found]
    if nowhere and not found:
        raise DataError(
            "nothing is where data.yaml says the parts are",
            where=str(root),
            got=", ".join(nowhere),
            expected="folders or lists of images below the folder, or images/train and images/val",
            fix="mend the paths, or remove these lines so that all images are split here",
        )
    problems.notes += [f"data.yaml says {entry}, and nothing is there" for entry in nowhere]
    if found and not any(stated.values()) and (others := _of_no_part(root)):
        problems.notes.append(f"of no part, and not used: {', '.join(others)}")
    if not found and (root / "images").is_dir():
        found["all"] = [root / "images"]
    return found


def _entries(told: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Part name to what ``data.yaml`` says of it, each with its key."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, part in PARTS.items():
        said = told.get(name)
        for one in said if isinstance(said, list) else [said]:
            if isinstance(one, str) and one not in _NOT_SAID:
                found.setdefault(part, []).append((name, one))
    return found


def _places_by_name(root: Path) -> dict[str, list[Path]]:
    """Part name to the folders called so; where there is none, those in ``images`` with the word, as ``train2017``."""
    called: dict[str, list[Path]] = {}
    with_word: dict[str, list[Path]] = {}
    for name, part in PARTS.items():
        for place in (root / "images" / name, root / name / "images"):
            if place.is_dir():
                called.setdefault(part, []).append(place)
    for place in _folders_of_images(root):
        if said := part_in(place.name):
            with_word.setdefault(said, []).append(place)
    found = with_word | called
    return {part: found[part] for part in PARTS.values() if part in found}


def _folders_of_images(root: Path) -> list[Path]:
    images = root / "images"
    return [images / name for name in folders(images)] if images.is_dir() else []


def _of_no_part(root: Path) -> list[str]:
    return [f"images/{place.name}" for place in _folders_of_images(root) if part_in(place.name) is None]


def _stated_places(said: Sequence[tuple[str, str]], root: Path, told: Mapping[str, Any]) -> list[Path]:
    """Where the entries of a part lead, those that lead anywhere, each once."""
    places = (_stated(entry, root, told) for _, entry in said)
    return list(dict.fromkeys(place for place in places if place is not None))


def _stated(entry: str, root: Path, told: Mapping[str, Any]) -> Path | None:
    """Where an entry of ``data.yaml`` leads; None where nothing is there.

    Raises:
        DataError: where what is there lies outside the folder alone.
    """
    base = root / str(told.get("path") or "")
    named = [(base / one, root / one, root / one.removeprefix("../")) for one in spellings(entry)]
    places = [place for several in named for place in several if _exists(place)]
    if not places:
        return None
    inside = next((place for one in places if (place := below(root, one)) is not None), None)
    if inside is None:
        raise DataError(
            "data.yaml names images outside of the data folder",
            where=str(root),
            got=entry[:_SHOWN],
            expected="folders or lists of images below it",
            fix="move them into the folder, or give the folder that holds all of them",
        )
    return inside


def _exists(place: Path) -> bool:
    return is_folder(place) or is_file(place)


def _within(place: Path, others: Iterable[Path]) -> bool:
    return any(place.is_relative_to(one) for one in others)


def not_named(root: Path, places: Mapping[str, Sequence[Path]], used: AbstractSet[Path]) -> list[str]:
    """A sentence on each folder that is called as a part is, and is none since ``data.yaml`` names others.

    Args:
        root: The data set's folder.
        places: As of :func:`image_places`.
        used: Folders in which images that are used lie; a list names such, too.
    """
    named = [place for several in places.values() for place in several]
    others = (place for several in _places_by_name(root).values() for place in several if not _within(place, named))
    return [
        f"{place.relative_to(root).as_posix()} is not named by data.yaml, and not used"
        for place in others
        if not any(folder.is_relative_to(place) for folder in used)
    ]
