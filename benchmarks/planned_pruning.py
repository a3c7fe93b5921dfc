"""A network that was planned for a goal beside uniformly pruned ones that cost the same, before and after recovery.

``python -m benchmarks.planned_pruning RECIPE`` prints the table as Markdown. The recipe has a goal of one quantity
(``goal: {latency: 0.5x}``); neither distill nor downsample run, and all blocks stay. For each seed the network is
trained, planned for and pruned as `deploy` does it, and pruned once more from the same weights in each of these ways:

- ``planned``: what the goal's planner left of each layer.
- ``planned, any channels``: as many of each layer, chosen by chance: what it is worth to choose *which* channels go.
- ``uniform``: of every layer the same fraction, which is what torch-pruning does of itself; as large a fraction as
  brings it nearest to the cost of the planned network, measured in the same way.
- ``uniform, any channels``: the same by chance.

Every way recovers by ``prune.schedule`` and is judged on all test images in the precision that was planned in.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import EdgewrightError, UsageError
from pipeline.planning.goal.cut_network import CutNetwork
from pipeline.planning.goal.measured_networks import MeasuredNetworks, engine_in
from pipeline.planning.goal.outline import read_outline
from pipeline.planning.goal.removal import LEAST_SHARE
from pipeline.planning.goal.stored_goal_search import plan_for_goal
from pipeline.progress import SilentProgress
from pipeline.pruning.kept_channels import kept_channels
from pipeline.recipe.reading import read_recipe
from pipeline.report.figures import amount, percent
from pipeline.store import Store, default_root
from pipeline.threads import rest_between_work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.planning.goal.measured_networks import MeasuredNetwork
    from pipeline.planning.goal.outline import Outline
    from pipeline.recipe import Recipe
    from pipeline.recipe.goal import Budget
    from pipeline.stages.prune import Prune

__all__ = ["Row", "compare", "main", "table", "uniform_alike"]

_HALVINGS = 6
"""Of the interval in which the uniform fraction lies: to less than two hundredths, finer than channels go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A way to prune, with one seed.

    Attributes:
        way: Which.
        seed: Of the network's training, and of everything after it.
        cost: What the goal is about: seconds, pieces or bytes, or a fraction of the unpruned network.
        params: That are left.
        before: Accuracy before recovery, a fraction.
        after: After it.
    """

    way: str
    seed: int
    cost: float
    params: int
    before: float
    after: float


def uniform_alike(networks: MeasuredNetworks, outline: Outline, quantity: str, cost: float) -> MeasuredNetwork:
    """Of the networks that lose the same fraction of every layer the one that costs nearest to so much.

    Args:
        networks: Measures them.
        outline: Of the unpruned network.
        quantity: What costs.
        cost: Wanted.
    """
    low, high = 0.0, 1 - LEAST_SHARE
    found: list[MeasuredNetwork] = []
    for _ in range(_HALVINGS):
        ratio = (low + high) / 2
        whole = outline.all_channels
        kept = kept_channels(outline.groups, ratio=ratio, scope="layer", round_to=outline.round_to, of=whole)
        found.append(networks.once(f"uniform, {ratio:.3f}", outline, kept))
        low, high = (ratio, high) if found[-1].found[quantity] > cost else (low, ratio)
    return min(found, key=lambda one: abs(one.found[quantity] - cost))


def compare(recipe: Recipe, budget: Budget) -> list[Row]:
    """The unpruned network and every way to prune it.

    Args:
        recipe: With a seed.
        budget: The only one of its goal.

    Raises:
        EdgewrightError: for a recipe that cannot be run, or a goal that cannot be held.
    """
    store, progress = Store(default_root()), SilentProgress()
    chain = Chain(make_plan(recipe, store, progress), store, progress, lambda _outcome: None)
    target = chain.plan.targets[0]
    dense = chain.execute(chain.plan.recipe.baseline, {}).artifact
    plan = plan_for_goal(chain, target, dense)
    outline = read_outline(chain, dense)
    networks = MeasuredNetworks(chain, target, dense, plan.precision)
    whole = networks.measure("unpruned", outline, outline.all_channels)
    planned = networks.once("planned", outline, {**outline.all_channels, **plan.channels})
    uniform = uniform_alike(networks, outline, budget.quantity, planned.found[budget.quantity])
    trial = _Trial(chain, target, dense, networks.precision)
    judged = chain.plan.recipe.prune
    by_chance = judged.model_copy(update={"importance": "random"})
    return [
        trial.row("unpruned", whole.found[budget.quantity], dense, dense),
        *(
            trial.pruned(way, network.found[budget.quantity], outline.fewer(network.kept), section)
            for way, network, section in (
                ("planned", planned, judged),
                ("planned, any channels", planned, by_chance),
                ("uniform", uniform, judged),
                ("uniform, any channels", uniform, by_chance),
            )
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the ways of one seed have in common."""

    chain: Chain
    target: Target
    dense: Artifact
    precision: Precision

    def pruned(self, way: str, cost: float, channels: Mapping[str, int], section: Prune) -> Row:
        """Cut, and recovered from that."""
        cut = CutNetwork(channels=dict(channels), importance=section.importance, keep=section.keep)
        return self.row(way, cost, self._made(cut), self._made(section.within(channels, ())))

    def row(self, way: str, cost: float, before: Artifact, after: Artifact) -> Row:
        """A network before and after its recovery, judged."""
        return Row(
            way=way,
            seed=self.chain.plan.recipe.seed,
            cost=cost,
            params=int(after.facts["params"]),
            before=self._accuracy(before),
            after=self._accuracy(after),
        )

    def _made(self, stage: CutNetwork | Prune) -> Artifact:
        return self.chain.execute(stage, {ArtifactKind.NETWORK: self.dense}).artifact

    def _accuracy(self, network: Artifact) -> float:
        engine = engine_in(self.chain, self.target, network, self.precision)
        return self.chain.measured(engine, self.target).accuracy.value


