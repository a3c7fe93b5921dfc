"""Channels that can only go together, all over a network, and cutting them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from pipeline.errors import EdgewrightError, UsageError, nearest
from pipeline.pruning.attention_heads import AttentionHeads, attentions
from pipeline.pruning.dependency_graph import DependencyGraph, outputs_of, with_auxiliary
from pipeline.pruning.gradients import gradients_of
from pipeline.pruning.group_source import ChannelGroup
from pipeline.pruning.memory_limit import limited_memory, of_little_memory
from pipeline.pruning.straight_parts import straight_parts
from pipeline.pruning.unprunable import unprunable
from pipeline.tasks.followed import Followed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from pipeline.pruning.group_source import GroupSource
    from pipeline.subject import Subject
    from pipeline.tasks import Task
    from pipeline.training.images import TrainingImages

__all__ = ["ChannelGroup", "ChannelGroups", "kept_layers"]


def kept_layers(network: nn.Module, keep: Collection[str]) -> list[nn.Module]:
    """The layers that are to stay.

    Raises:
        UsageError: when one of that name is not there.
    """
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
    return [modules[name] for name in keep]


class ChannelGroups:
    """A network's channels by group, and cutting them.

    The graph of the whole network says which channels go together, and those of which it turns out not to be so stay
    (:mod:`pipeline.pruning.exchange`). Where it cannot be followed, the network's straight parts are, each alone: the
    widths in between its blocks then stay. A transformer of torchvision's goes that way at once, since indices for all
    places of all windows take more memory than a workstation has, and loses heads too.

    Args:
        network: Cut in place; in eval mode, on the CPU.
        input_shape: With the batch: (1, 3, height, width).
        outputs: Of the layer that answers, which keeps them: the number of classes, or one.
        importance: By what channels are judged: a name among :data:`pipeline.pruning.importance.criteria.CRITERIA`.
        keep: Names of layers whose outputs stay, besides those that answer.
        follow: From a network to the form of it that is followed, where that is not the network itself; see
            :meth:`pipeline.tasks.Task.followed`.

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
        follow: Callable[[nn.Module], Followed | None] | None = None,
    ) -> None:
        self._network, self._importance = network, importance
        self._follow, self._outputs = follow, outputs
        self._example = torch.zeros(input_shape)
        self._sources: list[GroupSource] = []
        self._whole: GroupSource | None = None
        kept = kept_layers(network, keep)
        try:
            followed = self._followed(network)
        except EdgewrightError:
            raise
        except Exception as error:  # whatever the user's forward raises
            raise _unprunable(error) from error
        self._module = followed.module
        self._ignored = [*followed.answering, *kept]

    @classmethod
    def of(cls, network: nn.Module, subject: Subject, *, importance: str, keep: Collection[str] = ()) -> ChannelGroups:
        """Of a network of the subject's model; ``importance`` and ``keep`` as above."""
        return cls(
            network,
            input_shape=subject.preprocess.shape,
            outputs=subject.model.last_outputs(len(subject.classes)),
            importance=importance,
            keep=keep,
            follow=lambda whole: subject.task.followed(whole, subject.preprocess.shape),
        )

    @contextmanager
    def judging(self, images: TrainingImages, task: Task, *, seed: int, number: int = 1) -> Iterator[None]:
        """Within it channels are judged as in a round of pruning: the same go whoever asks.

        Args:
            images: Of the training, for those ways to judge that look at gradients.
            task: Its loss.
            seed: Of the run, which decides what goes by chance.
            number: Of the round, from 1.
        """
        with torch.random.fork_rng(devices=[]), gradients_of(self._importance, self._network, images, task):
            torch.manual_seed(seed + number)
            yield

    @property
    def by_parts(self) -> bool:
        """Whether only parts of the network were followed, so that what lies between them stays as wide as it is."""
        return bool(self._sources) and self._whole is None

    @property
    def staying(self) -> tuple[str, ...]:
        """Layers that make channels which cannot change places, so that none of them goes; known after a look."""
        return tuple(root for source in self._sources for root in source.staying)

    def groups(self) -> list[ChannelGroup]:
        """All groups whose channels may go, in the order of the network, with scores of its weights as they are.

        Raises:
            EdgewrightError: when neither the network's graph nor that of any part can be followed.
        """
        try:
            with limited_memory():
                return self._look()
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
                if not self._sources:
                    self._look(kept)
                for source in self._sources:
                    source.cut(kept)
            with torch.no_grad():  # shapes written into forward are met here rather than in training
                with_auxiliary(self._module, self._example)
        except Exception as error:  # as above, and whatever the user's forward raises
            raise _unprunable(error) from error
        if sum(parameter.numel() for parameter in self._network.parameters()) == before:
            raise _unprunable("no channel could be removed")

    def _followed(self, network: nn.Module) -> Followed:
        """The network, or a copy of it, as it is followed."""
        found = self._follow(network) if self._follow is not None else None
        return found or Followed(network, tuple(_last_layers(network, self._example, self._outputs)))

    @torch.random.fork_rng(devices=())
    def _look(self, among: Collection[str] | None = None) -> list[ChannelGroup]:
        """The groups as they are; the first look decides where they come from, and none what goes by chance.

        Args:
            among: Roots of those that are asked about, which were looked at before, perhaps by another; None: all.
        """
        if self._sources:
            return [group for source in self._sources for group in source.groups()]
        attending = attentions(self._network)
        if attending:
            heads = AttentionHeads(self._network, importance=self._importance, keep=self._ignored)
            self._sources, found = [heads], heads.groups()
            return [*found, *self._look_at_parts(attending.values(), among)]
        whole = self._graph(self._module, self._example, self._ignored)
        heads_elsewhere = [module for module in self._network.modules() if "num_heads" in vars(module)]
        failure = None
        try:
            found = _some(whole, among)
            if heads_elsewhere:
                self._try_on_a_copy(found)
        except Exception as error:  # noqa: BLE001 - as in groups
            failure = error.with_traceback(None)  # with it, what fills the memory would be held on to
        if failure is None:
            self._whole, self._sources = whole, [whole]
            return found
        found = self._look_at_parts(heads_elsewhere, among)
        if not found:
            raise failure
        return found

    def _try_on_a_copy(self, groups: Sequence[ChannelGroup]) -> None:
        """See whether the network runs with half of everything: an attention may hold its width in its code.

        Raises:
            Exception: whatever it fails with; also where other channels went than were asked for.
        """
        copied = deepcopy(self._network)
        names = {module: name for name, module in self._network.named_modules()}
        ignored = [copied.get_submodule(names[module]) for module in self._ignored]
        half = {group.root: max(group.copies, group.channels // 2 // group.copies * group.copies) for group in groups}
        followed = self._followed(copied).module
        graph = DependencyGraph(
            followed,
            self._example,
            names={module: name for name, module in copied.named_modules()},
            importance="l1",  # which channels go does not matter here
            ignored=ignored,
        )
        graph.cut(half)
        with torch.no_grad():
            with_auxiliary(followed, self._example)
        left = {name: outputs_of(copied.get_submodule(name)) for name in half}
        if left != half:
            raise _unprunable("channels of its attentions depend on each other in ways that were not understood")

    def _look_at_parts(
        self, without: Collection[nn.Module] = (), among: Collection[str] | None = None
    ) -> list[ChannelGroup]:
        """Groups of the parts whose graph can be followed; the others stay as they are."""
        found: list[ChannelGroup] = []
        for part in straight_parts(self._module, self._example, without):
            graph = self._graph(part.module, part.example, [*part.tied, *self._ignored])
            with suppress(Exception):  # whatever the graph trips over: then it is no part
                if groups := graph.groups(among):
                    found += groups
                    self._sources.append(graph)
        return found

    def _graph(self, module: nn.Module, example: Tensor, ignored: list[nn.Module]) -> DependencyGraph:
        names = {inner: name for name, inner in self._network.named_modules()}
        return DependencyGraph(module, example, names=names, importance=self._importance, ignored=ignored)


def _some(graph: DependencyGraph, among: Collection[str] | None) -> list[ChannelGroup]:
    """Its groups, or those of them that are asked about.

    Raises:
        EdgewrightError: where channels were found that go together, and none do, or none that are asked about.
    """
    found = graph.groups(among)
    if not found and (graph.staying or among):
        raise _unprunable("the channels of no layer can change places, so that other ones would go than said")
    return found


def _unprunable(reason: object) -> EdgewrightError:
    if isinstance(reason, EdgewrightError):
        return reason
    if (lacking := of_little_memory(reason)) is not None:
        return lacking
    return unprunable(_one_line(reason))


def _one_line(reason: object) -> str:
    """The reason without the lines that only its library's authors can read."""
    text = (str(reason).strip().splitlines() or [""])[0]
    kind = f"{type(reason).__name__}: " if isinstance(reason, Exception) else ""
    return f"{kind}{text}" if text else kind.rstrip(": ")


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
    every = _layers_with(network, outputs, lambda: with_auxiliary(network, example))
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
