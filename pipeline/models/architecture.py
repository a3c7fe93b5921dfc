"""What a network is beside its builder's: what ``architecture.json`` says, told of one and given to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from pipeline.artifact import parse_json
from pipeline.errors import IntegrityError
from pipeline.models.anchor_sizes import recorded_anchors, set_anchors
from pipeline.models.recorded_forms import forms_of, set_forms
from pipeline.models.reparametrised import make_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Json
    from pipeline.models.source import ModelSource

__all__ = ["architecture_of", "as_architecture", "set_architecture"]

SCHEMA = "edgewright.network/1"
_MOST_CLASSES = 1_000_000
_Size = Annotated[int, Field(ge=0, lt=2**40)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Tensor(_Part):
    shape: tuple[_Size, ...]
    dtype: Literal[
        "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"
    ]


class _Builder(_Part):
    origin: Literal["torchvision", "timm", "yolo", "file", "onnx"]
    name: str
    file_sha256: str | None
    output: str | None = None
    one_number: Literal["logit", "probability"] | None = None
    columns: tuple[_Size, ...] | None = None
    wide_tail: bool = False


class _Document(_Part):
    """What a file may say, wherever it comes from."""

    builder: _Builder
    classes: Annotated[int, Field(gt=0, le=_MOST_CLASSES)]
    tensors: dict[str, _Tensor]
    modules: dict[str, dict[str, int | tuple[int, ...]]]
    forms: dict[str, str] = {}
    anchors: dict[str, tuple[tuple[float, ...], ...]] = {}
    kind: Literal["edgewright.network/1"] = Field(alias="schema")


def architecture_of(network: nn.Module, source: ModelSource, *, classes: int) -> dict[str, Json]:
    """The document of a network.

    Args:
        network: Built from ``source``, trained or pruned since; its modules are the builder's, or of a form of ours
            (:mod:`pipeline.models.recorded_forms`).
        source: Its builder.
        classes: What the builder was called with.
    """
    document: dict[str, Json] = {
        "schema": SCHEMA,
        "builder": source.identity(),
        "classes": classes,
        "tensors": {
            name: {"shape": list(value.shape), "dtype": _dtype(value)} for name, value in network.state_dict().items()
        },
        "modules": {name: numbers for name, module in network.named_modules() if (numbers := _numbers(module))},
    }
    if forms := forms_of(network):
        document["forms"] = dict(forms)
    if anchors := recorded_anchors(network):
        document["anchors"] = anchors
    return document


def as_architecture(text: str | bytes, where: str) -> Mapping[str, Any]:
    """The document that was written.

    Raises:
        IntegrityError: when it is none.
    """
    try:
        document = parse_json(text)
        if isinstance(document, dict) and document.get("schema") == SCHEMA:
            _Document.model_validate_json(text)
            return document
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise IntegrityError("not an architecture", where=where, got=told, expected=SCHEMA) from error
    except ValueError as error:
        raise IntegrityError("the architecture cannot be read", where=where, got=str(error)) from error
    got = document.get("schema") if isinstance(document, dict) else type(document).__name__
    raise IntegrityError("not an architecture", where=where, got=str(got), expected=SCHEMA)


def set_architecture(network: nn.Module, document: Mapping[str, Any], where: str) -> None:
    """Make every module, tensor and attribute what is written; tensors of other shapes are then empty.

    Args:
        network: As the builder made it; changed in place.
        document: As of :func:`as_architecture`.
        where: What is read, for errors.

    Raises:
        IntegrityError: when the network is not of that builder.
    """
    make_plain(network)  # as every network was before it was written
    set_forms(network, document.get("forms", {}), where)
    set_anchors(network, document.get("anchors", {}), where)
    try:
        _set_numbers(network, document["modules"], where)
        _set_shapes(network, document["tensors"], where)
    except (TypeError, RuntimeError) as error:  # torch's, of what no network can have
        raise IntegrityError("the builder's modules cannot be so", where=where, got=str(error)) from error


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _numbers(module: nn.Module) -> dict[str, Json]:
    """The module's public attributes that are whole numbers or tuples of them; JSON lists stand for tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(module).items()
        if _counts(name, value)
    }


def _counts(name: str, value: object) -> bool:
    if name.startswith("_") or isinstance(value, bool):
        return False
    if isinstance(value, tuple):
        return type(value) in {tuple, torch.Size} and all(type(item) is int for item in value)
    return type(value) is int


def _set_numbers(network: nn.Module, modules: Mapping[str, Mapping[str, Json]], where: str) -> None:
    """Give every module the whole numbers it was written with."""
    own = dict(network.named_modules())
    for name, numbers in modules.items():
        if name not in own:
            raise IntegrityError(f"the builder makes no module {name!r}", where=where)
        for key, value in numbers.items():
            number = tuple(value) if isinstance(value, list) else value
            if vars(own[name]).get(key) != number and not hasattr(type(own[name]), key):
                setattr(own[name], key, number)


def _set_shapes(network: nn.Module, tensors: Mapping[str, Mapping[str, Json]], where: str) -> None:
    """Replace every tensor of another shape or type by an empty one; what was shared stays shared."""
    replaced: dict[int, Tensor] = {}
    for name, described in tensors.items():
        parent, _, key = name.rpartition(".")
        try:
            module = network.get_submodule(parent)
        except AttributeError as error:
            raise IntegrityError(f"the builder makes no module {parent!r}", where=where) from error
        table: dict[str, Any] = module._parameters if key in module._parameters else module._buffers  # noqa: SLF001
        old, shape = table.get(key), tuple(described["shape"])
        if old is None:
            raise IntegrityError(f"the builder makes no tensor {name!r}", where=where)
        dtype = getattr(torch, described["dtype"])
        if old.shape == shape and old.dtype == dtype:
            continue
        if id(old) not in replaced:
            empty = torch.empty(shape, dtype=dtype)
            replaced[id(old)] = nn.Parameter(empty, old.requires_grad) if isinstance(old, nn.Parameter) else empty
        table[key] = replaced[id(old)]
