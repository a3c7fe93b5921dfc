"""The search for the channels that a network can do without under a budget, on the machine it will run on.

A budget is about the network as it ships: in INT8 where the target has it, fused as its runtime fuses. So whole
networks are measured and nothing else: the unpruned one, the smallest, one for each block of layers with half of that
block's channels, and then those that the plan leads to, each of which corrects the model that the next one is planned
with (docs/decisions/0005-latency-of-whole-networks.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.environment import this_machine
from pipeline.errors import GoalError
from pipeline.planning.channels.cost_model import CostModel, fit_cost_model
from pipeline.planning.channels.cut_network import CutNetwork
from pipeline.planning.channels.plan_record import ChannelPlan, TriedNetwork
from pipeline.planning.channels.removal import least_channels, remove_until
from pipeline.planning.decision_record import Candidate
from pipeline.planning.int8_search import export_of
from pipeline.planning.time_ratio import time_ratio
from pipeline.pruning.kept_channels import rounded
from pipeline.report.figures import amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.planning.channels.layer_costs import LayerCost
    from pipeline.pruning.channel_groups import ChannelGroup
    from pipeline.recipe.goal import Budget

__all__ = ["MEASURED_WITHIN", "ChannelSearch", "absolute_value", "engine_in", "shipped_precision"]

_ROUNDS = 5
_WITHIN = 0.05
"""A network that costs so much less than its budget has lost channels for nothing."""
_AIM = 0.975
"""The plan aims in the middle of that."""
MEASURED_WITHIN = 1.02
"""What is so little above its budget holds it as far as can be measured: that is how exact a comparison is."""
_BY_PARAMS = frozenset({"params", "size", "memory"})


def shipped_precision(chain: Chain, target: Target) -> Precision:
    """In what a plan is measured: what the recipe asks for, else INT8 where the target has it."""
    asked = chain.plan.recipe.build.precision
    if asked != "auto":
        return asked
    return "int8" if "int8" in target.precisions else "float"


class ChannelSearch:
    """One search; remembers what it measured.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact) -> None:
        self._chain, self._target, self._network = chain, target, network
        recipe = chain.plan.recipe
        self._section, self._budgets = recipe.prune, recipe.goal.budgets()
        self._precision = shipped_precision(chain, target)
        self._tried: list[TriedNetwork] = []
        self._points: list[dict[str, float]] = []
        self._base: Artifact | None = None
        self._unpruned: dict[str, float] = {}
        self._groups, self._layers = self._read()

    def run(self) -> ChannelPlan:
        """Measure, plan, correct.

        Raises:
            GoalError: when a budget cannot be held whatever goes.
        """
        steps = _ROUNDS + 2 + len(self._blocks())
        with self._chain.progress.track("planning channels", steps) as ticker:
            whole = {group.root: group.channels for group in self._groups}
            self._measure("unpruned", whole)
            ticker.advance()
            if self._missed(self._tried[0].found) is None:
                return self._plan({}, "the network holds its budgets as it is")
            least = {group.root: least_channels(group, self._section.round_to) for group in self._groups}
            self._measure("fewest channels", least)
            ticker.advance()
            self._refuse_the_impossible()
            for label, kept in self._blocks().items():
                self._measure(label, kept)
                ticker.advance()
            return self._corrected(ticker.advance)

    def _corrected(self, advance: Callable[[], None]) -> ChannelPlan:
        """Plan and measure until what is measured is within five percent below the budget."""
        aim, best = _AIM, None
        for number in range(1, _ROUNDS + 1):
            models = self._models()
            kept = remove_until(
                self._groups,
                models,
                lambda costs, aim=aim: self._furthest(costs, aim),  # type: ignore[misc]
                round_to=self._section.round_to,
            )
            left = self._left(kept)
            predicted = {name: model.predict(left) for name, model in models.items()}
            found = self._measure(f"plan {number}", kept, predicted).found
            advance()
            missed, slack = self._missed(found), self._slack(found)
            if missed is None and (best is None or slack < best[1]):
                best = (kept, slack)
            if missed is None and slack <= _WITHIN:
                break
            if len(self._points) > 1 and self._points[-1] in self._points[:-1]:
                aim *= 0.98 if missed else 1.01  # the same again: aim elsewhere
        if best is None:
            closest = self._tried[-1]
            reason = f"not within its budgets after {_ROUNDS} rounds: {self._told(closest.found)}"
            return self._plan(kept, reason)
        return self._plan(best[0], f"chosen by measurement: {self._told(self._found_of(best[0]))}")

    # What is measured

    def _measure(
        self, label: str, kept: Mapping[str, int], predicted: Mapping[str, float] | None = None
    ) -> TriedNetwork:
        """Cut, calibrate, quantise, build and measure a network with so many channels left."""
        whole = {group.root: group.channels for group in self._groups}
        fewer = {root: number for root, number in kept.items() if number < whole[root]}
        cut = self._network
        if fewer:
            stage = CutNetwork(channels=fewer, importance=self._section.importance, keep=self._section.keep)
            cut = self._chain.execute(stage, {ArtifactKind.NETWORK: self._network}).artifact
        engine, measured = engine_in(self._chain, self._target, cut, self._precision)
        self._base = self._base or engine
        found: dict[str, float] = {
            budget.quantity: self._value(budget, cut, engine, measured) for budget in self._budgets
        }
        tried = TriedNetwork(
            label=label,
            predicted=dict(predicted or {}),
            found=found,
            accuracy=measured.accuracy.value,
            params=cut.facts["params"],
            p50_s=measured.p50_s,
        )
        self._tried.append(tried)
        self._points.append(self._left(kept))
        return tried

    def _value(self, budget: Budget, network: Artifact, engine: Artifact, measured: Measured) -> float:
        """What the network has of a quantity; a fraction of the unpruned one where the budget is one."""
        if budget.quantity == "latency" and budget.relative:
            assert self._base is not None  # noqa: S101 - the unpruned network is measured first
            return 1.0 if engine.sha256 == self._base.sha256 else time_ratio(self._chain, engine, self._base)
        value = absolute_value(budget.quantity, network.facts, measured)
        if not budget.relative:
            return value
        return value / self._unpruned.setdefault(budget.quantity, value)

    # What is concluded

    def _models(self) -> dict[str, CostModel]:
        """A cost model of every budget's quantity, from all that was measured."""
        return {
            budget.quantity: fit_cost_model(
                self._layers,
                [(left, one.found[budget.quantity]) for left, one in zip(self._points, self._tried, strict=True)],
                by_params=budget.quantity in _BY_PARAMS,
            )
            for budget in self._budgets
        }

    def _blocks(self) -> dict[str, dict[str, int]]:
        """For each block of layers the network with half of the channels that its layers make."""
        found: dict[str, dict[str, int]] = {}
        whole = {group.root: group.channels for group in self._groups}
        by_root = {group.root: group for group in self._groups}
        for block in dict.fromkeys(layer.block for layer in self._layers):
            roots = {layer.makes for layer in self._layers if layer.block == block and layer.makes in whole}
            halves = {root: rounded(by_root[root], whole[root] // 2, self._section.round_to) for root in roots}
            if any(halves[root] < whole[root] for root in halves):
                found[f"half of {block}"] = {**whole, **halves}
        return found

    def _missed(self, found: Mapping[str, float]) -> str | None:
        return self._furthest(found, MEASURED_WITHIN)

    def _furthest(self, costs: Mapping[str, float], aim: float) -> str | None:
        """The quantity furthest above its budget; None: all hold."""
        over = {budget.quantity: costs[budget.quantity] / (budget.most * aim) for budget in self._budgets}
        worst = max(over, key=lambda name: over[name])
        return worst if over[worst] > 1 else None

    def _slack(self, found: Mapping[str, float]) -> float:
        """How far from its budget the quantity is that comes nearest to it, a fraction."""
        return abs(min(1 - found[budget.quantity] / budget.most for budget in self._budgets))

    def _refuse_the_impossible(self) -> None:
        smallest = self._tried[-1]
        missed = self._missed(smallest.found)
        if missed is None:
            return
        budget = next(one for one in self._budgets if one.quantity == missed)
        raise GoalError(
            f"this network cannot be pruned to {missed} {budget.text} on {self._target.name}",
            where=f"goal.{missed}",
            got=f"{amount(missed, smallest.found[missed], relative=budget.relative)} with the fewest channels that "
            f"every layer can be left with, {amount(missed, self._tried[0].found[missed], relative=budget.relative)} "
            "unpruned",
            expected=f"at most {budget.text}",
            fix="take a smaller network or a smaller input.size, or ask for less",
        )

    def _told(self, found: Mapping[str, float]) -> str:
        return ", ".join(
            f"{budget.quantity} {amount(budget.quantity, found[budget.quantity], relative=budget.relative)} "
            f"of at most {budget.text}"
            for budget in self._budgets
        )

    def _found_of(self, kept: Mapping[str, int]) -> Mapping[str, float]:
        left = self._left(kept)
        return next(one.found for point, one in zip(self._points, self._tried, strict=True) if point == left)

    def _plan(self, channels: Mapping[str, int], reason: str) -> ChannelPlan:
        whole = {group.root: group.channels for group in self._groups}
        fewer = {root: number for root, number in channels.items() if number < whole[root]}
        return ChannelPlan(channels=fewer, precision=self._precision, tried=tuple(self._tried), reason=reason)

    def _left(self, kept: Mapping[str, int]) -> dict[str, float]:
        return {group.root: kept[group.root] / group.channels for group in self._groups}

    def _read(self) -> tuple[list[ChannelGroup], list[LayerCost]]:
        """The network's groups with their scores, and what its layers cost."""
        import torch

        from pipeline.models.files import load_network
        from pipeline.planning.channels.layer_costs import layer_costs
        from pipeline.pruning.channel_groups import ChannelGroups
        from pipeline.pruning.gradients import gradients_of
        from pipeline.training.images import TrainingImages

        plan = self._chain.plan
        parts = plan.parts
        network = load_network(self._network.root, parts.model)
        images = TrainingImages(parts.dataset.train, parts.preprocess, self._chain.progress)
        cutter = ChannelGroups(
            network,
            input_shape=parts.preprocess.shape,
            outputs=parts.model.last_outputs(len(parts.dataset.classes)),
            importance=self._section.importance,
            keep=self._section.keep,
        )
        with torch.random.fork_rng(), gradients_of(self._section.importance, network, images, parts.task):
            torch.manual_seed(plan.recipe.seed + 1)  # as prune in its first round
            groups = cutter.groups()
        return groups, layer_costs(network, parts.preprocess.shape, groups)


def engine_in(chain: Chain, target: Target, network: Artifact, precision: Precision) -> tuple[Artifact, Measured]:
    """A network's engine in a precision, INT8 in its usual form, and what that is on the target.

    Args:
        chain: What is run.
        target: Where.
        network: Artifact.
        precision: Of the engine.
    """
    plan = chain.plan
    if precision != "int8":
        engine = chain.engine(network, target, precision=precision)
        return engine, chain.measured(engine, target)
    candidate = Candidate(
        method="mse" if plan.recipe.export.method == "auto" else plan.recipe.export.method,
        dialect=target.dialect(this_machine()),
    )
    calibrated = chain.execute(plan.recipe.calibrate, {ArtifactKind.NETWORK: network}).artifact
    exported = chain.execute(export_of(plan, candidate), {ArtifactKind.CALIBRATION: calibrated}).artifact
    engine = chain.engine(exported, target, source=candidate.file, precision="int8")
    return engine, chain.measured(engine, target)


def absolute_value(quantity: str, facts: Mapping[str, Json], measured: Measured) -> float:
    """What a network has of a quantity: seconds, pieces or bytes.

    Args:
        quantity: As in a goal.
        facts: Of the network: parameters and multiplications.
        measured: Of its engine.
    """
    match quantity:
        case "latency":
            return measured.p50_s
        case "size":
            return float(measured.size_bytes)
        case "memory":
            return float(measured.solo.memory_bytes()[0]["peak"] or 0)
        case _:
            return float(facts[quantity])
