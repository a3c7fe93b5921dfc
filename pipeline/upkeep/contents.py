"""What is kept in a store: its size, and when it was last used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.artifact import ArtifactKind, parse_json
from pipeline.store import METADATA, read_note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Item", "ItemKind", "contents", "grouped", "last_used_ns", "notes_by_artifact", "plain_files"]

ItemKind = Literal["result", "decision", "measurement", "unfinished", "set aside", "place", "data", "weights"]

_UNREADABLE = "not readable"

_Notes = dict[str, list[tuple[Path, str]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing in the store.

    Attributes:
        kind: ``result`` of a stage; ``decision`` of a search; ``measurement`` or another small record; ``unfinished``
            work of a killed stage; ``set aside``, damaged bytes; ``place`` of a bundle's images; ``data`` and
            ``weights`` as they were downloaded or written.
        what: The stage, the kind of record, or the name of the data set or file.
        path: Where it lies.
        size_bytes: Of all its files.
        used_ns: When it was last used, ns since the epoch; of data and weights, when it came.
    """

    kind: ItemKind
    what: str
    path: Path
    size_bytes: int
    used_ns: int


def contents(root: Path) -> list[Item]:
    """Everything in the store at ``root``; what goes while it is looked at is left out."""
    notes = notes_by_artifact(root)
    return [*_artifacts(root, notes), *_records(root), *_leftovers(root, notes), *_downloads(root)]


def notes_by_artifact(root: Path) -> _Notes:
    """Identity of an artifact to the key files that name it, each with its stage; unreadable ones are passed over."""
    found: _Notes = {}
    for path in plain_files(root / "keys"):
        try:
            value = read_note(path)
            found.setdefault(value["artifact"], []).append((path, str(value["components"].get("stage", "decision"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # checking is not the business here
    return found


def plain_files(folder: Path) -> list[Path]:
    """The keys or records in a folder; not those that are being written."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def last_used_ns(path: Path) -> int:
    """When an artifact, a record or a folder of unfinished work was last used or written, ns since the epoch.

    Raises:
        FileNotFoundError: when it has gone.
    """
    if (path / METADATA).is_file():
        return (path / METADATA).stat().st_mtime_ns
    return max((one.lstat().st_mtime_ns for one in path.rglob("*")), default=path.lstat().st_mtime_ns)


def _artifacts(root: Path, notes: _Notes) -> Iterator[Item]:
    for home in _entries(root / "artifacts"):
        stages = sorted({stage for _, stage in notes.get(home.name, ())})
        kind = _kind_of(home)
        decision = kind == ArtifactKind.DECISION
        yield from _item("decision" if decision else "result", ", ".join(stages) or kind, home)


def _kind_of(home: Path) -> str:
    try:
        return str(ArtifactKind(parse_json((home / METADATA).read_bytes())["kind"]))
    except (OSError, ValueError, KeyError, TypeError):
        return _UNREADABLE


def _records(root: Path) -> Iterator[Item]:
    for folder in _entries(root / "records"):
        for path in plain_files(folder):
            yield from _item("place" if folder.name == "datasets" else "measurement", folder.name, path)


def _leftovers(root: Path, notes: _Notes) -> Iterator[Item]:
    stages = {path.stem: stage for some in notes.values() for path, stage in some}
    for path in _entries(root / "unfinished"):
        yield from _item("unfinished", stages.get(path.name, path.name[:12]), path)
    for path in _entries(root / "quarantine"):
        yield from _item("set aside", path.name[:12], path)


def _downloads(root: Path) -> Iterator[Item]:
    if (index := root / "data" / "index.sqlite").exists():
        yield from _item("data", "hashes of images", index)
    for folder in ("datasets", "downloads"):
        for path in _entries(root / "data" / folder):
            yield from _item("data", path.name, path)
    for path in _entries(root / "data" / "weights"):
        if path.suffix != ".sha256":
            yield from _item("weights", path.name, path)


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _item(kind: ItemKind, what: str, path: Path) -> Iterator[Item]:
    try:
        yield Item(kind=kind, what=what, path=path, size_bytes=_size(path), used_ns=last_used_ns(path))
    except FileNotFoundError:
        return  # it went meanwhile


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file())


def grouped(items: list[Item]) -> Mapping[tuple[ItemKind, str], list[Item]]:
    """Items of one kind and one name together; in the order of :func:`contents`."""
    found: dict[tuple[ItemKind, str], list[Item]] = {}
    for item in items:
        found.setdefault((item.kind, item.what), []).append(item)
    return found
