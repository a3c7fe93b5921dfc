"""Whole channels go, and the network learns to do without them from what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.stages.recovery import Recovering
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from pipeline.pruning.channel_groups import ChannelGroup, ChannelGroups
    from pipeline.pruning.residual_blocks import BlockChange
    from pipeline.stage import Inputs, Workspace
    from pipeline.training.images import TrainingImages

__all__ = ["Prune"]

_NAMED = 3
"""Layers that a note names."""


class Prune(Recovering):
    """Structured pruning with recovery: the dense network is the pruned one's teacher, where its answers can teach."""

    name: ClassVar[str] = "prune"
    version: ClassVar[int] = 13
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "train", "validation", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "torch-pruning", "lightning-fabric", "pillow")

    blocks: NonNegativeInt | Literal["auto"] | tuple[str, ...] | None = Field(
        default=None,
        description="so many residual blocks go as a whole, first those that change least what passes them; or which, "
        "by name; 'auto': as many as a goal decides; default: 'auto' where a goal asks for less latency, else 0",
    )
    ratio: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="fraction of the channels that go; 0 only where blocks go"
    )
    channels: dict[str, PositiveInt] | None = Field(
        default=None, description="how many channels of which layers stay, in place of ratio: what a goal decides"
    )
    importance: Literal["l2", "l1", "bn-scale", "taylor", "random"] = Field(
        default="l2",
        description="which channels go first: those with the smallest weights ('l2', 'l1'), the smallest factors of "
        "their batch norms, the least effect on the loss ('taylor'), or any ('random', a control)",
    )
    scope: Literal["layer", "global", "isomorphic"] = Field(
        default="layer",
        description="of every layer the same fraction goes, or channels of all layers compete, or those of layers that "
        "are built alike",
    )
    keep: tuple[str, ...] = Field(default=(), description="layers whose channels all stay, by name")
    rounds: PositiveInt = Field(default=1, description="the channels go in so many steps, each with its recovery")
    round_to: PositiveInt = Field(
        default=8,
        description="channel numbers stay multiples of this: what kernels like; unless it is said, 16 where a goal for "
        "latency decides on a CPU with AVX-512",
    )
    schedule: Schedule = Schedule(epochs=10)

    @property
    def cuts_channels(self) -> bool:
        """Whether any channel goes: where not, only blocks do."""
        return bool(self.ratio) or self.channels is not None

    def within(self, channels: Mapping[str, int], blocks: Sequence[str]) -> Prune:
        """The same with what a goal decided.

        Args:
            channels: Root layer to how many stay, of those that lose some.
            blocks: That go, by name.
        """
        decided = {"channels": dict(channels)} if channels else {"channels": None, "ratio": 0.0}
        return self.model_copy(update={**decided, "blocks": tuple(blocks) or 0})

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Prune, recover; write the network.

        Raises:
            DataError: when there are no training images to recover with.
            EdgewrightError: when nothing could be pruned.
            UsageError: when there are not so many blocks, or no layer of a name that is to be kept.
        """
        from pipeline.models.files import load_network, save_network
        from pipeline.pruning.channel_groups import ChannelGroups, kept_layers
        from pipeline.stages.recovery import Recovery, asked_before
        from pipeline.stages.start import network_facts
        from pipeline.training.images import TrainingImages

        subject = inputs.subject
        folder = inputs.artifacts[ArtifactKind.NETWORK].root
        images = TrainingImages(subject.train, subject.preprocess, work.progress, subject.task)
        dense, network = (load_network(folder, subject.model) for _ in range(2))
        kept_layers(network, self.keep)
        before = network_facts(dense, inputs)
        said = asked_before(dense, lambda: images, self, inputs, work)
        recovery = Recovery(self, dense, said, images, inputs, work)
        gone = self._leave_blocks_out(network, images)
        cutter = (  # a network whose channels cannot be followed may lose blocks all the same
            ChannelGroups.of(network, subject, importance=self.importance, keep=self.keep)
            if self.cuts_channels
            else None
        )
        before_all: dict[str, int] = {}
        rounds = self.rounds if cutter is not None else 1  # blocks go at once
        for number in range(1, rounds + 1):
            if cutter is not None:
                with cutter.judging(images, subject.task, seed=work.seed, number=number):
                    self.cut_round(cutter, before_all, number)
            suffix = f" ({number}/{rounds})" if rounds > 1 else ""
            recovery.train(network, seed=work.seed + number, how=f"pruned{suffix}")
        save_network(network, subject.model, work.folder, classes=len(subject.classes))
        facts = network_facts(network, inputs, recovery.curves)
        notes = [f"parameters {before['params'] / 1e6:.2f} M -> {facts['params'] / 1e6:.2f} M"]
        if gone:
            told = ", ".join(f"{block.name} ({100 * block.change:.0f} %)" for block in gone)
            notes.append(f"left out, with how much each changed what passed it: {told}")
        if cutter is not None and cutter.by_parts:
            notes.append(
                "channels inside blocks and attention heads went; what runs from block to block stays as wide as it is"
            )
        if cutter is not None and cutter.staying:
            notes.append(_told_of_staying(cutter.staying))
        return Made(facts=facts, notes=(*notes, *recovery.notes))

    def _leave_blocks_out(self, network: nn.Module, images: TrainingImages) -> list[BlockChange]:
        """Those that went; measured once, on some of the training images."""
        if not self.blocks or self.blocks == "auto":
            return []
        from pipeline.pruning.residual_blocks import changes_on, removable, remove_blocks

        found = removable(network, (1, *images.first(1).shape[1:]), self.blocks, self.keep)
        gone = changes_on(network, found, images)[: self.blocks if isinstance(self.blocks, int) else None]
        remove_blocks(network, [block.name for block in gone])
        return gone

    def cut_round(self, cutter: ChannelGroups, before: dict[str, int], number: int) -> None:
        """Take out what goes in a round: nothing where earlier ones, which round down, took as much already.

        Args:
            cutter: Of the network.
            before: Root to number before the first round, which fills it.
            number: Of the round, from 1.

        Raises:
            EdgewrightError: when no channel could be removed, in a round or in all of them, or the network no longer
                runs.
            UsageError: as of :meth:`kept`.
        """
        groups = cutter.groups()
        if not before:
            before.update({group.root: group.channels for group in groups})
        kept = self.kept(groups, before, number)
        goes = any(kept.get(group.root, group.channels) < group.channels for group in groups)
        went = any(group.channels < before[group.root] for group in groups)
        if goes or (number == self.rounds and not went):  # the cutter says that nothing could be removed
            cutter.cut(kept)

    def kept(self, groups: Sequence[ChannelGroup], before: Mapping[str, int], number: int) -> dict[str, int]:
        """How many channels of each group stay after a round.

        Args:
            groups: As they are before it.
            before: Root to number before the first round.
            number: Of the round, from 1.

        Raises:
            UsageError: for channels of a layer that has none to give, or more than it has.
        """
        from pipeline.pruning.kept_channels import gradually, kept_channels

        if self.channels is not None:
            return gradually(self.channels, before, number / self.rounds, self.round_to, groups)
        ratio = self.ratio * number / self.rounds
        return kept_channels(groups, ratio=ratio, scope=self.scope, round_to=self.round_to, of=before)


def _told_of_staying(layers: Sequence[str]) -> str:
    """Why they do, with the names of some."""
    more = f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else ""
    return (
        f"channels of {', '.join(layers[:_NAMED])}{more} stay: a shuffle, the heads of an attention, the halves of a "
        "gate or shared weights couple them in other ways than one by one"
    )
