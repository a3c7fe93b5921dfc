"""A network as two files and no pickle: ``architecture.json`` and ``weights.safetensors``.

The architecture names the builder and says of every tensor its shape and of every module its whole-number attributes
(channels, features, groups, heads), which of the builder's modules another took the place of, and which anchors are not
the builder's. Loading builds the dense network and makes each module, tensor and attribute what is written there, so
that a structurally pruned network comes back without the pruner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.artifact import Json, canonical_json, parse_json
from pipeline.errors import IntegrityError
from pipeline.models.anchor_sizes import recorded_anchors, set_anchors
from pipeline.models.build import build_network
from pipeline.models.count import count_macs, count_parameters
from pipeline.models.recorded_forms import forms_of, set_forms
from pipeline.models.reparametrised import make_plain
from pipeline.models.weights import with_versions

if TYPE_CHECKING:
    from pipeline.models.source import ModelSource

__all__ = ["ARCHITECTURE", "WEIGHTS", "count_macs", "count_parameters", "load_network", "save_network"]

ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"
SCHEMA = "edgewright.network/1"


def save_network(network: nn.Module, source: ModelSource, folder: Path, *, classes: int) -> None:
    """Write the network into ``folder``; equal networks give equal bytes.

    Args:
        network: Built from ``source``, trained or pruned since; its modules are the builder's, or of a form of ours
            (:mod:`pipeline.models.recorded_forms`).
        source: Its builder.
        folder: Exists.
        classes: What the builder was called with.
    """
    from safetensors.torch import save_file

    # Copies, because safetensors refuses tensors that share memory, such as tied weights.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    document = {
        "schema": SCHEMA,
        "builder": source.identity(),
        "classes": classes,
        "tensors": {name: {"shape": list(value.shape), "dtype": _dtype(value)} for name, value in state.items()},
        "modules": {name: numbers for name, module in network.named_modules() if (numbers := _numbers(module))},
    }
    if forms := forms_of(network):
        document["forms"] = forms
    if anchors := recorded_anchors(network):
        document["anchors"] = anchors
    (folder / ARCHITECTURE).write_text(canonical_json(document) + "\n", encoding="utf-8")
    save_file(state, folder / WEIGHTS)


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


def load_network(folder: Path, source: ModelSource) -> nn.Module:
    """The network that :func:`save_network` wrote, in evaluation mode, on the CPU.

    Raises:
        IntegrityError: when the files are damaged, or ``source`` is not what they were written with.
    """
    document = _read_architecture(folder / ARCHITECTURE)
    if document["builder"] != source.identity():
        raise IntegrityError(
            "this network was built by another builder",
            where=str(folder),
            got=canonical_json(source.identity()),
            expected=canonical_json(document["builder"]),
        )
    network = build_network(source, classes=document["classes"])
    make_plain(network)  # as every network was before it was written
    set_forms(network, document.get("forms", {}), str(folder))
    set_anchors(network, document.get("anchors", {}), str(folder))
    _set_numbers(network, document["modules"], folder)
    _set_shapes(network, document["tensors"], folder)
    state = with_versions(_read_weights(folder / WEIGHTS), network)
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise IntegrityError("weights and architecture differ", where=str(folder), got=str(error)) from error
    return network.eval()


def _read_architecture(file: Path) -> Mapping[str, Any]:
    try:
        document = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError("the architecture cannot be read", where=str(file), got=str(error)) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        got = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise IntegrityError("not an architecture", where=str(file), got=str(got), expected=SCHEMA)
    return document


def _read_weights(file: Path) -> dict[str, Tensor]:
    import safetensors
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise IntegrityError("the weights cannot be read", where=str(file), got=str(error)) from error
    return state


def _set_numbers(network: nn.Module, modules: Mapping[str, Mapping[str, Json]], folder: Path) -> None:
    """Give every module the whole numbers it was written with."""
    own = dict(network.named_modules())
    for name, numbers in modules.items():
        if name not in own:
            raise IntegrityError(f"the builder makes no module {name!r}", where=str(folder))
        for key, value in numbers.items():
            number = tuple(value) if isinstance(value, list) else value
            if vars(own[name]).get(key) != number and not hasattr(type(own[name]), key):
                setattr(own[name], key, number)


def _set_shapes(network: nn.Module, tensors: Mapping[str, Mapping[str, Json]], folder: Path) -> None:
    """Replace every tensor of another shape or type by an empty one; what was shared stays shared."""
    replaced: dict[int, Tensor] = {}
    for name, described in tensors.items():
        parent, _, key = name.rpartition(".")
        try:
            module = network.get_submodule(parent)
        except AttributeError as error:
            raise IntegrityError(f"the builder makes no module {parent!r}", where=str(folder)) from error
        table: dict[str, Any] = module._parameters if key in module._parameters else module._buffers  # noqa: SLF001
        old, shape = table.get(key), tuple(described["shape"])
        if old is None:
            raise IntegrityError(f"the builder makes no tensor {name!r}", where=str(folder))
        dtype = getattr(torch, described["dtype"])
        if old.shape == shape and old.dtype == dtype:
            continue
        if id(old) not in replaced:
            empty = torch.empty(shape, dtype=dtype)
            replaced[id(old)] = nn.Parameter(empty, old.requires_grad) if isinstance(old, nn.Parameter) else empty
        table[key] = replaced[id(old)]
