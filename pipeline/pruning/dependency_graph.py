"""The channels that a module's graph couples: a thin, typed wrapper of torch-pruning.

Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", 2023 (arXiv:2301.12900).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.models.training_answers import answering_as_in_training
from pipeline.pruning.exchange import Coupled, exchange, not_exchangeable
from pipeline.pruning.frozen_layers import as_if_trained
from pipeline.pruning.group_source import ChannelGroup
from pipeline.pruning.importance.criteria import CRITERIA
from pipeline.pruning.time_limit import limited_time

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from torch import Tensor

    from pipeline.pruning.exchange import Move

__all__ = ["DependencyGraph", "outputs_of", "with_auxiliary"]


class DependencyGraph:
    """Groups of a network or of a module in it; whatever its library trips over is raised as it is.

    Channels that are coupled in ways that the library does not see are found out by their changing places, and stay.

    Args:
        module: Cut in place; in eval mode, on the CPU.
        example: Its input.
        names: Of the modules in the network.
        importance: By what channels are judged: a name among :data:`pipeline.pruning.importance.criteria.CRITERIA`.
        ignored: Layers whose outputs stay.

    Attributes:
        staying: Roots of groups that cannot change places; none before the groups were looked for.
    """

    def __init__(
        self,
        module: nn.Module,
        example: Tensor,
        *,
        names: Mapping[nn.Module, str],
        importance: str,
        ignored: Sequence[nn.Module],
    ) -> None:
        self._module, self._example, self._names = module, example, names
        self._importance, self._ignored = importance, list(ignored)
        self._looked = False
        self.staying: tuple[str, ...] = ()

    def groups(self, among: Collection[str] | None = None) -> list[ChannelGroup]:
        """All groups whose channels may go, in the order of the graph.

        Args:
            among: Roots of those that are asked about; None: all.
        """
        with as_if_trained(self._module):
            with limited_time():
                pruner = self._pruner({})
                walk = pruner.DG.get_all_groups(
                    ignored_layers=pruner.ignored_layers, root_module_types=pruner.root_module_types
                )
                read = [(found, group) for group in walk if (found := _read(pruner, group, self._names)) is not None]
            if among is not None:
                read = [(found, group) for found, group in read if found.root in among]
            if not self._looked:
                self._looked, self.staying = among is None, self._not_exchangeable(pruner, read)
        return [found for found, _ in read if found.root not in self.staying]

    def _not_exchangeable(self, pruner: Any, read: Sequence[tuple[ChannelGroup, Any]]) -> tuple[str, ...]:  # noqa: ANN401 - torch-pruning has no types
        own = {module: name for name, module in self._module.named_modules()}
        own |= {parameter: name for name, parameter in self._module.named_parameters()}
        moves: dict[str, list[Move]] = {}
        for found, group in read:
            coupled = [
                Coupled(
                    module=dep.target.module,
                    name=own[dep.target.module],
                    gives=pruner.DG.is_out_channel_pruning_fn(dep.handler),
                    places=item.idxs,
                    roots=item.root_idxs,
                    dim=dep.target.pruning_dim,
                )
                for item in group
                if (dep := item.dep).target.module in own
            ]
            exchanged = exchange(coupled, found.channels, found.copies)
            if exchanged is not None:
                moves[found.root] = exchanged
        return tuple(not_exchangeable(self._module, self._example, moves)) if moves else ()

    def cut(self, kept: Mapping[str, int]) -> None:
        """Leave so many channels of each group, those with the highest scores.

        Args:
            kept: Root to number, at least one; roots that are not here are another's.
        """
        with as_if_trained(self._module), limited_time():
            self._pruner(kept).step()

    def _pruner(self, kept: Mapping[str, int]) -> Any:  # noqa: ANN401 - torch-pruning has no types
        import torch_pruning

        from pipeline.pruning.frozen_batch_norm import FROZEN_BATCH_NORMS

        own = {self._names[module]: module for module in self._module.modules() if module in self._names}
        ratios = {own[root]: _ratio(own[root], number) for root, number in kept.items() if root in own}
        with warnings.catch_warnings():
            # It tells which axis of free parameters it chose; the tests of stored networks cover that choice.
            warnings.simplefilter("ignore")
            return torch_pruning.pruner.BasePruner(
                self._module,
                self._example,
                importance=_relative(CRITERIA[self._importance]()),
                pruning_ratio=0.0,
                pruning_ratio_dict=ratios,
                ignored_layers=self._ignored,
                customized_pruners=FROZEN_BATCH_NORMS,
                forward_fn=with_auxiliary,
            )


def _relative(judge: Callable[[Any], Tensor | None]) -> Callable[[Any], Tensor | None]:
    """The same judge for a group that nothing is known to matter in: its mean is 0, and none of it is 0 of that."""

    def judged(group: Any) -> Tensor | None:  # noqa: ANN401 - torch-pruning has no types
        scores = judge(group)
        return None if scores is None else torch.where(scores.isnan(), 0.0, scores)

    return judged


def _ratio(module: nn.Module, kept: int) -> float:
    """What torch-pruning has to be told so that exactly ``kept`` channels stay: it rounds down."""
    return 1 - (kept + 0.5) / outputs_of(module)


def outputs_of(module: nn.Module) -> int:
    """How many channels a layer makes; 0 where it is none."""
    return int(getattr(module, "out_channels", 0) or getattr(module, "out_features", 0))


def _inputs_of(layer: nn.Conv2d | nn.Linear) -> int:
    return layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features


def _read(pruner: Any, group: Any, names: Mapping[nn.Module, str]) -> ChannelGroup | None:  # noqa: ANN401 - as above
    """A group as we know it; None for one that nothing can be said about."""
    scores = pruner.estimate_importance(group)
    root = group[0].dep.target.module
    if scores is None or not outputs_of(root):
        return None
    copies = pruner._get_channel_groups(group)  # noqa: SLF001 - there is no public way to ask
    makes: list[str] = []
    takes: dict[str, float] = {}
    kind = []
    for dep, places in group:
        module, gives = dep.target.module, pruner.DG.is_out_channel_pruning_fn(dep.handler)
        kind.append(f"{type(module).__name__} {'out' if gives else 'in'}")
        if isinstance(module, nn.Conv2d | nn.Linear) and module in names:
            if gives:
                makes.append(names[module])
            else:
                takes[names[module]] = takes.get(names[module], 0.0) + len(places) / _inputs_of(module)
    return ChannelGroup(
        root=names[root],
        channels=outputs_of(root),
        scores=scores.view(copies, -1).mean(dim=0).cpu(),
        copies=copies,
        kind=", ".join(kind),
        makes=tuple(dict.fromkeys(makes)),
        takes=takes,
    )


def with_auxiliary(network: nn.Module, example: Tensor) -> Tensor | tuple[Tensor, ...]:
    """All the network answers in training, auxiliary classifiers too: their inputs are cut with the trunk's outputs.

    Args:
        network: Or a module of it; in eval mode afterwards.
        example: Its input.
    """
    with answering_as_in_training(network):
        answered: Tensor | tuple[Tensor, ...] = network(example)
    return answered
