"""A network but for its channels: the size of its input and the blocks that it keeps, and what channels there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.data.dataset import rotating_samples
from pipeline.planning.goal.cut_network import IMAGES
from pipeline.planning.goal.removal import least_channels, makers_of
from pipeline.pruning.kept_channels import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.layer_costs import LayerCost
    from pipeline.pruning.channel_groups import ChannelGroup
    from pipeline.training.images import TrainingImages

__all__ = ["Outline", "gone_blocks", "layers_of", "read_outline", "smaller_inputs"]

_SHARES_GONE = (0.25, 0.5)
"""Of the blocks that can be left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """One.

    Attributes:
        size: Height and width of the input, pixels.
        gone: Residual blocks that are left out, by name.
        groups: With their scores; none where the network is not to be pruned.
        layers: What each costs at the network's own size.
        round_to: Numbers of channels stay multiples of this.
    """

    size: tuple[int, int]
    gone: tuple[str, ...] = ()
    groups: tuple[ChannelGroup, ...] = field(compare=False)
    layers: tuple[LayerCost, ...] = field(compare=False)
    round_to: int

    @property
    def label(self) -> str:
        """``48x48 without 2 blocks``, for a table."""
        blocks = f" without {len(self.gone)} block{'s' * (len(self.gone) > 1)}" if self.gone else ""
        return f"{'x'.join(map(str, self.size))}{blocks}"

    @property
    def all_channels(self) -> dict[str, int]:
        """Root of each group to its number of channels."""
        return {group.root: group.channels for group in self.groups}

    @property
    def fewest_channels(self) -> dict[str, int]:
        """The same with as few as each can be left with."""
        return {group.root: least_channels(group, self.round_to) for group in self.groups}

    @property
    def unseen(self) -> float:
        """Fraction of the multiplications that were found in no layer; 0 where enough were found in one."""
        from pipeline.planning.goal.layer_costs import unseen_share

        return unseen_share(self.layers)

    def fewer(self, kept: Mapping[str, int]) -> dict[str, int]:
        """Of the numbers that are to stay those of groups that lose channels."""
        whole = self.all_channels
        return {root: number for root, number in kept.items() if number < whole[root]}

    def fractions(self, kept: Mapping[str, int]) -> dict[str, float]:
        """Root to what is left of its channels."""
        return {root: kept[root] / number for root, number in self.all_channels.items()}

    def lost(self, kept: Mapping[str, int]) -> float:
        """Importance of the channels that go where so many stay, of all layers' mean a fraction: 0 where none goes."""
        gone = whole = 0.0
        makers = makers_of(self.groups, self.layers)
        for group in self.groups:
            ascending = sorted(group.scores.repeat(group.copies).tolist())
            each = makers[group.root] / group.channels
            gone += each * sum(ascending[: group.channels - kept[group.root]])
            whole += each * sum(ascending)
        return gone / whole if gone else 0.0

    def half_blocks(self) -> dict[str, dict[str, int]]:
        """For each block of layers the network with half of the channels that its layers make."""
        whole = self.all_channels
        by_root = {group.root: group for group in self.groups}
        found: dict[str, dict[str, int]] = {}
        for block in dict.fromkeys(layer.block for layer in self.layers):
            roots = {layer.makes for layer in self.layers if layer.block == block and layer.makes in by_root}
            halves = {root: rounded(by_root[root], whole[root] // 2, self.round_to) for root in sorted(roots)}
            if any(halves[root] < whole[root] for root in halves):
                found[f"half of {block}"] = {**whole, **halves}
        return found


def read_outline(chain: Chain, artifact: Artifact, gone: tuple[str, ...] = ()) -> Outline:
    """That of a network.

    Args:
        chain: What is run; it says whether channels may go.
        artifact: The network.
        gone: Blocks that it is without.
    """
    from pipeline.models.files import load_network
    from pipeline.planning.goal.layer_costs import layer_costs
    from pipeline.pruning.channel_groups import ChannelGroups

    plan = chain.plan
    parts, section = plan.parts, plan.recipe.prune
    network, shape = load_network(artifact.root, parts.model), parts.preprocess.shape
    groups: list[ChannelGroup] = []
    if "prune" not in plan.skipped and section.cuts_channels:
        cutter = ChannelGroups.of(network, chain.subject, importance=section.importance, keep=section.keep)
        with cutter.judging(_images(chain), parts.task, seed=plan.recipe.seed):
            groups = cutter.groups()
    return Outline(
        size=parts.preprocess.size,
        gone=gone,
        groups=tuple(groups),
        layers=tuple(layer_costs(network, shape, groups)),
        round_to=section.round_to,
    )


def layers_of(chain: Chain, artifact: Artifact, outline: Outline) -> tuple[LayerCost, ...]:
    """What each layer costs at an outline's size: its own ``layers`` say that of the network's size.

    Args:
        chain: What is run.
        artifact: The network without the blocks that are gone, with all its channels.
        outline: Of it.
    """
    from pipeline.models.files import load_network
    from pipeline.planning.goal.layer_costs import layer_costs

    parts = chain.plan.parts
    network = load_network(artifact.root, parts.model)
    if outline.size != parts.preprocess.size:
        parts.task.shrunk(network, parts.preprocess.size, outline.size)
    return tuple(layer_costs(network, parts.preprocess.at(outline.size).shape, outline.groups))


def smaller_inputs(chain: Chain, artifact: Artifact) -> list[tuple[int, int]]:
    """Height and width of smaller inputs that may be taken, the largest first; none where the input is to stay."""
    from pipeline.models.files import load_network
    from pipeline.planning.goal.input_sizes import smaller_sizes

    plan = chain.plan
    return smaller_sizes(load_network(artifact.root, plan.parts.model), plan.parts) if plan.size_is_open else []


def gone_blocks(chain: Chain, artifact: Artifact) -> list[tuple[str, ...]]:
    """Sets of residual blocks that may be left out, the smallest first, each of those that change least.

    None where a goal does not decide about blocks; see :func:`pipeline.pruning.residual_blocks.changes`.
    """
    from pipeline.models.files import load_network
    from pipeline.pruning.residual_blocks import changes_on, removable

    plan = chain.plan
    if not plan.depth_is_open:
        return []
    network, shape = load_network(artifact.root, plan.parts.model), plan.parts.preprocess.shape
    found = removable(network, shape, 0, plan.recipe.prune.keep)
    ordered = [block.name for block in changes_on(network, found, _images(chain))] if found else []
    counts = dict.fromkeys(max(1, round(share * len(found))) for share in _SHARES_GONE) if found else ()
    return [tuple(ordered[:count]) for count in counts]


def _images(chain: Chain) -> TrainingImages:
    from pipeline.training.images import TrainingImages

    parts = chain.plan.parts
    samples = rotating_samples(parts.dataset.train, IMAGES)
    return TrainingImages(samples, parts.preprocess, chain.progress, parts.task)
