"""Damage to weights files, and changes, that the libraries which read them do not look for."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from pipeline.artifact import parse_json, sha256_of_file
from pipeline.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["refuse_another", "refuse_changed_bytes", "refuse_doubled_keys"]

_LENGTH_BYTES = 8
_LARGEST_HEADER_BYTES = 100_000_000
"""As safetensors itself has it."""
_CHUNK_BYTES = 1 << 20


def refuse_another(file: Path, sha256: str | None) -> None:
    """See, after it was read, that a file is the one that results are kept under: that one was hashed minutes ago.

    Args:
        file: That was read.
        sha256: It had when the run began; None when that does not matter.

    Raises:
        WeightsError: when it has another now.
    """
    if sha256 is not None and (found := sha256_of_file(file)) != sha256:
        raise WeightsError(
            "this file changed while it was in use", where=str(file), got=found, expected=sha256, fix="start again"
        )


def refuse_changed_bytes(path: Path) -> None:
    """Compare what ``torch.save`` wrote, a zip file, with the checksums in it, which ``torch.load`` does not.

    A file in which no entry has the right one was written without (``torch.serialization.set_crc32_options(False)``).
    Files from before torch 1.6 are no zip files and have none.

    Raises:
        ValueError: naming the first entry whose bytes are not those that were written.
        OSError: when it cannot be read.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        checked = {entry.filename: _intact(archive, entry) for entry in archive.infolist() if entry.file_size}
    changed = [name for name, intact in checked.items() if not intact]
    if changed and len(changed) < len(checked):
        message = f"the bytes of {changed[0]} in it are not those that were written"
        raise ValueError(message)


def _intact(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(entry) as file:
            while file.read(_CHUNK_BYTES):
                pass
    except (zipfile.BadZipFile, zlib.error):
        return False
    return True


def refuse_doubled_keys(path: Path) -> None:
    """See that the header of a safetensors file names each tensor once; of two, its readers take either.

    Raises:
        ValueError: naming the first key that stands there twice; or when the header is no JSON.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > _LARGEST_HEADER_BYTES:
            return  # safetensors refuses it and says so
        parse_json(file.read(length), pairs=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            message = f"{key!r} stands in its header twice"
            raise ValueError(message)
        found[key] = value
    return found
