"""Whether everything in a store still is what was put there, byte for byte."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file, sha256_of_json
from pipeline.errors import first_line
from pipeline.models.pretrained import noted_sha256
from pipeline.store import read_artifact, read_note
from pipeline.upkeep.contents import plain_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Checked", "Damage", "check"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """One thing that is not what was put there: where, relative to the store, and why."""

    path: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """How many artifacts, keys, records and weights files were looked at, and what was damaged."""

    looked_at: int
    damaged: tuple[Damage, ...]


def check(root: Path, *, repair: bool) -> Checked:
    """Read everything and compare it with its hash.

    Artifacts are compared with the identity they are named by, keys with what they are made of, records with their
    hash and name, weights with the hash that was noted when they came. Nothing is changed unless asked; what runs put
    there meanwhile comes whole, and what they take away is passed over.

    Args:
        root: Of the store.
        repair: Whether to remove what is damaged, so that it is made anew, or fetched.

    Raises:
        OSError: when something cannot be read for a reason of its own, such as missing permission.
    """
    damaged: list[Damage] = []
    looked_at = 0
    for path, read in _things(root):
        try:
            read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if not path.exists():
                continue
            why = error.strerror or "something is missing"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = first_line(error) if isinstance(error, ValueError) else "not what was written"
        else:
            looked_at += 1
            continue
        looked_at += 1
        damaged.append(Damage(path=path.relative_to(root).as_posix(), why=why))
        if repair:
            _remove(path)
    return Checked(looked_at=looked_at, damaged=tuple(damaged))


def _things(root: Path) -> Iterator[tuple[Path, Callable[[Path], object]]]:
    for home in sorted((root / "artifacts").glob("*")):
        yield home, read_artifact
    for path in plain_files(root / "keys"):
        yield path, _key
    for folder in sorted((root / "records").glob("*")):
        for path in plain_files(folder):
            yield path, read_note
    for path in sorted((root / "data" / "weights").glob("*.sha256")):
        if path.with_suffix("").exists():
            yield path.with_suffix(""), _weights


def _key(path: Path) -> None:
    value = read_note(path)
    if sha256_of_json(dict(value["components"])) != path.stem:
        raise ValueError("not under the key of what it was made of")


def _weights(path: Path) -> None:
    if sha256_of_file(path) != noted_sha256(path):
        raise ValueError("not the file that came first")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        return
    with suppress(FileNotFoundError):
        path.unlink()
