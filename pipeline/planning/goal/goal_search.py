"""The search for what a network can do without under a budget: channels and pixels, on the machine it will run on.

A budget is about the network as it ships: in INT8 where the target has it, fused as its runtime fuses. So whole
networks are measured and nothing else: the unpruned one, that with smaller inputs, the smallest, one for each block of
layers with half of that block's channels, and then those that the plan leads to, each of which corrects the model that
the next one is planned with (docs/decisions/0005-latency-of-whole-networks.md). How many pixels and how many channels
go is decided by short recoveries of the ways to hold the budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.dataset import rotating_samples
from pipeline.errors import GoalError
from pipeline.planning.goal.cost_model import fit_cost_model
from pipeline.planning.goal.cut_network import IMAGES
from pipeline.planning.goal.measured_networks import MeasuredNetworks
from pipeline.planning.goal.plan_record import GoalPlan
from pipeline.planning.goal.removal import least_channels, remove_until
from pipeline.planning.goal.short_recovery import weighed
from pipeline.pruning.kept_channels import rounded
from pipeline.report.figures import amount
from pipeline.report.goal_texts import budgets_told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.cost_model import CostModel
    from pipeline.planning.goal.layer_costs import LayerCost
    from pipeline.planning.goal.plan_record import TriedNetwork, WeighedSize
    from pipeline.progress import Ticker
    from pipeline.pruning.channel_groups import ChannelGroup

__all__ = ["MEASURED_WITHIN", "GoalSearch"]

_ROUNDS = 5
_WITHIN = 0.05
"""A network that costs so much less than its budget has lost channels for nothing."""
_AIM = 0.975
"""The plan aims in the middle of that."""
_LOWER, _HIGHER = 0.98, 1.01
"""Where it aims next when the same network comes out again."""
MEASURED_WITHIN = 1.02
"""What is so little above its budget holds it as far as can be measured: that is how exact a comparison is."""
_WORTH_MEASURING = 0.9
"""Where the smallest input costs a larger fraction than this, images are not what the network's time goes into."""
_MORE_CHANNELS = 1.03
_COUNTED = frozenset({"macs", "params"})
_BY_PARAMS = frozenset({"params", "size", "memory"})

_Size = tuple[int, int]


