"""Finding pretrained weights: in the cache, in torch's own cache, or on the network; else why not, in one line."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file
from pipeline.errors import WeightsError
from pipeline.models.download import UnreachableError, download
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.models.torchvision_source import default_weights
from pipeline.store import write_atomically

if TYPE_CHECKING:
    from pipeline.progress import Progress

__all__ = ["find_pretrained", "noted_sha256"]

_WHOLE = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 that was noted in full."""


def find_pretrained(
    model: ModelSource, *, cache: Path, progress: Progress, asked: bool, pinned: str = ""
) -> WeightsSource:
    """The model's published weights as a file, or ``scratch`` with the reason.

    Args:
        model: Whose weights.
        cache: Downloads go to ``<cache>/weights``.
        progress: Where the download is shown.
        asked: Whether the user asked for them; then it is an error when the model can have none.
        pinned: SHA-256 of the file, in full, which no other one may take the place of; empty where nobody knows it.

    Raises:
        WeightsError: asked for, but the model is of a kind that has none; or pinned, and out of reach.
    """
    name = model.name if model.origin == "torchvision" else f"{model.origin}/{model.name}"
    if model.origin == "file":
        raise WeightsError(
            "a model from a file has no pretrained weights", where=str(model.file), fix="give a weights file, or none"
        )
    location = _location(model)
    if location is None:
        if asked:
            raise WeightsError(f"{name} has no pretrained weights", fix="give a weights file, or none")
        return WeightsSource(origin="scratch", reason=f"{name} has no pretrained weights")
    url, filename = location
    file = cache / "weights" / filename
    expected = pinned or noted_sha256(file) or _prefix(filename)
    try:
        found = _cached(file, expected) or download(url, file, expected, progress)
    except UnreachableError as error:
        if pinned:
            raise WeightsError(
                "the pretrained weights that are pinned cannot be had",
                where=name,
                got=str(error),
                expected=f"a file with SHA-256 {pinned}",
                fix=f"put it into {file.parent} as {filename}, or give it with --weights FILE",
            ) from error
        return WeightsSource(origin="scratch", reason=f"the pretrained weights of {name} are out of reach: {error}")
    sha256 = sha256_of_file(found)
    noted = noted_sha256(file)
    # It has just come; or a run was killed before it had noted this; or it is torch's.
    if not noted or (found == file and noted != sha256):
        try:
            write_atomically(_pin(file), f"{sha256}\n")
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise  # a cache that may only be read knows no more than it did
    return WeightsSource(origin="pretrained", file=found, file_sha256=sha256)


def _location(model: ModelSource) -> tuple[str, str] | None:
    """URL and file name of a model's published weights; None where it has none that are fetched."""
    match model.origin:
        case "torchvision":
            return _torchvision_location(model.name)
        case "timm":
            return _timm_location(model.name)
        case _:
            return None


def _torchvision_location(name: str) -> tuple[str, str] | None:
    """URL and file name of torchvision's default weights."""
    entry = default_weights(name)
    return (entry.url, entry.url.rsplit("/", 1)[-1]) if entry else None


def _timm_location(name: str) -> tuple[str, str] | None:
    """URL and file name of timm's weights; imports timm, whose table is made at run time."""
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        return None
    if config.hf_hub_id:
        remote = config.hf_hub_filename or "model.safetensors"
        file = f"{config.hf_hub_id}-{remote}".replace("/", "--")
        return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{remote}", file
    return (config.url, config.url.rsplit("/", 1)[-1]) if config.url else None


def _cached(file: Path, expected: str) -> Path | None:
    """The file in our cache, or torch's of that name, with the hash that is expected as far as it is known."""
    for found in (file, _torch_hub() / "checkpoints" / file.name):
        if found.is_file() and (not expected or sha256_of_file(found).startswith(expected)):
            return found
    return None


def _pin(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def noted_sha256(file: Path) -> str:
    """The hash that the file had when it first came to this machine; empty when it never did, or that is not known."""
    try:
        noted = _pin(file).read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    return noted if _WHOLE.fullmatch(noted) else ""


def _torch_hub() -> Path:
    """Where torch.hub keeps files; as ``torch.hub.get_dir``, without importing torch."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "torch")
    return Path(home).expanduser() / "hub"


def _prefix(filename: str) -> str:
    """The start of the SHA-256 that torch's file names carry, such as ``resnet50-11ad3fa6.pth``."""
    found = re.search(r"-([0-9a-f]{8,64})\.", filename)
    return found.group(1) if found else ""
