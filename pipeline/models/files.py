"""A network as two files and no pickle: ``architecture.json`` and ``weights.safetensors``.

The architecture names the builder and says of every tensor its shape and of every module its whole-number attributes
(channels, features, groups, heads), which of the builder's modules another took the place of, and which anchors are not
the builder's. Loading builds the dense network and makes each module, tensor and attribute what is written there, so
that a structurally pruned network comes back without the pruner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.artifact import canonical_json
from pipeline.errors import IntegrityError
from pipeline.models.architecture import architecture_of, as_architecture, set_architecture
from pipeline.models.build import build_network
from pipeline.models.count import count_macs, count_parameters
from pipeline.models.file_names import ARCHITECTURE, WEIGHTS
from pipeline.models.weights import with_versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from pipeline.models.source import ModelSource

__all__ = ["ARCHITECTURE", "WEIGHTS", "count_macs", "count_parameters", "load_network", "save_network"]


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
    document = architecture_of(network, source, classes=classes)
    (folder / ARCHITECTURE).write_text(canonical_json(document) + "\n", encoding="utf-8")
    save_file(state, folder / WEIGHTS)


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
    set_architecture(network, document, str(folder))
    state = with_versions(_read_weights(folder / WEIGHTS), network)
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise IntegrityError("weights and architecture differ", where=str(folder), got=str(error)) from error
    return network.eval()


def _read_architecture(file: Path) -> Mapping[str, Any]:
    try:
        return as_architecture(file.read_bytes(), str(file))
    except OSError as error:
        raise IntegrityError("the architecture cannot be read", where=str(file), got=str(error)) from error


def _read_weights(file: Path) -> dict[str, Tensor]:
    import safetensors
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise IntegrityError("the weights cannot be read", where=str(file), got=str(error)) from error
    return state