class GoalSearch:
    """One search.

    Args:
        chain: What is run; its plan says which stages there are, and with them what may go.
        target: Where it will run.
        network: Artifact of the unpruned network.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact) -> None:
        self._chain, self._target, self._network = chain, target, network
        plan = chain.plan
        self._section, self._budgets = plan.recipe.prune, plan.recipe.goal.budgets()
        self._groups, self._layers, self._sizes = _read(chain, network)
        self._whole = {group.root: group.channels for group in self._groups}
        self._networks = MeasuredNetworks(chain, target, network, self._whole)
        self._cheaper: dict[_Size, dict[str, float]] = {}
        """Size to what each quantity is there, as a fraction of what it is at the network's own."""

    def run(self) -> GoalPlan:
        """Measure, plan, correct.

        Raises:
            GoalError: when a budget cannot be held whatever goes.
        """
        networks, blocks = self._networks, self._half_blocks()
        measuring = 2 + len(self._sizes) + len(blocks) + _ROUNDS
        with self._chain.progress.track("planning for the goal", measuring) as ticker:
            unpruned = networks.measure("unpruned", self._whole)
            ticker.advance()
            if self._missed(unpruned.found) is None:
                return self._plan(None, self._whole, (), "the network holds its budgets as it is")
            smaller = self._with_smaller_inputs()
            ticker.advance(len(self._sizes))
            self._cheaper = {size: _fractions(one.found, unpruned.found) for size, one in smaller.items()}
            least = {group.root: least_channels(group, self._section.round_to) for group in self._groups}
            if least:
                networks.measure("fewest channels", least)
            ticker.advance()
            self._refuse_the_impossible()
            for label, kept in blocks.items():
                networks.measure(label, kept)
                ticker.advance()
            ways = self._ways(smaller)
            tried = self._weighed(ways)
            size = tried[0].size if tried else next(iter(ways))
            return self._corrected(size, ways[size], tried, ticker)

    def _with_smaller_inputs(self) -> dict[_Size, TriedNetwork]:
        """The unpruned network with smaller inputs, the largest first; none where the smallest saves too little."""
        found: dict[_Size, TriedNetwork] = {}
        unpruned = self._networks.tried[0].found
        for size in reversed(self._sizes):
            one = self._networks.measure("smaller input", self._whole, size=size)
            if not found and min(_fractions(one.found, unpruned).values()) > _WORTH_MEASURING:
                return {}
            found[size] = one
        return dict(reversed(found.items()))

    def _ways(self, smaller: Mapping[_Size, TriedNetwork]) -> dict[_Size, dict[str, int]]:
        """Input size to the channels that stay there, for every size at which the budget can be held.

        Nothing is smaller than the largest input that holds it with all channels, and a smaller one has to leave more
        channels: else it has less of both.
        """
        found: dict[_Size, dict[str, int]] = {}
        most = 0.0
        for size in (self._networks.size, *smaller):
            if size in smaller and self._missed(smaller[size].found) is None:
                found[size] = self._whole
                break
            kept, predicted = self._planned(size, _AIM)
            channels = sum(kept.values())
            if self._missed(predicted) is None and channels > _MORE_CHANNELS * most:
                found[size], most = kept, channels
        if not found:  # what is measured holds it, and what is predicted does not: corrected on the way
            found[self._networks.size] = self._planned(self._networks.size, _AIM)[0]
        return found

    def _weighed(self, ways: Mapping[_Size, Mapping[str, int]]) -> tuple[WeighedSize, ...]:
        """The ways after a short recovery, the best first; nothing where there is one alone, or nothing to train on."""
        if len(ways) == 1:
            return ()
        whole = sum(self._whole.values())
        with self._chain.progress.track("weighing pixels against channels", len(ways)) as ticker:
            found = []
            for size, kept in ways.items():
                left = sum(kept.values()) / whole
                found.append(weighed(self._chain, self._network, size, self._networks.fewer(kept), left))
                ticker.advance()
        return tuple(sorted(found, key=lambda one: (-one.accuracy, one.loss)))

    def _corrected(self, size: _Size, kept: dict[str, int], tried: tuple[WeighedSize, ...], ticker: Ticker) -> GoalPlan:
        """Plan and measure until what is measured is within five percent below the budget; else what came nearest.

        An input that holds the budget with all channels is measured already and stays as it is.
        """
        small = None if size == self._networks.size else size
        if kept == self._whole:
            found = next(one.found for one in self._networks.tried if one.size == size)
            return self._plan(small, kept, tried, f"chosen by measurement: {budgets_told(self._budgets, found)}")
        aim = _AIM
        planned: list[tuple[bool, float, dict[str, int], Mapping[str, float]]] = []
        for number in range(1, _ROUNDS + 1):
            kept, predicted = self._planned(size, aim)
            again = any(kept == earlier for _, _, earlier, _ in planned)
            found = self._networks.measure(f"plan {number}", kept, predicted, size=size).found
            ticker.advance()
            missed = self._missed(found) is not None
            planned.append((missed, self._distance(found), kept, found))
            if not missed and planned[-1][1] <= _WITHIN:
                break
            if again:
                aim *= _LOWER if missed else _HIGHER
        missed, _, kept, found = min(planned, key=lambda one: one[:2])
        how = f"not within its budgets after {len(planned)} rounds" if missed else "chosen by measurement"
        return self._plan(small, kept, tried, f"{how}: {budgets_told(self._budgets, found)}")

    def _planned(self, size: _Size, aim: float) -> tuple[dict[str, int], dict[str, float]]:
        """The channels that should stay by all that was measured so far, and what the network should then cost.

        A network with smaller inputs is taken to cost the same fraction of what it costs with larger ones whatever its
        channels; what was measured at this very size comes last and is met exactly.
        """
        networks = self._networks
        pairs = sorted(zip(networks.left, networks.tried, strict=True), key=lambda one: one[1].size == size)
        models: dict[str, CostModel] = {
            budget.quantity: fit_cost_model(
                self._layers,
                [(left, one.found[budget.quantity] / self._share(one.size, budget.quantity)) for left, one in pairs],
                by_params=budget.quantity in _BY_PARAMS,
            )
            for budget in self._budgets
        }
        shares = {name: self._share(size, name) for name in models}

        def furthest(costs: Mapping[str, float]) -> str | None:
            return self._furthest({name: cost * shares[name] for name, cost in costs.items()}, aim)

        kept = remove_until(self._groups, models, furthest, round_to=self._section.round_to)
        left = networks.fractions(kept)
        return kept, {name: model.predict(left) * shares[name] for name, model in models.items()}

    def _share(self, size: _Size, quantity: str) -> float:
        """What a quantity is at a size, as a fraction of what it is at the network's own."""
        return self._cheaper[size][quantity] if size in self._cheaper else 1.0

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

    def _refuse_the_impossible(self) -> None:
        """Ask for what is possible where not even the fewest channels at the smallest size hold the budgets."""
        unpruned, *others = self._networks.tried
        smallest = self._smallest(others)
        missed = self._missed(smallest)
        if missed is None:
            return
        budget = next(one for one in self._budgets if one.quantity == missed)
        least, most = (amount(missed, found[missed], relative=budget.relative) for found in (smallest, unpruned.found))
        ways = [f"images of {'x'.join(map(str, self._sizes[-1]))} pixels"] if self._sizes else []
        ways += ["the fewest channels that every layer can be left with"] if self._groups else []
        raise GoalError(
            f"this network cannot be brought to {missed} {budget.text} on {self._target.name}",
            where=f"goal.{missed}",
            got=f"{least} with {' and '.join(ways) or 'nothing that may go'}, {most} unpruned",
            expected=f"at most {budget.text}",
            fix="take a smaller network, or ask for less",
        )

    def _smallest(self, measured: Sequence[TriedNetwork]) -> Mapping[str, float]:
        """The least that each quantity was measured to be, channels and pixels together."""
        found = dict(self._networks.tried[0].found)
        for name in found:
            for own in (True, False):
                fractions = [
                    one.found[name] / self._networks.tried[0].found[name]
                    for one in measured
                    if (one.size == self._networks.size) == own
                ]
                found[name] *= min([1.0, *fractions])
        return found

    def _plan(
        self, size: _Size | None, kept: Mapping[str, int], tried: tuple[WeighedSize, ...], reason: str
    ) -> GoalPlan:
        networks = self._networks
        return GoalPlan(
            size=size,
            channels=networks.fewer(kept),
            precision=networks.precision,
            tried=tuple(networks.tried),
            weighed=tried,
            reason=reason,
        )


