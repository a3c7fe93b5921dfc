"""The search for what can go, with networks that cost what is said here."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch

from pipeline.errors import GoalError
from pipeline.planning.goal import goal_search as module
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.goal_search import GoalSearch
from pipeline.planning.goal.layer_costs import UNSEEN, LayerCost
from pipeline.planning.goal.measured_networks import MeasuredNetwork, MeasuredNetworks
from pipeline.planning.goal.outline import Outline
from pipeline.planning.trials import Trials
from pipeline.progress import SilentProgress
from pipeline.pruning.channel_groups import ChannelGroup
from pipeline.recipe import GoalSection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.planning.goal.short_recovery import Way


def _group(root: str, taken_by: str) -> ChannelGroup:
    return ChannelGroup(
        root=root, channels=256, scores=torch.ones(256), copies=1, kind="", makes=(root,), takes={taken_by: 1.0}
    )


def _layer(name: str, macs: int, params: int, takes: dict[str, float], makes: str | None) -> LayerCost:
    return LayerCost(name=name, macs=macs, params=params, block=name, takes=takes, makes=makes, depthwise=False)


_OUTLINE = Outline(
    size=(32, 32),
    groups=(_group("a", "b"), _group("b", "c")),
    layers=(
        _layer("a", 2_000_000, 2_000, {}, "a"),
        _layer("b", 6_000_000, 30_000, {"a": 1.0}, "b"),
        _layer("c", 1_000_000, 60_000, {"b": 1.0}, None),
    ),
    round_to=8,
)
_RATES = {"a": 3.0, "b": 1.0, "c": 2.0}


def _fraction(outline: Outline, kept: Mapping[str, int], rates: Mapping[str, float], kind: str = "macs") -> float:
    left = outline.fractions(kept)
    done = sum(rates[one.name] * getattr(one, kind) * one.share(left) for one in outline.layers)
    return done / sum(rates[one.name] * getattr(one, kind) for one in outline.layers)


def _honest(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
    """A tenth is fixed; the rest goes with channels, and half of it with pixels."""
    pixels = 0.5 + 0.5 * outline.size[0] ** 2 / 32**2
    return {
        "latency": 0.1 + 0.9 * pixels * _fraction(outline, kept, _RATES),
        "params": _fraction(outline, kept, dict.fromkeys(_RATES, 1.0), "params"),
    }


def _at(outline: Outline) -> tuple[LayerCost, ...]:
    """At another size than its own a layer has another name: that of its maps."""
    before = "" if outline.size == (32, 32) else "smaller "
    return tuple(replace(one, block=f"{before}{one.block}") for one in outline.layers)


class _Networks(MeasuredNetworks):
    """Networks that cost what ``costs`` says, and once more what ``costs_anew`` says."""

    costs: ClassVar[Any] = staticmethod(_honest)
    costs_anew: ClassVar[Any] = None
    doubt: ClassVar[str] = ""

    def __init__(self, chain: Any, *_: object, **__: object) -> None:  # noqa: ANN401 - a chain
        self._budgets, self._network = Budgets(chain.plan.recipe.goal.budgets()), chain
        self.trials = Trials("networks", {})
        self.every = []

    def measure(
        self, what: str, outline: Outline, kept: Mapping[str, int], predicted: Mapping[str, float] | None = None
    ) -> MeasuredNetwork:
        label = what if outline.size == (32, 32) else f"{what}, {outline.label}"
        every = self.costs(outline, kept)
        found = {budget.quantity: every[budget.quantity] for budget in self._budgets.every}
        outcome = f"{self._budgets.outcome(found)}, in doubt since this is a test"
        self.trials.note(label, outcome, self._budgets.figures(found), self._budgets.figures(predicted or {}))
        self.every.append(
            MeasuredNetwork(
                label=label, outline=outline, kept=dict(kept), found=found, outcome=outcome, doubt=self.doubt
            )
        )
        return self.every[-1]

    def measure_anew(self, known: MeasuredNetwork) -> MeasuredNetwork:
        costs = self.costs_anew or self.costs
        self.every[self.every.index(known)] = again = replace(known, found=costs(known.outline, known.kept))
        return again


class _Recoveries:
    """What comes back to most is the first."""

    def __init__(self, *_: object) -> None: ...

    def best(self, ways: Sequence[Way]) -> Way:
        return ways[0]

    def accuracy(self, way: Way) -> float | None:
        """That of smaller inputs with all channels alone is known."""
        return 0.9 if way.kept == way.outline.all_channels else None

    def choice(self, _: Way, instead: str = "") -> None: ...


def _search(monkeypatch: pytest.MonkeyPatch, sizes: Sequence[tuple[int, int]] = (), **goal: str) -> GoalSearch:
    recipe = SimpleNamespace(goal=GoalSection.model_validate(goal))
    chain: Any = SimpleNamespace(plan=SimpleNamespace(recipe=recipe), progress=SilentProgress())
    monkeypatch.setattr(module, "read_outline", lambda *_: _OUTLINE)
    monkeypatch.setattr(module, "smaller_inputs", lambda *_: list(sizes))
    monkeypatch.setattr(module, "gone_blocks", lambda *_: [])
    monkeypatch.setattr(module, "layers_of", lambda _chain, _network, outline: _at(outline))
    monkeypatch.setattr(module, "MeasuredNetworks", _Networks)
    monkeypatch.setattr(module, "ShortRecoveries", _Recoveries)
    target: Any = SimpleNamespace(name="ort-cpu")
    return GoalSearch(chain, target, SimpleNamespace(sha256="a" * 64), "int8")  # type: ignore[arg-type]


def _searched(monkeypatch: pytest.MonkeyPatch, sizes: Sequence[tuple[int, int]] = (), **goal: str) -> GoalPlan:
    return _search(monkeypatch, sizes, **goal).run()


def _tried(plan: GoalPlan) -> dict[str, Any]:
    return {one.label: one for one in plan.networks.tried}


def test_a_fraction_of_the_latency_is_planned_as_predicted_and_keeps_its_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, latency="0.5x")

    tried = _tried(plan)
    taken = tried[plan.networks.chosen]
    assert 0.475 <= taken.figures["latency_ratio"] <= 0.51
    assert taken.predicted["latency_ratio"] == pytest.approx(taken.figures["latency_ratio"], rel=0.1)
    assert taken.outcome.startswith("taken: holds")
    assert taken.outcome.endswith("in doubt since this is a test")
    assert {"unpruned", "fewest channels", "half of a", "half of b"} <= tried.keys()
    assert (plan.target, plan.precision, plan.size) == ("ort-cpu", "int8", None)


def test_a_plan_says_where_most_of_the_work_was_found_in_no_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = tuple(replace(one, block=UNSEEN) if one.name != "c" else one for one in _OUTLINE.layers)
    outline = replace(_OUTLINE, layers=layers)
    monkeypatch.setattr(f"{__name__}._OUTLINE", outline)
    told = "89% of the multiplications were found in no layer, so that channels of all groups were taken to cost alike"

    assert _searched(monkeypatch, latency="0.5x").networks.reason.endswith(f"; {told}")
    assert told not in _searched(monkeypatch, latency="2s").networks.reason  # nothing went by that


def test_two_budgets_hold_together(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, latency="0.8x", params="0.4x")

    figures = _tried(plan)[plan.networks.chosen].figures
    assert figures["latency_ratio"] <= 0.8 * 1.02
    assert figures["params_ratio"] <= 0.4
    assert plan.networks.reason.startswith("chosen by measurement: latency 0.")


def test_where_no_round_holds_what_was_measured_before_and_does_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def slower_than_that(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        costs.append(1.0 if kept == outline.all_channels else 0.7 if len(costs) > 1 else 0.3)
        return {"latency": costs[-1]}

    costs: list[float] = []
    monkeypatch.setattr(_Networks, "costs", staticmethod(slower_than_that))
    plan = _searched(monkeypatch, latency="0.5x")

    assert plan.networks.chosen == "fewest channels"
    assert plan.channels == _OUTLINE.fewest_channels
    assert plan.networks.reason == (
        "chosen by measurement: latency 0.30x of at most 0.5x; none of 5 plans in turn held, the nearest latency 0.70x "
        "of at most 0.5x, and of all else that was measured to hold fewest channels loses least"
    )
    assert sum(label.startswith("plan ") for label in _tried(plan)) == 5


def test_a_time_in_doubt_does_not_hold_where_a_plan_was_timed_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fewest channels come out of a plan again, and once more is enough: nothing is left to take."""
    times: list[float] = []

    def timed(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        least = kept == outline.fewest_channels
        times.append(0.6 if least and 0.3 in times else 0.3 if least else 1.0)
        monkeypatch.setattr(_Networks, "doubt", "in doubt since this is a test" if times[-1] == 0.3 else "")
        return {"latency": times[-1]}

    monkeypatch.setattr(_Networks, "costs", staticmethod(timed))
    monkeypatch.setattr(_Listed, "numbers", (*[32] * 7,))
    monkeypatch.setattr(module, "ChannelPlanner", _Listed)
    with pytest.raises(GoalError, match=r"no network was found that has latency 0\.5x") as raised:
        _searched(monkeypatch, latency="0.5x")
    assert "0.60x of at most 0.5x with plan 1; what held it was timed beside other" in str(raised.value.got)
    assert times.count(0.6) == 2


def test_what_saves_little_is_weighed_where_nothing_holds_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No channel can go; half of the blocks alone save a twelfth, and images alone are not enough."""
    outline = replace(_OUTLINE, groups=())
    monkeypatch.setattr(f"{__name__}._OUTLINE", outline)

    def timed(one: Outline, _: Mapping[str, int]) -> dict[str, float]:
        return {"latency": (0.57 if one.size == (16, 16) else 1.0) - 0.04 * len(one.gone)}

    monkeypatch.setattr(_Networks, "costs", staticmethod(timed))
    monkeypatch.setattr(_Networks, "without_blocks", lambda *_: None)
    search = _search(monkeypatch, [(16, 16)], latency="0.5x")
    monkeypatch.setattr(module, "gone_blocks", lambda *_: [("x",), ("x", "y")])
    monkeypatch.setattr(module, "read_outline", lambda _chain, _network, gone=(): replace(outline, gone=gone))
    plan = search.run()

    assert (plan.size, plan.blocks) == ((16, 16), ("x", "y"))
    assert not any(label.startswith("plan ") for label in _tried(plan))


def test_the_order_of_measuring_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the least of everything is measured first and alone holds, what saves little is weighed all the same."""

    def timed(one: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        gone = 1 - sum(kept.values()) / sum(one.all_channels.values())
        return {"latency": (0.57 if one.size == (16, 16) else 1.0) - 0.04 * len(one.gone) - 0.05 * gone}

    monkeypatch.setattr(_Networks, "costs", staticmethod(timed))
    monkeypatch.setattr(_Networks, "without_blocks", lambda *_: None)
    found = []
    for unlikely in (False, True):
        search = _search(monkeypatch, [(16, 16)], latency="0.48x")
        monkeypatch.setattr(module, "gone_blocks", lambda *_: [("x",), ("x", "y")])
        monkeypatch.setattr(module, "read_outline", lambda _chain, _network, gone=(): replace(_OUTLINE, gone=gone))
        found.append(search.run(unlikely=unlikely))

    first, second = found
    assert first.blocks == ("x",)
    assert (second.size, second.blocks, second.channels) == (first.size, first.blocks, first.channels)


def test_where_no_channel_can_go_no_plan_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    outline = replace(_OUTLINE, groups=())
    monkeypatch.setattr(f"{__name__}._OUTLINE", outline)
    monkeypatch.setattr(_Networks, "costs", staticmethod(lambda one, _: {"latency": 0.5 if one.size < (32,) else 1.0}))
    monkeypatch.setattr(_Recoveries, "best", lambda _, ways: ways[-1])
    plan = _searched(monkeypatch, [(16, 16)], latency="0.5x")
    assert sum(label.startswith("plan ") for label in _tried(plan)) <= 1


class _Listed:
    """Plans so many channels of each group, one number after the other."""

    numbers: ClassVar[tuple[int, ...]] = ()

    def __init__(self, *_: object) -> None:
        self._left = iter(self.numbers)

    def planned(self, outline: Outline, _: float) -> tuple[dict[str, int], dict[str, float]]:
        return dict.fromkeys(outline.all_channels, next(self._left)), {"latency": 0.45}


@pytest.mark.parametrize(("half_of_b", "chosen"), [(0.4, "half of b"), (0.6, "plan 2")])
def test_of_what_holds_the_network_is_taken_that_loses_least(
    monkeypatch: pytest.MonkeyPatch, half_of_b: float, chosen: str
) -> None:
    """Plan 3 is nearer to the budget as it was timed, and has fewer channels."""

    def timed(_: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        by_channels = {(256, 128): half_of_b, (192, 192): 0.6, (128, 128): 0.4, (120, 120): 0.45, (32, 32): 0.2}
        return {"latency": by_channels.get((kept["a"], kept["b"]), 1.0)}

    monkeypatch.setattr(_Networks, "costs", staticmethod(timed))
    monkeypatch.setattr(_Listed, "numbers", (192, 192, 128, 120, 192, 192))
    monkeypatch.setattr(module, "ChannelPlanner", _Listed)
    plan = _searched(monkeypatch, latency="0.5x")

    assert plan.networks.chosen == chosen
    assert plan.networks.reason == "chosen by measurement: latency 0.40x of at most 0.5x"


def test_where_the_best_way_holds_at_no_round_the_next_one_is_taken_that_was_measured_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def timed(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        return {"latency": 0.45 if outline.size == (16, 16) else {256: 1.0, 32: 0.2}.get(kept["b"], 0.6)}

    monkeypatch.setattr(_Networks, "costs", staticmethod(timed))
    monkeypatch.setattr(_Listed, "numbers", (128,) * 7)
    monkeypatch.setattr(module, "ChannelPlanner", _Listed)
    plan = _searched(monkeypatch, [(16, 16)], latency="0.5x")

    assert (plan.size, plan.networks.chosen) == ((16, 16), "smaller input, 16x16")
    assert "none of 5 plans in turn held, the nearest latency 0.60x of at most 0.5x" in plan.networks.reason


def test_the_last_round_allows_for_what_the_one_before_was_off_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network takes a tenth more than it is predicted to."""
    aims: list[float] = []

    class Off:
        def __init__(self, *_: object) -> None: ...

        def planned(self, outline: Outline, aim: float) -> tuple[dict[str, int], dict[str, float]]:
            aims.append(aim)
            return {"a": 248 - 8 * len(aims), "b": 256}, {"latency": 0.5 * aim}

    monkeypatch.setattr(
        _Networks,
        "costs",
        staticmethod(
            lambda _, kept: {"latency": {256: 1.0, 32: 0.2}.get(kept["a"], 1.1 * 0.5 * aims[-1] if aims else 1)}
        ),
    )
    monkeypatch.setattr(module, "ChannelPlanner", Off)
    plan = _searched(monkeypatch, latency="0.5x")

    assert plan.networks.chosen == "plan 5"
    assert aims[-1] == pytest.approx(aims[-2] / 1.1)


def test_what_holds_with_room_to_spare_makes_no_plan_cut_more_however_far_its_prediction_was_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Latency is a twentieth above its prediction, parameters are twice theirs and far below their budget."""
    aims: list[float] = []

    class Off:
        def __init__(self, *_: object) -> None: ...

        def planned(self, outline: Outline, aim: float) -> tuple[dict[str, int], dict[str, float]]:
            aims.append(aim)
            return {"a": 248 - 8 * len(aims), "b": 256}, {"latency": 0.5 * aim, "params": 0.2}

    def costs(_: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        latency = {256: 1.0, 32: 0.2}.get(kept["a"], 1.05 * 0.5 * aims[-1] if aims else 1)
        return {"latency": latency, "params": 1.0 if kept["a"] == 256 else 0.4}

    monkeypatch.setattr(_Networks, "costs", staticmethod(costs))
    monkeypatch.setattr(module, "ChannelPlanner", Off)
    plan = _searched(monkeypatch, latency="0.5x", params="0.9x")

    assert plan.networks.chosen == "plan 5"
    assert aims[-1] == pytest.approx(aims[-2] / 1.05)


def test_what_is_possible_was_measured_before_anything_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GoalError) as raised:
        _searched(monkeypatch, [(24, 24), (16, 16)], latency="0.11x")
    least = _OUTLINE.fewest_channels
    smallest = Outline(size=(16, 16), groups=_OUTLINE.groups, layers=_OUTLINE.layers, round_to=8)
    measured = _honest(smallest, least)["latency"]
    assert str(raised.value.got) == (
        f"{measured:.2f}x with images of 16x16 pixels and the fewest channels that every layer can be left with, 1.00x "
        "unpruned; of the multiplications that are left 53% are in smaller a layers"
    )
    assert raised.value.fix == f"take a smaller network, or allow more than {measured:.2f}x"


@pytest.mark.parametrize(("quantity", "told"), [("latency", True), ("params", False)])
def test_what_is_refused_by_a_time_in_doubt_is_told_with_it(
    monkeypatch: pytest.MonkeyPatch, quantity: str, *, told: bool
) -> None:
    monkeypatch.setattr(_Networks, "doubt", "latency in doubt: this is a test")
    with pytest.raises(GoalError) as raised:
        _searched(monkeypatch, (), **{quantity: "0.01x"})
    assert str(raised.value.got).endswith("layers; latency in doubt: this is a test") is told
    assert str(raised.value.fix).startswith("measure again on an idle machine, take a smaller network") is told


@pytest.mark.parametrize("doubt", ["latency in doubt: this is a test", ""])
def test_a_time_in_doubt_is_measured_once_more_before_anything_is_refused(
    monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    def costs(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        return {"latency": 1.0 if kept == outline.all_channels else 0.6}

    monkeypatch.setattr(_Networks, "costs", staticmethod(costs))
    monkeypatch.setattr(_Networks, "costs_anew", staticmethod(lambda *_: {"latency": 0.5}))
    monkeypatch.setattr(_Networks, "doubt", doubt)
    if doubt:
        assert _searched(monkeypatch, latency="0.5x").networks.chosen == "fewest channels"
    else:
        with pytest.raises(GoalError, match="cannot be brought"):
            _searched(monkeypatch, latency="0.5x")


def test_all_budgets_that_are_impossible_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GoalError, match="cannot be brought to latency") as raised:
        _searched(monkeypatch, latency="0.01x", params="0.05x")
    params = _honest(_OUTLINE, _OUTLINE.fewest_channels)["params"]
    assert f"unpruned; it has params {params:.2f}x of at most 0.05x too; of the" in str(raised.value.got)


@pytest.mark.parametrize("sizes", [[(16, 16)], [(24, 24), (16, 16)]])
def test_what_levers_save_together_is_measured_and_not_the_product_of_what_each_saves(
    monkeypatch: pytest.MonkeyPatch, sizes: list[tuple[int, int]]
) -> None:
    def together(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        few, small = kept != outline.all_channels, outline.size != (32, 32)
        return {"latency": 0.4 if few and small else 0.5 if few or small else 1.0}

    monkeypatch.setattr(_Networks, "costs", staticmethod(together))
    with pytest.raises(GoalError, match=r"cannot be brought to latency 0\.3x") as raised:
        _searched(monkeypatch, sizes, latency="0.3x")
    assert str(raised.value.got).startswith("0.40x with images of 16x16 pixels and the fewest channels")


def test_an_input_that_saves_little_is_taken_where_that_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def little(outline: Outline, _: Mapping[str, int]) -> dict[str, float]:
        return {"latency": 0.93 if outline.size != (32, 32) else 1.0}

    monkeypatch.setattr(_Networks, "costs", staticmethod(little))
    plan = _searched(monkeypatch, [(16, 16)], latency="0.95x")

    assert (plan.size, plan.networks.chosen) == ((16, 16), "smaller input, 16x16")


def test_where_no_plan_finds_anything_to_take_what_holds_is_taken_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Networks, "costs", staticmethod(lambda _, kept: {"latency": 1.0 if kept["b"] > 32 else 0.4}))
    monkeypatch.setattr(_Listed, "numbers", (256,) * 7)
    monkeypatch.setattr(module, "ChannelPlanner", _Listed)

    assert _searched(monkeypatch, latency="0.5x").networks.chosen == "fewest channels"


def test_an_input_that_saves_little_is_part_of_the_least_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def little(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        return {"latency": (0.3 if kept != outline.all_channels else 1.0) * (0.95 if outline.size != (32, 32) else 1.0)}

    monkeypatch.setattr(_Networks, "costs", staticmethod(little))
    plan = _searched(monkeypatch, [(16, 16)], latency="0.285x")

    assert (plan.size, plan.networks.chosen) == ((16, 16), "least of everything, 16x16")


def test_levers_that_save_more_together_than_each_alone_says_refuse_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def together(outline: Outline, kept: Mapping[str, int]) -> dict[str, float]:
        few, small = kept != outline.all_channels, outline.size != (32, 32)
        return {"latency": 0.1 if few and small else 0.6 if few or small else 1.0}

    monkeypatch.setattr(_Networks, "costs", staticmethod(together))
    plan = _searched(monkeypatch, [(16, 16)], latency="0.2x")

    assert "least of everything, 16x16" in _tried(plan)


def test_where_no_way_is_predicted_to_hold_the_smallest_input_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pessimist:
        def __init__(self, *_: object) -> None: ...

        def planned(self, outline: Outline, _: float) -> tuple[dict[str, int], dict[str, float]]:
            return outline.fewest_channels, {"latency": 0.9}

    monkeypatch.setattr(module, "ChannelPlanner", Pessimist)
    plan = _searched(monkeypatch, [(24, 24), (16, 16)], latency="0.3x")

    assert plan.size == (16, 16)
    assert plan.networks.reason.startswith("chosen by measurement")


@pytest.mark.parametrize(
    ("latency", "unlikely", "is_first", "is_all"),
    [
        ("0.05x", True, True, True),
        ("0.12x", True, True, False),
        ("0.2x", True, True, False),
        ("0.12x", False, True, False),
        ("0.13x", False, False, False),
        ("0.05x", False, True, True),
    ],
)
def test_the_least_of_everything_is_measured_first_where_a_goal_is_unlikely_and_nothing_more_where_that_is_far(
    monkeypatch: pytest.MonkeyPatch, latency: str, *, unlikely: bool, is_first: bool, is_all: bool
) -> None:
    search = _search(monkeypatch, [(16, 16)], latency=latency)
    with nullcontext() if latency == "0.2x" else pytest.raises(GoalError, match=f"to latency {latency}"):
        search.run(unlikely=unlikely)
    labels = [one.label for one in search._networks.every]
    assert (labels[1] == "least of everything, 16x16") is is_first
    assert (len(labels) == 2) is is_all
    assert labels.count("least of everything, 16x16") == 1
