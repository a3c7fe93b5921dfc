"""Channels that can only go together: a thin, typed wrapper of torch-pruning's dependency graph.

Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", 2023 (arXiv:2301.12900).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.errors import EdgewrightError, UsageError, nearest
from pipeline.pruning.importance.criteria import CRITERIA
from pipeline.pruning.memory_limit import limited_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import Tensor

__all__ = ["ChannelGroup", "ChannelGroups"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelGroup:
    """Channels of coupled layers.

    Attributes:
        root: Name of the layer that stands for them.
        channels: How many.
        scores: How much each matters, (channels / copies,): relative to the group's mean, except by chance.
        copies: Channels go in so many equal parts at once: those of grouped convolutions.
        kind: Groups of the same kind are built alike: the same layers are coupled in the same way.
        makes: Layers whose outputs these are.
        takes: Layers whose inputs these are.
    """

    root: str
    channels: int
    scores: Tensor
    copies: int
    kind: str
    makes: tuple[str, ...]
    takes: tuple[str, ...]


class ChannelGroups:
    """A network's channels by group, and cutting them.

    Args:
        network: Cut in place; in eval mode, on the CPU.
        input_shape: With the batch: (1, 3, height, width).
        outputs: Of the layer that answers, which keeps them: the number of classes, or one.
        importance: By what channels are judged: a name among :data:`pipeline.pruning.importance.criteria.CRITERIA`.
        keep: Names of layers whose outputs stay, besides those that answer.

    Raises:
        EdgewrightError: when the network's graph cannot be followed.
        UsageError: when a layer that is to stay is not there.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        importance: str = "l2",
        keep: Collection[str] = (),
    ) -> None:
        self._network, self._importance = network, importance
        self._example = torch.zeros(input_shape)
        modules = dict(network.named_modules())
        for name in keep:
            if name not in modules:
                close = nearest(name, modules)
                raise UsageError(
                    "there is no such layer to keep",
                    where="prune.keep",
                    got=name,
                    expected=f"did you mean {' or '.join(close)}?" if close else "a name of network.named_modules()",
                )
        try:
            self._ignored = [*_last_layers(network, self._example, outputs), *(modules[name] for name in keep)]
        except EdgewrightError:
            raise
        except Exception as error:  # whatever the user's forward raises
            raise _unprunable(error) from error

    def groups(self) -> list[ChannelGroup]:
        """All groups whose channels may go, in the order of the network, with scores of its weights as they are.

        Raises:
            EdgewrightError: when the network's graph cannot be followed.
        """
        try:
            with limited_memory():
                pruner = self._pruner({})
                names = {module: name for name, module in self._network.named_modules()}
                return [found for group in self._walk(pruner) if (found := _read(pruner, group, names)) is not None]
        except Exception as error:  # the graph trips over what it does not know in as many ways as there are
            raise _unprunable(error) from error

    def cut(self, kept: Mapping[str, int]) -> None:
        """Leave so many channels of each group, those with the highest scores.

        Args:
            kept: Root to number, at least one; groups that are not named keep all.

        Raises:
            EdgewrightError: when nothing could be removed, or the network no longer runs.
        """
        before = sum(parameter.numel() for parameter in self._network.parameters())
        try:
            with limited_memory():
                self._pruner(kept).step()
            with torch.no_grad():  # shapes written into forward are met here rather than in training
                _with_auxiliary(self._network, self._example)
        except Exception as error:  # as above, and whatever the user's forward raises
            raise _unprunable(error) from error
        if sum(parameter.numel() for parameter in self._network.parameters()) == before:
            raise _unprunable("no channel could be removed")

    def _pruner(self, kept: Mapping[str, int]) -> Any:  # noqa: ANN401 - torch-pruning has no types
        import torch_pruning

        modules = dict(self._network.named_modules())
        ratios = {modules[root]: _ratio(modules[root], number) for root, number in kept.items()}
        with warnings.catch_warnings():
            # It tells which axis of free parameters it chose; the tests of stored networks cover that choice.
            warnings.simplefilter("ignore")
            return torch_pruning.pruner.BasePruner(
                self._network,
                self._example,
                importance=CRITERIA[self._importance](),
                pruning_ratio=0.0,
                pruning_ratio_dict=ratios,
                ignored_layers=self._ignored,
                forward_fn=_with_auxiliary,
            )

    @staticmethod
    def _walk(pruner: Any) -> Any:  # noqa: ANN401 - as above
        return pruner.DG.get_all_groups(
            ignored_layers=pruner.ignored_layers, root_module_types=pruner.root_module_types
        )


