"""The network a run starts from: built, and loaded with what weights there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace

__all__ = ["Start", "network_facts", "starting_network"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The starting network.

    Attributes:
        trained: Whether its weights already answer for the data's classes.
        notes: What the user should know about where the weights come from.
    """

    network: nn.Module
    trained: bool
    notes: tuple[str, ...]


def starting_network(inputs: Inputs, work: Workspace) -> Start:
    """Build the subject's network and load its weights; random parts come from the seed."""
    import torch

    from pipeline.models.build import build_network
    from pipeline.models.folded_norms import keep_folded
    from pipeline.models.reparametrised import make_plain
    from pipeline.models.weights import load_weights

    subject = inputs.subject
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(work.seed)
        network = build_network(subject.model, classes=len(subject.classes))
        probe = torch.randn(subject.preprocess.shape)
    name, scratch = subject.model.name, subject.weights.origin == "scratch"
    loaded = load_weights(network, subject.weights, classes=len(subject.classes))
    fresh = loaded.fresh_head
    notes: tuple[str, ...] = (f"{name}: {subject.weights.reason}",) if scratch else ()
    notes += (f"{name}: weights for its backbone: {loaded.backbone}",) if loaded.backbone else ()
    notes += (f"{name}: new head for {len(subject.classes)} classes",) if fresh else ()
    plain = make_plain(network, probe)
    notes += (f"{name}: {len(plain)} weight(s) that were computed from others are plain now",) if plain else ()
    folded = 0 if scratch else keep_folded(network)
    notes += (f"{name}: {folded} batch norm(s) were folded into other layers and stay as they are",) if folded else ()
    return Start(network=network, trained=not (scratch or fresh), notes=notes)


def network_facts(network: nn.Module, inputs: Inputs, training: Sequence[Json] = ()) -> dict[str, Json]:
    """Parameters and multiply-accumulates of one image, and the curves of what was trained, for the report."""
    from pipeline.models.count import count_macs, count_parameters

    shape = inputs.subject.preprocess.shape
    counted: dict[str, Json] = {"params": count_parameters(network), "macs": count_macs(network, shape)}
    return counted | ({"training": list(training)} if training else {})