def table(rows: Sequence[Row], budget: Budget) -> str:
    """The ways in Markdown, each with its mean and what it was with each seed."""
    lines = [f"| | {budget.quantity} | parameters | before recovery | after recovery |", "|---|---|---|---|---|"]
    for way in dict.fromkeys(row.way for row in rows):
        own = [row for row in rows if row.way == way]
        costs = ", ".join(amount(budget.quantity, row.cost, relative=budget.relative) for row in own)
        params = ", ".join(f"{row.params / 1e6:.2f} M" for row in own)
        before, after = _told([row.before for row in own]), _told([row.after for row in own])
        lines.append(f"| {way} | {costs} | {params} | {before} | {after} |")
    return "\n".join(lines)


def _told(values: Sequence[float]) -> str:
    return f"{percent(fmean(values))} ({', '.join(f'{100 * value:.1f}' for value in values)})"


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planned_pruning", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("recipe", type=Path, help="with a goal of one quantity")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="so many, from 0 on (3)")
    options = parser.parse_args(arguments)
    rest_between_work()
    try:
        recipes = [
            read_recipe(options.recipe, {"seed": seed, "skip": ["distill", "downsample"], "prune.blocks": 0})
            for seed in range(options.seeds)
        ]
        budget = _only_budget(recipes[0])
        rows: list[Row] = []
        for recipe in recipes:
            rows += compare(recipe, budget)
            print(table(rows, budget), file=sys.stderr, flush=True)  # noqa: T201 - a script
    except EdgewrightError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    print(table(rows, budget))  # noqa: T201
    return 0


def _only_budget(recipe: Recipe) -> Budget:
    """That of its goal.

    Raises:
        UsageError: where there is none, or several.
    """
    budgets = recipe.goal.budgets()
    if len(budgets) != 1:
        raise UsageError(
            "networks are compared by one quantity",
            where="goal",
            got=f"{len(budgets)} of them",
            fix="write one into the recipe, for example goal: {latency: 0.5x}",
        )
    return budgets[0]


if __name__ == "__main__":
    sys.exit(main())
