"""torchvision's single-label image sets, written out as class folders so that they are folders like any other."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifact import sha256_of_json
from pipeline.data.only_https import only_https
from pipeline.data.publish import publish_folder
from pipeline.data.sealed_folder import is_as_written, publish_sealed
from pipeline.errors import DataError
from pipeline.leftovers import holding
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.progress import Progress

__all__ = ["TORCHVISION_SETS", "write_torchvision_set"]

_BY_TRAIN: dict[str, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_BY_SPLIT: dict[str, dict[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE: dict[str, dict[str, Any]] = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}

TORCHVISION_SETS: dict[str, dict[str, dict[str, Any]]] = {
    "CIFAR10": _BY_TRAIN,
    "CIFAR100": _BY_TRAIN,
    "Country211": {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}},
    "DTD": _THREE,
    "EuroSAT": {"all": {}},
    "FGVCAircraft": _THREE,
    "FashionMNIST": _BY_TRAIN,
    "Flowers102": _THREE,
    "Food101": _BY_SPLIT,
    "GTSRB": _BY_SPLIT,
    "Imagenette": {"train": {"split": "train"}, "val": {"split": "val"}},
    "KMNIST": _BY_TRAIN,
    "MNIST": _BY_TRAIN,
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "PCAM": _THREE,
    "RenderedSST2": _THREE,
    "STL10": _BY_SPLIT,
    "SUN397": {"all": {}},
    "SVHN": _BY_SPLIT,
    "USPS": _BY_TRAIN,
}
"""Name to the parts that are written, each with the arguments that select it; ``all``: class folders alone."""

_VERSION = 2
"""Raised whenever the files written for the same set would be others."""
_ARCHIVES = frozenset({".bz2", ".gz", ".tar", ".tgz", ".xz", ".zip"})
_SILENCE_S = 15.0
"""A server that says nothing for so long counts as unreachable."""


def write_torchvision_set(name: str, cache: Path, progress: Progress) -> Path:
    """The folder of a torchvision data set; downloaded and written on the first call, found by later ones.

    What was downloaded is kept in ``<cache>/downloads/<name>``; files that lie there already are used. torchvision
    takes a folder for a whole download, however far it came: so it works in one of its own, and what is not whole goes
    with it. One process at a time prepares a set. One that is not what was written is told, and written anew from
    what was downloaded.

    Raises:
        DataError: when it cannot be downloaded.
        ResourceError: when it cannot be written.
    """
    parts = TORCHVISION_SETS[name]
    identity = sha256_of_json({"name": name, "parts": parts, "version": _VERSION})
    target = cache / "datasets" / f"torchvision-{name}-{identity[:16]}"
    if is_as_written(target, cache, progress):
        return target
    kept = cache / "downloads" / name
    with _alone(kept):
        if not is_as_written(target, cache, SilentProgress()):  # another process may have been first
            progress.note(f"preparing torchvision's {name} in {target}")
            failed: BaseException | None = None
            with publish_folder(kept) as downloads:
                _lay_links(kept, downloads)
                opened = {part: _open(name, arguments, downloads, kept) for part, arguments in parts.items()}
                try:
                    with publish_sealed(target, cache) as folder:
                        _write_parts(opened, folder, progress)
                except BaseException as error:  # noqa: BLE001 - raised below: what has come whole is kept first
                    failed = error
            if failed is not None:
                raise failed
    return target


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process is within it for the same folder."""
    lock = folder.with_name(f".{folder.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with holding(lock, make=True):  # in a shared cache it may be another user's
        yield


def _lay_links(kept: Path, root: Path) -> None:
    """Give torchvision what lies there: of archives not what came out of them, which may be half, as it cannot tell."""
    files = [path for path in kept.rglob("*") if path.is_file()]
    archives = [path for path in files if path.suffix in _ARCHIVES]
    beside, extracted = {path.parent for path in archives}, {path.with_suffix("") for path in archives}
    for path in files:
        if archives and (path.parent not in beside or path in extracted):
            continue
        place = root / path.relative_to(kept)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path.resolve())


def _open(name: str, arguments: dict[str, Any], root: Path, kept: Path) -> Any:  # noqa: ANN401 - torchvision is untyped
    from torchvision import datasets

    try:
        with _impatient_sockets(), only_https():
            return getattr(datasets, name)(str(root), download=True, **arguments)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"torchvision's {name} cannot be downloaded",
            where=f"torchvision:{name}",
            got=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            fix=f"connect to the network, put the downloaded files into {kept}, or use --data digits",
        ) from error
    except ModuleNotFoundError as error:
        raise DataError(
            f"reading {name} needs {error.name}", where=f"torchvision:{name}", fix=f"pip install {error.name}"
        ) from error


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _write_parts(opened: dict[str, Any], folder: Path, progress: Progress) -> None:
    labels = {part: [int(label) for label in _labels(source)] for part, source in opened.items()}
    classes = _class_names(next(iter(opened.values())), 1 + max(max(some) for some in labels.values()))
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    for part, source in opened.items():
        base = folder if part == "all" else folder / part
        for name in classes:
            (base / name).mkdir(parents=True, exist_ok=True)
        with progress.track(f"writing {part}", len(source)) as ticker:
            for number in range(len(source)):
                image, label = source[number]
                image.convert("RGB").save(base / classes[int(label)] / f"{number:06}.png", compress_level=1)
                ticker.advance()


def _labels(source: Any) -> Sequence[int]:  # noqa: ANN401 - torchvision is untyped
    """All labels without decoding the images where the data set keeps them, else by reading through it."""
    for attribute in ("targets", "labels", "_labels"):
        values = getattr(source, attribute, None)
        if values is not None and len(values) == len(source):
            return [int(value) for value in values]
    return [int(source[number][1]) for number in range(len(source))]


def _class_names(source: Any, count: int) -> list[str]:  # noqa: ANN401 - torchvision is untyped
    """A folder name for every label: the set's own names where it has one for each, else the numbers."""
    own = list(getattr(source, "classes", ()))
    own = own if len(own) >= count else [str(label) for label in range(count)]
    names = [
        "".join(letter if letter.isalnum() or letter in " -_." else "-" for letter in name).strip(" .") for name in own
    ]
    if len(set(names)) < len(names):
        names = [f"{name} {label}" for label, name in enumerate(names)]
    return names