def _ratio(module: nn.Module, kept: int) -> float:
    """What torch-pruning has to be told so that exactly ``kept`` channels stay: it rounds down."""
    return 1 - (kept + 0.5) / _outputs(module)


def _outputs(module: nn.Module) -> int:
    return int(getattr(module, "out_channels", 0) or getattr(module, "out_features", 0))


def _read(pruner: Any, group: Any, names: Mapping[nn.Module, str]) -> ChannelGroup | None:  # noqa: ANN401 - as above
    """A group as we know it; None for one that nothing can be said about."""
    scores = pruner.estimate_importance(group)
    root = group[0].dep.target.module
    if scores is None or not _outputs(root):
        return None
    copies = pruner._get_channel_groups(group)  # noqa: SLF001 - there is no public way to ask
    makes: list[str] = []
    takes: list[str] = []
    kind = []
    for dep, _ in group:
        module, gives = dep.target.module, pruner.DG.is_out_channel_pruning_fn(dep.handler)
        kind.append(f"{type(module).__name__} {'out' if gives else 'in'}")
        if isinstance(module, nn.Conv2d | nn.Linear) and module in names:
            (makes if gives else takes).append(names[module])
    return ChannelGroup(
        root=names[root],
        channels=_outputs(root),
        scores=scores.view(copies, -1).mean(dim=0).cpu(),
        copies=copies,
        kind=", ".join(kind),
        makes=tuple(dict.fromkeys(makes)),
        takes=tuple(dict.fromkeys(takes)),
    )


def _unprunable(reason: object) -> EdgewrightError:
    if isinstance(reason, EdgewrightError):
        return reason
    return EdgewrightError(
        "this network's channels cannot be pruned",
        where="prune",
        got=_one_line(reason),
        fix="run without it: --skip prune",
    )


def _one_line(reason: object) -> str:
    """The reason without the lines that only its library's authors can read."""
    text = (str(reason).strip().splitlines() or [""])[0]
    kind = f"{type(reason).__name__}: " if isinstance(reason, Exception) else ""
    return f"{kind}{text}" if text else kind.rstrip(": ")


def _with_auxiliary(network: nn.Module, example: Tensor) -> Tensor | tuple[Tensor, ...]:
    """All the network answers in training, auxiliary classifiers too: their inputs are cut with the trunk's outputs.

    Only modules that hold others are told that they train, since it is they who decide what is answered; a batch norm
    or a dropout goes on as in evaluation. The network is in eval mode afterwards.
    """
    for module in network.modules():
        module.training = next(module.children(), None) is not None
    try:
        answered: Tensor | tuple[Tensor, ...] = network(example)
    finally:
        network.eval()
    return answered


def _last_layers(network: nn.Module, example: Tensor, outputs: int) -> list[nn.Module]:
    """The layers that make the classes: the last one to run whose outputs are as many, and those of auxiliary heads.

    Raises:
        EdgewrightError: when there is none.
    """
    main = _layers_with(network, outputs, lambda: network.eval()(example))
    if not main:
        raise EdgewrightError(
            "the layer that answers was not found", where="prune", expected=f"a layer with {outputs} output(s)"
        )
    every = _layers_with(network, outputs, lambda: _with_auxiliary(network, example))
    return [main[-1], *(layer for layer in every if layer not in main)]


def _layers_with(network: nn.Module, outputs: int, forward: Callable[[], object]) -> list[nn.Module]:
    """The layers with so many outputs, in the order in which a forward pass runs them."""
    seen: list[nn.Module] = []

    def remember(module: nn.Module, _inputs: object, _output: object) -> None:
        if outputs in (getattr(module, "out_features", None), getattr(module, "out_channels", None)):
            seen.append(module)

    handles = [module.register_forward_hook(remember) for module in network.modules()]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return seen