def _fractions(some: Mapping[str, float], whole: Mapping[str, float]) -> dict[str, float]:
    return {name: value / whole[name] for name, value in some.items()}


def _read(chain: Chain, artifact: Artifact) -> tuple[list[ChannelGroup], list[LayerCost], list[_Size]]:
    """The network's groups with their scores, what its layers cost, and the smaller inputs it takes.

    No groups where it is not to be pruned, no sizes where its input is to stay.
    """
    from pipeline.models.files import load_network
    from pipeline.planning.goal.input_sizes import smaller_sizes
    from pipeline.planning.goal.layer_costs import layer_costs
    from pipeline.pruning.channel_groups import ChannelGroups
    from pipeline.training.images import TrainingImages

    plan = chain.plan
    parts, section = plan.parts, plan.recipe.prune
    network, shape = load_network(artifact.root, parts.model), parts.preprocess.shape
    sizes = smaller_sizes(network, parts) if plan.size_is_open else []
    groups: list[ChannelGroup] = []
    if "prune" not in plan.skipped:
        samples = rotating_samples(parts.dataset.train, IMAGES)
        images = TrainingImages(samples, parts.preprocess, chain.progress, parts.task)
        cutter = ChannelGroups.of(network, chain.subject, importance=section.importance, keep=section.keep)
        with cutter.judging(images, parts.task, seed=plan.recipe.seed):
            groups = cutter.groups()
    return groups, layer_costs(network, shape, groups), sizes
