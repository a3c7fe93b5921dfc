"""What a user's Python file imports, seen without running anything: files, and versions of what is installed."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.machinery import ModuleSpec

__all__ = ["Imported", "imported_by"]

_PINNED = frozenset({"torch", "torchvision", "timm", "PIL"})
"""Stages that build a network have their versions in their keys."""
_INSTALLED = _PINNED | {"numpy"}
"""Loaded already, and most cannot be loaded twice: a file of that name beside the user's is not meant."""
_OURS = frozenset({"edgewright", "pipeline", "exporters", "benchmarks"})
_SITE = frozenset({"site-packages", "dist-packages"})
"""Names of the folders in which files stay as they were installed."""
_FILE_NAME = re.compile(r"(?!\.\.?/|/)(?:[\w-][\w .-]*/)*[\w-][\w .-]*\.\w{2,12}")
"""Of a file below a folder, with a suffix."""
_STATEMENT = re.compile(rb"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import\b|import[ \t]+(\w[\w., \t]*))", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What decides what a file does.

    Attributes:
        files: The file, then what it imports from its own folder, directly or not, sorted.
        named: Other files of its folder that texts in these name, such as weights which a factory loads itself, sorted.
        neighbours: Top-level names by which those of its folder are imported.
        packages: Of each package from elsewhere whose files may change under one version, such as an editable one, the
            SHA-256 over them.
        versions: Of each other package the distributions with their versions; None where it is absent.
    """

    files: tuple[Path, ...]
    named: tuple[Path, ...]
    neighbours: frozenset[str]
    packages: Mapping[str, str]
    versions: Mapping[str, str | None]

    def sha256(self) -> str:
        """The hash over all of it; no place is in it."""
        digest = hashlib.sha256()
        first = self.files[0]
        for path in self.files:
            _add(digest, path.relative_to(first.parent).as_posix() if path != first else "", path.read_bytes())
        for path in self.named:
            _add(digest, path.relative_to(first.parent).as_posix(), _hash_as_it_is(path).encode())
        if self.packages or self.versions:
            elsewhere = json.dumps([dict(self.packages), dict(self.versions)], sort_keys=True)
            _add(digest, "elsewhere", elsewhere.encode())
        return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, content: bytes) -> None:
    digest.update(f"{name}\0{len(content)}\0".encode() + content)


def imported_by(file: Path) -> Imported:
    """Follow the import statements of ``file``, which is Python, through its folder and through editable packages.

    Imports that are written otherwise, and those of installed packages, are not followed.
    """
    folder = file.parent
    files: set[Path] = {file}
    neighbours: set[str] = set()
    packages: dict[str, dict[str, Path]] = {}
    versions: dict[str, str | None] = {}
    waiting, seen = [*_names_in(file.read_bytes())], set[str]()
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        whole = packages.get(top, {}).keys() & {f"{top}/__init__.py", f"{top}.py"}
        if name in seen or whole or top in versions or top in sys.stdlib_module_names or top in _OURS:
            continue
        seen.add(name)
        if _is_neighbour(top, folder):
            neighbours.add(top)
            new = set(_files_of(name, folder)) - files
            files |= new
            waiting += [other for path in new for other in _names_in(path.read_bytes())]
        elif top not in _PINNED:
            found = _elsewhere(name)
            if not isinstance(found, dict):
                versions[top] = found
                continue
            known = packages.setdefault(top, {})
            waiting += [other for label in found.keys() - known for other in _names_roughly(found[label].read_bytes())]
            known |= found
    return Imported(
        files=(file, *sorted(files - {file})),
        named=tuple(sorted({path for one in files for path in _named_in(one.read_bytes(), one.parent)} - files)),
        neighbours=frozenset(neighbours),
        packages={top: _hash_of(found) for top, found in packages.items()},
        versions=versions,
    )


@lru_cache(maxsize=256)
def _names_in(source: bytes) -> frozenset[str]:
    """The modules that import statements name, wherever they stand; relative ones are within a package."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset()  # it is told where it is run, or is a template that nobody runs
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return frozenset(names)


def _named_in(source: bytes, folder: Path) -> set[Path]:
    """The files of the folder that texts of the source name whole, wherever they stand."""
    return {path for text in _texts_in(source) if _is_readable(path := folder / text)}


def _is_readable(path: Path) -> bool:
    """Whether it is a file that the factory can read; a text may be too long for any."""
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:
        return False


@lru_cache(maxsize=256)
def _texts_in(source: bytes) -> frozenset[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset()
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(text for text in texts if _FILE_NAME.fullmatch(text))


def _hash_as_it_is(path: Path) -> str:
    """That of its content: read once as long as nothing changes it."""
    status = path.stat()
    return _hash_of_file(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _hash_of_file(path: Path, _changed_ns: int, _size: int) -> str:
    return sha256_of_file(path)


def _names_roughly(source: bytes) -> set[str]:
    """The same of a package's file, of which there may be thousands: far faster, and examples in texts count."""
    found: set[str] = set()
    for origin, plain in _STATEMENT.findall(source):
        names = [origin] if origin else [part.split()[0] for part in plain.split(b",") if part.strip()]
        found.update(name.decode() for name in names)
    return found


def _is_neighbour(top: str, folder: Path) -> bool:
    """Whether the module of that name in the folder is meant."""
    place = folder / top
    if top not in _INSTALLED and (_is_module(place) or (place / "__init__.py").is_file()):
        return True
    if not _is_module(place) and not place.is_dir():
        return False
    # A plain folder, such as one of images, is behind every module and package of its name.
    spec = _spec(top)
    return spec is None or spec.origin is None


def _is_module(place: Path) -> bool:
    return place.with_suffix(".py").is_file()


def _files_of(name: str, folder: Path) -> Iterator[Path]:
    """What a dotted name may run below a folder; of a package with an ``__init__.py`` everything."""
    place = folder
    for part in name.split("."):
        place = place / part
        if (place / "__init__.py").is_file():
            yield from place.rglob("*.py")
            return
        if _is_module(place):
            yield place.with_suffix(".py")
            return
        if not place.is_dir():
            return
        yield from place.glob("*.py")  # not deeper: without __init__.py it may be a folder of images


def _spec(top: str) -> ModuleSpec | None:
    """Where it would be imported from, whatever of that name is loaded; nothing is imported."""
    for finder in sys.meta_path:
        if (spec := finder.find_spec(top, None)) is not None:
            return spec
    return None


def _elsewhere(name: str) -> dict[str, Path] | str | None:
    """What decides an import from elsewhere: versions of distributions, or files by their names where they may change.

    None where there is no such package.
    """
    top = name.partition(".")[0]
    spec = _spec(top)
    if spec is None:
        return None
    places = _places(spec)
    if places and all(place.name in _SITE for place in places):
        named = [f"{each} {version}" for each in _distributions(top) if (version := _version(each)) is not None]
        if named:
            return ", ".join(named)
    return {path.relative_to(place).as_posix(): path for place in places for path in _files_of(name, place)}


def _places(spec: ModuleSpec) -> list[Path]:
    """The folders in which a top-level module lies."""
    if spec.submodule_search_locations is not None:
        return [Path(place).parent for place in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.origin and spec.has_location else []


def _distributions(top: str) -> list[str]:
    """Those that hold a package: most are named as it is, and to list all takes a second."""
    return [top] if _version(top) is not None else sorted(set(_by_package().get(top, [])))


@lru_cache(maxsize=1)
def _by_package() -> Mapping[str, list[str]]:
    from importlib import metadata

    return metadata.packages_distributions()


def _version(distribution: str) -> str | None:
    from importlib import metadata  # of use where a file imports something, and slow to load

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _hash_of(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for label in sorted(files):
        _add(digest, label, files[label].read_bytes())
    return digest.hexdigest()
