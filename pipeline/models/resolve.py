"""From what a person types to where the network and its weights come from; answers before torch is imported."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file
from pipeline.errors import UnknownNameError, UsageError, WeightsError, nearest
from pipeline.models import model_file, timm_source
from pipeline.models.names import torchvision_classifiers, torchvision_detectors, yolo_detectors
from pipeline.models.pretrained import find_pretrained
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.progress import SilentProgress
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from pipeline.progress import Progress

__all__ = ["PINNED", "WEIGHTS_FILES", "resolve_model", "resolve_weights"]

PINNED = "pretrained:"
"""Before the SHA-256 of published weights that nothing else may take the place of."""

WEIGHTS_FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
"""How a file's name ends that may hold weights: safetensors, and state dicts saved with ``torch.save``."""

_MODELS = (
    "a torchvision classifier or detector such as resnet50, timm/NAME, yolo/NAME, path/to/file.py:factory, "
    "or path/to/model.onnx"
)


def resolve_model(text: str) -> ModelSource:
    """Say where the network ``text`` comes from.

    Args:
        text: A torchvision classifier or detector, ``timm/NAME`` (``timm/NAME.TAG`` for certain weights),
            ``yolo/NAME``, ``path/to/file.py:factory``, or ``path/to/model.onnx``.

    Raises:
        UnknownNameError: with the nearest names.
        UsageError: a model file that is not there, is not Python or defines no such factory; an ONNX file that
            cannot be handled; timm not installed.
    """
    if not text:
        raise UsageError("no model named", expected=_MODELS)
    if text.startswith("timm/"):
        return _resolve_timm(text.removeprefix("timm/"))
    if text.startswith("yolo/"):
        return _resolve_yolo(text)
    path, _, factory = text.rpartition(":") if ".py:" in text else (text, "", "")
    if path.endswith(".py"):
        file = typed_path(path)
        model_file.check_factory(file, factory)
        return ModelSource(origin="file", name=factory, file=file, file_sha256=model_file.hash_of_model_file(file))
    if text.endswith(".onnx"):
        return _resolve_onnx(typed_path(text))
    known = torchvision_classifiers()
    if text in known:
        return ModelSource(origin="torchvision", name=text)
    detectors = torchvision_detectors()
    if text in detectors:
        return ModelSource(origin="torchvision", name=text, task="detection")
    if text.partition(".")[0] in timm_source.architectures():
        raise UnknownNameError("model", text, [*known, f"timm/{text}"], fix=f"timm has it: timm/{text}")
    raise UnknownNameError(
        "model",
        text,
        [*known, *detectors, *yolo_detectors()],
        fix="`edgewright models` lists all; or timm/NAME, path/file.py:factory, path/model.onnx",
    )


def _resolve_timm(name: str) -> ModelSource:
    if not timm_source.is_installed():
        raise UsageError(
            "timm is not installed", where=f"timm/{name}", fix="pip install 'edgewright[timm]', or pip install timm"
        )
    known = timm_source.architectures()
    architecture, dot, tag = name.partition(".")
    if architecture not in known:
        raise UnknownNameError("timm model", name, known, fix="`edgewright models` lists all")
    if dot and tag not in timm_source.tags(architecture):
        raise UnknownNameError(
            "weights of timm model", name, [f"{architecture}.{t}" for t in timm_source.tags(architecture)]
        )
    return ModelSource(origin="timm", name=name)


def _resolve_yolo(text: str) -> ModelSource:
    known = yolo_detectors()
    if text not in known:
        raise UnknownNameError("model", text, known, fix="`edgewright models` lists all")
    return ModelSource(origin="yolo", name=text.removeprefix("yolo/"), task="detection")


def _resolve_onnx(file: Path) -> ModelSource:
    from pipeline.models.onnx_file import read_onnx_file

    found = read_onnx_file(file)
    return ModelSource(origin="onnx", name=file.stem, file=file, file_sha256=found.sha256, image=found.image)


def resolve_weights(
    text: str | None, model: ModelSource, *, cache: Path, progress: Progress | None = None
) -> WeightsSource:
    """Say what the network starts from, downloading pretrained weights where that is possible.

    Args:
        text: ``pretrained``, ``pretrained:SHA256``, ``none``, a ``.safetensors`` file or a state dict saved by
            ``torch.save``. None: ``pretrained`` where the model has such weights, else ``none``. An ONNX file has its
            own and takes no other.
        model: Whose weights.
        cache: Where downloads are kept.
        progress: Where downloads are shown.

    Raises:
        WeightsError: for a file that is not there or visibly damaged, or a model that has no pretrained weights.
    """
    if model.origin == "onnx":
        if text is not None:
            raise WeightsError(
                "an ONNX file holds its weights", where=str(model.file), got=text, fix="leave --weights out"
            )
        return WeightsSource(origin="file", file=model.file, file_sha256=model.file_sha256)
    if text == "none" or (text is None and model.origin == "file"):
        reason = "no weights were asked for" if text else "no weights were given"
        return WeightsSource(origin="scratch", reason=reason)
    if text is None or text == "pretrained" or text.startswith(PINNED):
        pinned = _pinned(text) if text and text != "pretrained" else ""
        return find_pretrained(
            model, cache=cache, progress=progress or SilentProgress(), asked=text is not None, pinned=pinned
        )
    file = typed_path(str(text))
    _check_weights_file(file, str(text))
    return WeightsSource(origin="file", file=file, file_sha256=sha256_of_file(file))


def _pinned(text: str) -> str:
    """The hash behind ``pretrained:``.

    Raises:
        WeightsError: when it is none.
    """
    sha256 = text.removeprefix(PINNED)
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise WeightsError(
            "what pins pretrained weights is no SHA-256",
            where="weights",
            got=text,
            expected=f"{PINNED} and 64 hex digits",
        )
    return sha256


def _check_weights_file(file: Path, text: str) -> None:
    """Refuse what can be seen without torch."""
    if not file.is_file():
        siblings = [path for path in file.parent.iterdir() if path.is_file()] if file.parent.is_dir() else []
        close = nearest(text, [*(str(file.parent / path.name) for path in siblings), "pretrained", "none"])
        raise WeightsError(
            "there is no such weights file",
            where=text,
            expected=f"did you mean {' or '.join(close)}?"
            if close
            else "pretrained, none, a .safetensors or a .pth file",
        )
    if file.suffix not in WEIGHTS_FILES:
        raise WeightsError(
            "unknown kind of weights file",
            where=text,
            got=file.suffix or "no suffix",
            expected=".safetensors, .pt or .pth",
        )
    with file.open("rb") as opened:
        start = opened.read(8)
    size = file.stat().st_size
    header = int.from_bytes(start, "little")
    if file.suffix == ".safetensors" and (len(start) < 8 or header > size - 8):
        raise WeightsError(
            "this file is damaged or no safetensors file",
            where=text,
            got=f"{size} bytes",
            fix="copy or download it again",
        )
    if start.startswith(b"PK") and not zipfile.is_zipfile(file):
        raise WeightsError("this file is truncated", where=text, got=f"{size} bytes", fix="copy or download it again")
