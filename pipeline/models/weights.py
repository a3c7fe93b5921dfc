"""Reading weights without running what is in the file, and putting them into a network or saying what differs."""

from __future__ import annotations

import re
import warnings
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import IntegrityError, WeightsError
from pipeline.models.architecture import set_architecture
from pipeline.models.backbone_tensors import load_backbone
from pipeline.models.file_damage import refuse_another, refuse_changed_bytes, refuse_doubled_keys
from pipeline.models.one_file import architecture_in
from pipeline.models.published_eps import without_epsilon
from pipeline.models.raw_detector import kind_of

if TYPE_CHECKING:
    from pipeline.models.source import WeightsSource

__all__ = ["LoadedWeights", "load_weights", "read_state_dict", "with_versions"]

_ENVELOPES = ("state_dict", "model", "model_state_dict", "net", "ema", "state_dict_ema", "model_ema")
"""Keys under which training scripts keep the state dict, in the order they are looked for."""
_DEEP = 2
"""Keys above a state dict at most, where it is the only one there; an optimiser's tensors lie deeper."""
_PREFIXES = ("module.", "_orig_mod.")
"""What data parallelism and torch.compile put before every key."""
_COUNTERS = ("n_averaged",)
"""Entries of an averaged model that are no weights."""
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
"""Heads of GoogLeNet and Inception v3 that exist in training only."""
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")
"""torchvision's DenseNet files say ``norm.1`` for ``norm1``; source: torchvision/models/densenet.py."""
_REFUSED_BY_TORCH = re.compile(r"(?:GLOBAL|Unsupported class|function) ([\w.]+)")
_HEAD_TENSORS = 12
"""A head has a weight and a bias, or two of each (DeiT's two heads), SSD's one of each for six maps; more that differ
are another network."""
_SHOWN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedWeights:
    """What became of the weights.

    Attributes:
        fresh_head: Names of the tensors that keep their random values because the class count differs.
        ignored: Keys of the file that the network has no use for (auxiliary heads).
        backbone: How much of the backbone has weights of its own, where only that has; empty where none were given.
    """

    fresh_head: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    backbone: str = ""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a state dict saved with ``torch.save``, on the CPU.

    Also found below ``state_dict``, ``model`` and the like or another key, where that is the only one, and with the
    prefix of data parallelism, which is removed. Nothing in the file is executed: ``weights_only=True``, which makes
    tensors, plain containers and what training scripts keep beside weights (:func:`_kept_beside_weights`), and no more.

    Raises:
        WeightsError: for a file that is damaged, holds more than tensors, or holds none.
    """
    loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    loaded = _state_within(loaded)
    entries = loaded.items() if isinstance(loaded, Mapping) else ()
    state = {str(key): value for key, value in entries if isinstance(value, Tensor) and key not in _COUNTERS}
    if not state:
        held = ", ".join(map(str, list(loaded)[:6])) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise WeightsError("no weights in this file", where=str(path), got=held or "nothing", expected="a state dict")
    versions = getattr(loaded, "_metadata", None)
    return _without_prefixes(state, versions if isinstance(versions, Mapping) else None)


def _state_within(loaded: object, deep: int = _DEEP) -> object:
    """The state dict in what was saved; that itself where it has none, or several without a known name."""
    if not isinstance(loaded, Mapping):
        return loaded
    for key in _ENVELOPES:
        if isinstance(loaded.get(key), Mapping):
            return loaded[key]
    if not deep or _has_tensors(loaded):
        return loaded
    within = [_state_within(value, deep - 1) for value in loaded.values() if isinstance(value, Mapping)]
    states = [one for one in within if _has_tensors(one)]
    return states[0] if len(states) == 1 else loaded


def _has_tensors(held: object) -> bool:
    return isinstance(held, Mapping) and any(isinstance(value, Tensor) for value in held.values())


def _read_safetensors(path: Path) -> object:
    import safetensors
    import safetensors.torch

    try:
        refuse_doubled_keys(path)
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise WeightsError(
            "this safetensors file is damaged", where=str(path), got=str(error), fix="copy or download it again"
        ) from error


def _read_torch(path: Path) -> Any:  # noqa: ANN401 - whatever was saved
    try:
        refuse_changed_bytes(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript archives, which then raise
            with torch.serialization.safe_globals(_kept_beside_weights()):
                return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error).strip()
        unsafe = "weights_only" in text.lower() or "Unsupported" in text
        if unsafe:  # torch's own text tells how to run what is in the file, which nobody should do
            found = _REFUSED_BY_TORCH.search(text)
            text = f"it wants to call {found[1]}" if found else "what only a pickle can hold"
        raise WeightsError(
            "this file holds more than weights" if unsafe else "this weights file is damaged",
            where=str(path),
            got=(text.splitlines() or [type(error).__name__])[0][:200],
            fix="save the weights alone: torch.save(network.state_dict(), path)"
            if unsafe
            else "copy or download it again",
        ) from error


def _plain_dict(*_: object) -> dict[Any, Any]:
    """In place of a defaultdict, into which torch puts nothing."""
    return {}


def _kept_beside_weights() -> list[Any]:
    """What training scripts save beside weights and none of which does anything: options, paths, figures of numpy."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    of_numpy_1 = [(scalar, "numpy.core.multiarray.scalar"), (array, "numpy.core.multiarray._reconstruct")]
    kinds = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"]
    kinds_of_path = [f"{pure}{system}Path" for pure in ("Pure", "") for system in ("Posix", "Windows")]
    paths = [(PurePosixPath, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in kinds_of_path]
    of_missing_keys = [list, dict, set, int, float, str]
    return [
        Namespace,
        (_plain_dict, "collections.defaultdict"),
        *of_missing_keys,
        *paths,
        scalar,
        array,
        *of_numpy_1,
        np.ndarray,
        np.dtype,
        *kinds,
    ]


def _without_prefixes(state: dict[str, Tensor], versions: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """The state without prefixes that all keys share, and with the module versions where the file has them."""
    found = OrderedDict(state)
    for prefix in (*_PREFIXES, *_PREFIXES):
        if all(key.startswith(prefix) for key in found):
            found = OrderedDict((key.removeprefix(prefix), value) for key, value in found.items())
            versions = {key.removeprefix(prefix): value for key, value in (versions or {}).items()} or None
    if versions:
        found._metadata = dict(versions)  # type: ignore[attr-defined]  # noqa: SLF001 - where torch keeps them
    return found


def with_versions(state: dict[str, Tensor], network: nn.Module) -> OrderedDict[str, Tensor]:
    """The state with the versions of the network's modules where it brings none, as from a safetensors file.

    Modules convert what an older version of theirs wrote, and some refuse what has no version.
    """
    found = OrderedDict(state)
    own = network.state_dict()._metadata  # type: ignore[attr-defined]  # noqa: SLF001 - where torch keeps them
    found._metadata = getattr(state, "_metadata", None) or own  # type: ignore[attr-defined]  # noqa: SLF001
    return found


def load_weights(network: nn.Module, weights: WeightsSource, *, classes: int | None = None) -> LoadedWeights:
    """Put the weights into the network.

    Pretrained weights made for another number of classes leave the head as it is; a file of the user's must fit.

    Args:
        network: As it was built.
        weights: Which.
        classes: That it was built for; None: not compared with what the file of a deployment says.

    Raises:
        WeightsError: naming the first keys that are missing, not expected, or of another shape, the network is then
            in between and of no use; or when the file is another than when it was resolved.
    """
    if weights.origin == "scratch":
        part = weights.backbone
        if part is None or part.file is None:
            return LoadedWeights()
        return LoadedWeights(
            backbone=load_backbone(network, _as_resolved(part.file, part.file_sha256), where=part.file)
        )
    if weights.file is None:
        raise WeightsError("the weights file is not known", got=weights.origin, fix="give it with --weights FILE")
    if weights.origin == "file" and (document := architecture_in(weights.file)):
        _make_as_written(network, document, weights.file, classes=classes)
    own = network.state_dict()
    state = _renamed(_as_resolved(weights.file, weights.file_sha256), own)
    unused = _unused_heads(network, own, state)
    head = _head(own, state)
    fresh_head = head if weights.origin == "pretrained" else ()
    problems = _load(network, own, state, {*unused, *fresh_head})
    if problems:
        raise WeightsError(
            "these weights do not fit the network",
            where=str(weights.file),
            got="; ".join(problems),
            expected=f"the {len(own)} tensors of {kind_of(network)}",
            fix=_advice(head, own, state),
        )
    without_epsilon(network, weights)
    return LoadedWeights(fresh_head=fresh_head, ignored=unused)


def _make_as_written(network: nn.Module, document: Mapping[str, Any], file: Path, *, classes: int | None) -> None:
    """Give the network the architecture that its file of weights names: such as was pruned has fewer channels."""
    if classes is not None and document["classes"] != classes:
        raise WeightsError(
            "these weights are for another number of classes",
            where=str(file),
            got=f"{document['classes']} classes",
            expected=f"{classes}, as the data has",
            fix="name all classes of the weights, in their order, in the data",
        )
    try:
        set_architecture(network, document, str(file))
    except IntegrityError as error:
        raise WeightsError(
            "these weights are of another network",
            where=str(file),
            got=f"{document['builder']['name']}: {error.what}",
            expected=kind_of(network),
            fix="name the network that they are of",
        ) from error


def _as_resolved(file: Path, sha256: str | None) -> dict[str, Tensor]:
    """The tensors of a file, which was read when it was resolved already: what is made of them goes by that hash."""
    state = read_state_dict(file)
    refuse_another(file, sha256)
    return state


def _renamed(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with the keys of the network where only the spelling differs, as of one inside of another module."""
    if own and all(key.startswith(_PREFIXES[0]) for key in own):
        inner = {key.removeprefix(_PREFIXES[0]): value for key, value in own.items()}
        return {_PREFIXES[0] + key: value for key, value in _renamed(state, inner).items()}
    wrapper = next(iter(state)).partition(".")[0] + "."
    if all(key.startswith(wrapper) for key in state) and state.keys().isdisjoint(own):
        inside = _renamed({key.removeprefix(wrapper): value for key, value in state.items()}, own)
        return inside if inside.keys() & own.keys() else state
    if any(_OLD_DENSENET.match(key) for key in state):
        return {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
    return state


def _unused_heads(network: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Keys of auxiliary heads that the network was built without."""
    if not hasattr(network, "aux_logits"):
        return ()
    return tuple(key for key in state if key not in own and key.startswith(_AUXILIARY))


def _head(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The tensors of other shapes, when all of them differ in the number of classes alone; else none.

    A detector answers several times for each class: with four numbers of a box, or for every anchor of a place.
    """
    differing = [key for key, value in own.items() if key in state and state[key].shape != value.shape]
    sizes = [(own[key].shape, state[key].shape) for key in differing]
    if not 0 < len(sizes) <= _HEAD_TENSORS or not all(mine and mine[1:] == theirs[1:] for mine, theirs in sizes):
        return ()
    (first, theirs), *_ = sizes
    return tuple(differing) if all(one[0] * theirs[0] == first[0] * other[0] for one, other in sizes) else ()


def _load(network: nn.Module, own: Mapping[str, Tensor], state: dict[str, Tensor], left_out: set[str]) -> list[str]:
    """Load all but some tensors; returns what does not fit, a phrase for each kind of problem."""
    state_in = with_versions(state, network)
    shapes = [
        f"{key} is {list(state[key].shape)}, the network has {list(value.shape)}"
        for key, value in own.items()
        if key in state and key not in left_out and state[key].shape != value.shape
    ]
    for key in [
        key for key, value in state.items() if key in left_out or (key in own and own[key].shape != value.shape)
    ]:
        del state_in[key]
    for key in own:  # files older than this counter, which nothing but momentum=None reads
        statistics = key.removesuffix("num_batches_tracked") + "running_mean"
        if key.endswith(".num_batches_tracked") and key not in state_in and statistics in state_in:
            state_in[key] = own[key]
    try:
        result = network.load_state_dict(state_in, strict=False)
    except (RuntimeError, ValueError) as error:
        return [str(error).splitlines()[0]]
    missing = [f"{key} {list(own[key].shape)}" for key in result.missing_keys if key not in state]
    unexpected = [f"{key} {list(state[key].shape) if key in state else ''}" for key in result.unexpected_keys]
    broken = [key for key, value in state_in.items() if value.is_floating_point() and not value.isfinite().all()]
    return [
        *_some("other shape", shapes),
        *_some("missing", missing),
        *_some("not expected", unexpected),
        *_some("not finite", broken),
    ]


def _advice(head: tuple[str, ...], own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    if not head:
        return "check the model's name, its width and its number of classes"
    (theirs, ours), *others = {(len(state[key]), len(own[key])) for key in head}
    if others or any(own[key].dim() > 2 for key in head):  # counts a background, anchors or the sides of boxes, too
        return (
            "they are for another number of classes: the data have to name all classes of the weights, in their order, "
            "in classes.txt or data.yaml, or as COCO's categories with the ids in that order (one that stands above "
            "others and was left out, as is noted, is a class where its supercategory is itself)"
        )
    return f"they are for {theirs} classes, the data has {ours}: name all {theirs} in the data folder's classes.txt"


def _some(kind: str, lines: list[str]) -> list[str]:
    """One phrase for the first few lines of a kind."""
    if not lines:
        return []
    rest = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return [f"{kind}: {', '.join(lines[:_SHOWN])}{rest}"]
