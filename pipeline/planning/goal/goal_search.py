"""The search for what a network can do without under a budget: channels, blocks, pixels, on the machine it runs on.

A budget is about the network as it ships: in INT8 or 16-bit floats where the target has them, fused as its runtime
fuses. So whole networks are measured and nothing else: the unpruned one, that with smaller inputs, that without some
of its residual blocks, the smallest, one for each block of layers with half of that block's channels, and then those
that the plan leads to, each of which corrects the model that the next one is planned with
(docs/decisions/0005-latency-of-whole-networks.md). How many pixels, residual blocks and channels go is decided by
short recoveries of the ways to hold the budget.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pipeline.errors import GoalError
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.channel_plan import BY_PARAMS, ChannelPlanner
from pipeline.planning.goal.cost_model import work_by_block
from pipeline.planning.goal.goal_plan import GoalPlan
from pipeline.planning.goal.measured_networks import MeasuredNetworks
from pipeline.planning.goal.outline import gone_blocks, layers_of, read_outline, smaller_inputs
from pipeline.planning.goal.short_recovery import NO_PLAN_HELD, ShortRecoveries, Way
from pipeline.report.figures import amount

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.measured_networks import MeasuredNetwork
    from pipeline.planning.goal.outline import Outline
    from pipeline.planning.time_ratio import TimeRatio
    from pipeline.progress import Ticker

__all__ = ["ROUNDS", "GoalSearch"]

ROUNDS = 5
"""Of planning and measuring, at most."""
_WITHIN = 0.05
"""A network that costs so much less than its budget has lost channels for nothing."""
_AIM = 0.975
"""The plan aims in the middle of that."""
_LOWER, _HIGHER = 0.98, 1.01
"""Where it aims next when the same network comes out again."""
_WORTH_MEASURING = 0.9
"""Where the smallest input costs a larger fraction than this, images are not what the network's time goes into; the
same of blocks."""
_MORE_CHANNELS = 1.03
_SELDOM_SAVED = 8
"""Times a budget: an unpruned network that needs more can hardly be brought to it."""
_FAR = 2
"""Times a budget: where the least of everything needs more, nothing else holds it, on a busy machine either."""

_Lever = TypeVar("_Lever")


class GoalSearch:
    """One search.

    Args:
        chain: What is run; its plan says which stages there are, and with them what may go.
        target: Where it will run.
        network: Artifact of the unpruned network.
        precision: In which networks are measured.

    Attributes:
        precision: As given.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact, precision: Precision) -> None:
        self._chain, self._target, self._network, self.precision = chain, target, network, precision
        self._budgets = Budgets(chain.plan.recipe.goal.budgets())
        self._own = read_outline(chain, network)
        self._shallow: dict[tuple[str, ...], Outline] = {}
        self._networks = MeasuredNetworks(chain, target, network, precision)
        self._planner = ChannelPlanner(self._budgets, self._networks)
        self._recoveries = ShortRecoveries(chain, network, self._budgets.asked)

    def run(self, *, unlikely: bool = False) -> GoalPlan:
        """Measure, plan, correct.

        Where the budgets are unlikely to be held, the least of everything is measured first, and nothing more where
        that is far from them.

        Args:
            unlikely: Whether they are, as where a search in another precision did not hold them.

        Raises:
            GoalError: when a budget cannot be held whatever goes.
            ParityError: when a network on the way does not compute the same in the precision that it is planned in.
        """
        networks, own = self._networks, self._own
        sizes, blocks = smaller_inputs(self._chain, self._network), gone_blocks(self._chain, self._network)
        halves = {} if self._budgets.are_counted else own.half_blocks()  # what they save is known then
        measuring = 2 + len(sizes) + len(blocks) + len(halves) + ROUNDS
        with self._chain.progress.track("planning for the goal", measuring) as ticker:
            unpruned = networks.measure("unpruned", own, own.all_channels)
            ticker.advance()
            if self._budgets.missed(unpruned.found) is None:
                return self._plan(
                    Way(outline=own, kept=own.all_channels), unpruned, "the network holds its budgets as it is"
                )
            if unlikely or self._budgets.furthest(unpruned.found, _SELDOM_SAVED) is not None:
                least = self._least_of_everything(sizes, blocks)
                far = self._budgets.furthest(least.found, _FAR)
                if far is not None:
                    self._refuse(least, far)
            smaller = self._cheaper("smaller input", sizes, lambda size: replace(own, size=size), ticker)
            shallow = self._cheaper("fewer blocks", blocks, self._without, ticker)
            if own.groups:
                networks.once("fewest channels", own, own.fewest_channels)
            ticker.advance()
            if self._least_alone_holds(sizes, blocks):  # then what saves little is needed, too
                smaller = [replace(own, size=size) for size in sizes]
                shallow = [self._without(gone) for gone in blocks]
            for label, kept in halves.items():
                networks.measure(label, own, kept)
                ticker.advance()
            ways = self._ways([own, *smaller])
            best = self._recoveries.best(ways) if ways else self._way([own, *smaller][-1])[0]
            enough = ways and best.kept == best.outline.all_channels  # nothing else has to go
            there = [] if enough else [replace(one, size=best.outline.size) for one in shallow]
            ways += self._ways(there, best.channels_left if ways else 0.0)
            # what is measured may hold a budget and what is predicted not: then it is corrected on the way
            return self._corrected(self._recoveries.best(ways) if ways else best, ticker)

    def times_over_float(self, plan: GoalPlan, *, halves: bool) -> dict[Precision, TimeRatio]:
        """The times in each precision that may ship of the network that a plan of this search took.

        Args:
            plan: What it found.
            halves: Whether 16-bit floats may ship.
        """
        taken = next(one for one in self._networks.every if one.label == plan.networks.chosen)
        return self._networks.times_over_float(taken, halves=halves)

    def _without(self, gone: tuple[str, ...]) -> Outline:
        """Read once: importance is judged for it."""
        if gone not in self._shallow:
            self._shallow[gone] = read_outline(self._chain, self._networks.without_blocks(gone), gone)
        return self._shallow[gone]

    def _cheaper(
        self, what: str, levers: Sequence[_Lever], outline_of: Callable[[_Lever], Outline], ticker: Ticker
    ) -> list[Outline]:
        """Those with all channels, measured, what keeps most first; none where what keeps least saves too little.

        What holds the budgets saves enough, however little that is.

        Args:
            what: They are, for a table.
            levers: What keeps most first.
            outline_of: Reads an outline, which may take long: only where it is measured.
            ticker: Told of each.
        """
        unpruned = self._networks.every[0].found
        found: list[Outline] = []
        for lever in reversed(levers):
            outline = outline_of(lever)
            network = self._networks.measure(what, outline, outline.all_channels)
            left = min(cost / unpruned[name] for name, cost in network.found.items())
            if not found and left > _WORTH_MEASURING and not self._holds(network):
                return []
            found.append(outline)
            ticker.advance()
        return found[::-1]

    def _ways(self, outlines: Sequence[Outline], most: float = 0.0) -> list[Way]:
        """Those outlines at which the budget can be held, with the channels that stay there.

        There is none behind the first that holds it with all channels, and one that keeps less of pixels or blocks has
        to leave more channels: else it has less of both.

        Args:
            outlines: What keeps most first.
            most: Fraction of the channels that stays where nothing else goes.
        """
        found: list[Way] = []
        for one in outlines:
            if self._budgets.missed(self._networks.with_all_channels(one).found) is None:
                return [*found, Way(outline=one, kept=one.all_channels)]
            way, predicted = self._way(one)
            if self._budgets.missed(predicted) is None and way.channels_left > _MORE_CHANNELS * most:
                found.append(way)
                most = way.channels_left
        return found

    def _way(self, outline: Outline) -> tuple[Way, dict[str, float]]:
        kept, predicted = self._planner.planned(outline, _AIM)
        return Way(outline=outline, kept=kept), predicted

    def _corrected(self, way: Way, ticker: Ticker) -> GoalPlan:
        """Plan and measure until what is measured is within five percent below the budget; take what loses least.

        What holds the budget with all channels is measured already and stays as it is. The last plan allows for as much
        as the one before it was off by in what it missed, where none has held the budgets yet.
        """
        outline, aim = way.outline, _AIM
        known = self._networks.with_all_channels(outline)
        if way.kept == outline.all_channels and self._holds(known):
            return self._plan(way, known, f"chosen by measurement: {self._budgets.told(known.found)}")
        rounds: list[MeasuredNetwork] = []
        for number in range(1, ROUNDS + 1):
            kept, predicted = self._planner.planned(outline, aim)
            again = any(kept == earlier.kept for earlier in rounds)
            network = self._networks.measure(f"plan {number}", outline, kept, predicted)
            ticker.advance()
            rounds.append(network)
            if not outline.groups or (self._holds(network) and self._budgets.distance(network.found) <= _WITHIN):
                break
            if again and kept == outline.fewest_channels and not self._holds(network):
                break  # there is nothing left to take
            if again:
                aim *= _HIGHER if self._holds(network) else _LOWER
            if number == ROUNDS - 1 and not any(map(self._holds, rounds)):
                over = self._budgets.over(network.found)
                aim /= max(1.0, *(network.found[name] / predicted[name] for name in over))
        return self._least_loss(way, rounds)

    def _least_loss(self, way: Way, rounds: Sequence[MeasuredNetwork]) -> GoalPlan:
        """Of all that was measured to hold the budgets what loses least; that there is one was seen before.

        A way's short recovery speaks for what loses about as much as its plans do; what other ways come back to is
        known of the networks that were recovered for them. Of others nothing is known but the importance of what goes.

        Args:
            way: That was planned to the end.
            rounds: Its plans.
        """
        most = max(one.outline.lost(one.kept) for one in rounds)

        def loss(one: MeasuredNetwork) -> tuple[int, float, float]:
            lost, same = one.outline.lost(one.kept), one.outline == way.outline
            if same and lost <= most:
                return 0, 0.0, lost
            accuracy = self._recoveries.accuracy(Way(outline=one.outline, kept=one.kept))
            return (2, float(not same), lost) if accuracy is None else (1, -accuracy, lost)

        holding = [*filter(self._holds, self._surest())]
        if not holding:
            self._refuse_doubted()
        network = min(holding, key=loss)
        # one that held in doubt may have been measured again without, and not have held
        a_plan_holds = any(self._holds(plan) and _is_among(plan, holding) for plan in rounds)
        told = f"chosen by measurement: {self._budgets.told(network.found)}"
        if not a_plan_holds:
            nearest = min(rounds, key=lambda one: self._budgets.distance(one.found))
            told += (
                f"; none of {len(rounds)} plans in turn held, the nearest {self._budgets.told(nearest.found)}, and of "
                f"all else that was measured to hold {network.label} loses least"
            )
        held = "a plan for it held the goal and lost more" if a_plan_holds else NO_PLAN_HELD
        taken = Way(outline=network.outline, kept=network.kept)
        return self._plan(taken, network, told, instead="" if _is_among(network, rounds) else held)

    def _surest(self) -> list[MeasuredNetwork]:
        """Every network once: as it was measured without a doubt, where it was.

        One whose time was in doubt may come out of a plan again.
        """
        found: dict[tuple[Outline, tuple[tuple[str, int], ...]], MeasuredNetwork] = {}
        for one in self._networks.every:
            key = (one.outline, tuple(sorted(one.kept.items())))
            if key not in found or (found[key].doubt and not one.doubt):
                found[key] = one
        return list(found.values())

    def _refuse_doubted(self) -> NoReturn:
        """Say that what held the budgets did so in doubt alone, and not when it was measured again.

        Raises:
            GoalError: always.
        """
        nearest = min(self._surest(), key=lambda one: self._budgets.distance(one.found))
        missed = self._budgets.missed(nearest.found)
        budget = next(one for one in self._budgets.every if one.quantity == missed)
        raise GoalError(
            f"no network was found that has {missed} {budget.text} on {self._target.name}",
            where=f"goal.{missed}",
            got=f"{self._budgets.told(nearest.found)} with {nearest.label}; what held it was timed beside other "
            "programs, and did not when it was timed again",
            expected=f"at most {budget.text}",
            fix="measure again on an idle machine, take a smaller network, or allow more",
        )

    def _holds(self, network: MeasuredNetwork) -> bool:
        return self._budgets.missed(network.found) is None

    def _least_of_everything(
        self, sizes: Sequence[tuple[int, int]], blocks: Sequence[tuple[str, ...]]
    ) -> MeasuredNetwork:
        """The network with the smallest of those inputs, without the most of those blocks, with the fewest channels."""
        outline = self._least_outline(sizes, blocks)
        return self._networks.once("least of everything", outline, outline.fewest_channels)

    def _least_outline(self, sizes: Sequence[tuple[int, int]], blocks: Sequence[tuple[str, ...]]) -> Outline:
        outline = self._without(blocks[-1]) if blocks else self._own
        return replace(outline, size=sizes[-1]) if sizes else outline

    def _least_alone_holds(self, sizes: Sequence[tuple[int, int]], blocks: Sequence[tuple[str, ...]]) -> bool:
        """Whether of all that was measured nothing but the least of everything holds the budgets.

        That is measured where nothing else that was measured holds them, unless it was measured first: what pixels,
        blocks and channels save together does not follow from what each saves alone. Where its latency is in doubt, it
        is measured once more.

        Raises:
            GoalError: with what that was measured to cost, where it does not.
        """
        least = self._least_outline(sizes, blocks)
        others = (one for one in self._networks.every if not one.is_of(least, least.fewest_channels))
        if any(map(self._holds, others)):
            return False
        network = self._least_of_everything(sizes, blocks)
        missed = self._budgets.missed(network.found)
        if missed == "latency" and network.doubt:
            network = self._networks.measure_anew(network)
            missed = self._budgets.missed(network.found)
        if missed is not None:
            self._refuse(network, missed)
        return True

    def _refuse(self, network: MeasuredNetwork, missed: str) -> NoReturn:
        """Say what is possible.

        Args:
            network: The least of everything.
            missed: Quantity that is furthest above its budget there.

        Raises:
            GoalError: always.
        """
        own, least, unpruned = self._own, network.outline, self._networks.every[0]
        budget = next(one for one in self._budgets.every if one.quantity == missed)
        singly = (Budgets((one,)) for one in self._budgets.every if one is not budget)
        others = [f"it has {one.told(network.found)} too; " for one in singly if one.missed(network.found) is not None]
        found, most = (amount(missed, one[missed], relative=budget.relative) for one in (network.found, unpruned.found))
        ways = [f"images of {'x'.join(map(str, least.size))} pixels"] if least.size != own.size else []
        ways += [f"{len(least.gone)} residual blocks left out"] if least.gone else []
        ways += ["the fewest channels that every layer can be left with"] if own.groups else []
        doubts = dict.fromkeys(one.doubt for one in (network, unpruned) if missed == "latency" and one.doubt)
        told = "; ".join([f"{''.join(others)}{self._heaviest(network, missed)}", *doubts])
        again = "measure again on an idle machine, " if doubts else ""
        raise GoalError(
            f"this network cannot be brought to {missed} {budget.text} on {self._target.name}",
            where=f"goal.{missed}",
            got=f"{found} with {' and '.join(ways) or 'nothing that may go'}, {most} unpruned; {told}",
            expected=f"at most {budget.text}",
            fix=f"{again}take a smaller network, or allow more than {found}",
        )

    def _heaviest(self, network: MeasuredNetwork, quantity: str) -> str:
        """Where most of what is left of a network is, counted at its own size."""
        by_params, outline = quantity in BY_PARAMS, network.outline
        layers = layers_of(self._chain, self._networks.without_blocks(outline.gone), outline)
        work = work_by_block(layers, outline.fractions(network.kept), by_params=by_params)
        block = max(work, key=lambda name: work[name])
        share, what = work[block] / sum(work.values()), "parameters" if by_params else "multiplications"
        return f"of the {what} that are left {share:.0%} are in {block} layers"

    def _plan(self, way: Way, network: MeasuredNetwork, reason: str, *, instead: str = "") -> GoalPlan:
        networks, outline = self._networks, way.outline
        fewer = outline.fewer(network.kept)
        unseen = outline.unseen if fewer else 0.0
        if unseen:
            reason += (
                f"; {unseen:.0%} of the multiplications were found in no layer, so that channels of all groups were "
                "taken to cost alike"
            )
        networks.trials.note(network.label, f"taken: {network.outcome}")
        return GoalPlan(
            size=None if outline.size == self._own.size else outline.size,
            blocks=outline.gone,
            channels=fewer,
            target=self._target.name,
            precision=self.precision,
            networks=networks.trials.choice(network.label, reason),
            ways=self._recoveries.choice(way, instead),
        )


def _is_among(network: MeasuredNetwork, others: Sequence[MeasuredNetwork]) -> bool:
    return any(other.is_of(network.outline, network.kept) for other in others)
