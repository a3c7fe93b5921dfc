"""The search for the channels that a network can do without under a budget, on the machine it will run on.

A budget is about the network as it ships: in INT8 where the target has it, fused as its runtime fuses. So whole
networks are measured and nothing else: the unpruned one, the smallest, one for each block of layers with half of that
block's channels, and then those that the plan leads to, each of which corrects the model that the next one is planned
with (docs/decisions/0005-latency-of-whole-networks.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.dataset import rotating_samples
from pipeline.errors import GoalError
from pipeline.planning.channels.cost_model import fit_cost_model
from pipeline.planning.channels.cut_network import IMAGES
from pipeline.planning.channels.measured_networks import MeasuredNetworks
from pipeline.planning.channels.plan_record import ChannelPlan
from pipeline.planning.channels.removal import least_channels, remove_until
from pipeline.pruning.kept_channels import rounded
from pipeline.report.figures import amount
from pipeline.report.goal_texts import budgets_told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.channels.cost_model import CostModel
    from pipeline.planning.channels.layer_costs import LayerCost
    from pipeline.pruning.channel_groups import ChannelGroup

__all__ = ["MEASURED_WITHIN", "ChannelSearch"]

_ROUNDS = 5
_WITHIN = 0.05
"""A network that costs so much less than its budget has lost channels for nothing."""
_AIM = 0.975
"""The plan aims in the middle of that."""
_LOWER, _HIGHER = 0.98, 1.01
"""Where it aims next when the same network comes out again."""
MEASURED_WITHIN = 1.02
"""What is so little above its budget holds it as far as can be measured: that is how exact a comparison is."""
_COUNTED = frozenset({"macs", "params"})
_BY_PARAMS = frozenset({"params", "size", "memory"})


class ChannelSearch:
    """One search.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact) -> None:
        self._chain, self._target = chain, target
        recipe = chain.plan.recipe
        self._section, self._budgets = recipe.prune, recipe.goal.budgets()
        self._groups, self._layers = _read(chain, network)
        self._whole = {group.root: group.channels for group in self._groups}
        self._networks = MeasuredNetworks(chain, target, network, self._whole)

    def run(self) -> ChannelPlan:
        """Measure, plan, correct.

        Raises:
            GoalError: when a budget cannot be held whatever goes.
        """
        blocks = self._half_blocks()
        with self._chain.progress.track("planning channels", _ROUNDS + 2 + len(blocks)) as ticker:
            unpruned = self._networks.measure("unpruned", self._whole)
            ticker.advance()
            if self._missed(unpruned.found) is None:
                return self._plan(self._whole, "the network holds its budgets as it is")
            least = {group.root: least_channels(group, self._section.round_to) for group in self._groups}
            self._refuse_the_impossible(unpruned.found, self._networks.measure("fewest channels", least).found)
            ticker.advance()
            for label, kept in blocks.items():
                self._networks.measure(label, kept)
                ticker.advance()
            return self._corrected(ticker.advance)

    def _corrected(self, advance: Callable[[], None]) -> ChannelPlan:
        """Plan and measure until what is measured is within five percent below the budget; else what came nearest."""
        aim = _AIM
        planned: list[tuple[bool, float, dict[str, int], Mapping[str, float]]] = []
        for number in range(1, _ROUNDS + 1):
            kept, predicted = self._planned(aim)
            again = self._networks.fractions(kept) in self._networks.left
            found = self._networks.measure(f"plan {number}", kept, predicted).found
            advance()
            missed = self._missed(found) is not None
            planned.append((missed, self._distance(found), kept, found))
            if not missed and planned[-1][1] <= _WITHIN:
                break
            if again:
                aim *= _LOWER if missed else _HIGHER
        missed, _, kept, found = min(planned, key=lambda one: one[:2])
        how = f"not within its budgets after {len(planned)} rounds" if missed else "chosen by measurement"
        return self._plan(kept, f"{how}: {budgets_told(self._budgets, found)}")

    def _planned(self, aim: float) -> tuple[dict[str, int], dict[str, float]]:
        """The channels that should stay by all that was measured so far, and what the network should then cost."""
        networks = self._networks
        models: dict[str, CostModel] = {
            budget.quantity: fit_cost_model(
                self._layers,
                [(left, one.found[budget.quantity]) for left, one in zip(networks.left, networks.tried, strict=True)],
                by_params=budget.quantity in _BY_PARAMS,
            )
            for budget in self._budgets
        }
        kept = remove_until(
            self._groups, models, lambda costs: self._furthest(costs, aim), round_to=self._section.round_to
        )
        left = networks.fractions(kept)
        return kept, {name: model.predict(left) for name, model in models.items()}

    def _half_blocks(self) -> dict[str, dict[str, int]]:
        """For each block of layers the network with half of the channels that its layers make.

        None where all that is asked for can be counted: what a block saves is known then.
        """
        if {budget.quantity for budget in self._budgets} <= _COUNTED:
            return {}
        by_root = {group.root: group for group in self._groups}
        found: dict[str, dict[str, int]] = {}
        for block in dict.fromkeys(layer.block for layer in self._layers):
            roots = {layer.makes for layer in self._layers if layer.block == block and layer.makes in by_root}
            halves = {
                root: rounded(by_root[root], self._whole[root] // 2, self._section.round_to) for root in sorted(roots)
            }
            if any(halves[root] < self._whole[root] for root in halves):
                found[f"half of {block}"] = {**self._whole, **halves}
        return found

    def _missed(self, found: Mapping[str, float]) -> str | None:
        return self._furthest(found, MEASURED_WITHIN)

    def _furthest(self, costs: Mapping[str, float], aim: float) -> str | None:
        """The quantity furthest above its budget; None: all hold."""
        over = {budget.quantity: costs[budget.quantity] / (budget.most * aim) for budget in self._budgets}
        worst = max(over, key=lambda name: over[name])
        return worst if over[worst] > 1 else None

    def _distance(self, found: Mapping[str, float]) -> float:
        """How far from its budget the quantity is that comes nearest to it, or is the furthest above; a fraction."""
        return abs(min(1 - found[budget.quantity] / budget.most for budget in self._budgets))

    def _refuse_the_impossible(self, unpruned: Mapping[str, float], smallest: Mapping[str, float]) -> None:
        missed = self._missed(smallest)
        if missed is None:
            return
        budget = next(one for one in self._budgets if one.quantity == missed)
        least, most = (amount(missed, found[missed], relative=budget.relative) for found in (smallest, unpruned))
        raise GoalError(
            f"this network cannot be pruned to {missed} {budget.text} on {self._target.name}",
            where=f"goal.{missed}",
            got=f"{least} with the fewest channels that every layer can be left with, {most} unpruned",
            expected=f"at most {budget.text}",
            fix="take a smaller network or a smaller input.size, or ask for less",
        )

    def _plan(self, kept: Mapping[str, int], reason: str) -> ChannelPlan:
        networks = self._networks
        return ChannelPlan(
            channels=networks.fewer(kept), precision=networks.precision, tried=tuple(networks.tried), reason=reason
        )


def _read(chain: Chain, artifact: Artifact) -> tuple[list[ChannelGroup], list[LayerCost]]:
    """The network's groups with their scores, and what its layers cost."""
    import torch

    from pipeline.models.files import load_network
    from pipeline.planning.channels.layer_costs import layer_costs
    from pipeline.pruning.channel_groups import ChannelGroups
    from pipeline.pruning.gradients import gradients_of
    from pipeline.training.images import TrainingImages

    parts, section = chain.plan.parts, chain.plan.recipe.prune
    network = load_network(artifact.root, parts.model)
    images = TrainingImages(rotating_samples(parts.dataset.train, IMAGES), parts.preprocess, chain.progress)
    cutter = ChannelGroups(
        network,
        input_shape=parts.preprocess.shape,
        outputs=parts.model.last_outputs(len(parts.dataset.classes)),
        importance=section.importance,
        keep=section.keep,
    )
    with torch.random.fork_rng(), gradients_of(section.importance, network, images, parts.task):
        torch.manual_seed(chain.plan.recipe.seed + 1)  # as prune in its first round
        groups = cutter.groups()
    return groups, layer_costs(network, parts.preprocess.shape, groups)
