"""In which precision a plan for a goal is made, and when it is made once more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.workers.workplace import HERE
from pipeline.errors import GoalError, ParityError
from pipeline.planning.goal import shipped_precision as module
from pipeline.planning.goal.goal_plan import GoalPlan
from pipeline.planning.goal.shipped_precision import searched_plan
from pipeline.planning.time_ratio import TimeRatio
from pipeline.planning.trials import Trials
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision
    from pipeline.chain.chain import Chain

_ANY: Any = None
_TARGET: Any = SimpleNamespace(precisions=("float", "fp16", "int8"))


def _chain(precision: str = "auto", reason: str | None = None, **goal: Any) -> Any:  # noqa: ANN401 - a Chain
    asked = {"model": "resnet18", "build": {"precision": precision}, "goal": {"latency": "0.5x", **goal}}

    class Plan:
        recipe, place = Recipe.model_validate(asked), HERE

        def cannot_run(self, _: object) -> str | None:
            return reason

    class Chain:
        plan, progress = Plan(), SilentProgress()

    return Chain()


class _Search:
    """Plans in whatever precision; in some that may not be possible, in 16-bit floats there may be no room."""

    times: Mapping[str, Mapping[Precision, float]] = {}
    impossible: tuple[str, ...] = ()
    because_of: str = "goal.latency"
    does_not_hold: str = ""

    def __init__(self, _chain: object, _target: object, _network: object, precision: Precision) -> None:
        self.precision = precision

    def run(self, *, unlikely: bool = False) -> GoalPlan:
        assert self.impossible or not unlikely
        if self.precision == self.does_not_hold:
            raise ParityError("a test", got="more", expected="less", fix="none")
        if self.precision in self.impossible:
            told = f"a test in {self.precision}"
            raise GoalError(told, where=self.because_of, got="2x", expected="0.5x", fix="none")
        trials = Trials(f"networks in {self.precision}", {})
        trials.note("plan 1", "taken")
        choice = trials.choice("plan 1", "chosen by measurement")
        return GoalPlan(size=None, channels={}, target="ort-cpu", precision=self.precision, networks=choice)

    def times_over_float(self, plan: GoalPlan, *, halves: bool) -> dict[Precision, TimeRatio]:
        assert plan.precision == self.precision
        found = self.times[self.precision].items()
        told = {one: TimeRatio(ratio=ratio, low=ratio, high=ratio) for one, ratio in found if halves or one != "fp16"}
        return {"float": TimeRatio(ratio=1.0, low=1.0, high=1.0), **told}


def _searched(
    monkeypatch: pytest.MonkeyPatch,
    chain: Chain,
    first: Precision,
    times: Mapping[str, Mapping[Precision, float]],
    **of: Any,  # noqa: ANN401 - attributes of the search
) -> GoalPlan:
    monkeypatch.setattr(_Search, "times", times)
    for name, value in of.items():
        monkeypatch.setattr(_Search, name, value)
    monkeypatch.setattr(module, "GoalSearch", _Search)
    monkeypatch.setattr(module, "bytes_bind", lambda *_: chain.plan.recipe.goal.most_bytes < 3_000_000)
    monkeypatch.setattr(module, "planned_precision", lambda *_, halves=True: first if halves else "int8")
    return searched_plan(chain, _TARGET, _ANY)


def test_what_is_faster_in_int8_when_it_is_cut_is_planned_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _searched(monkeypatch, _chain(), "float", {"float": {"int8": 1.1}}).precision == "float"
    times: dict[str, dict[Precision, float]] = {"float": {"int8": 0.9}, "int8": {"int8": 0.9}}
    assert _searched(monkeypatch, _chain(), "float", times).precision == "int8"


@pytest.mark.parametrize("first", ["int8", "bf16"])
def test_what_is_faster_in_float_when_it_is_cut_is_planned_in_float(
    monkeypatch: pytest.MonkeyPatch, first: Precision
) -> None:
    plan = _searched(monkeypatch, _chain(), first, {first: {first: 1.25}, "float": {first: 1.1}})
    assert plan.precision == "float"
    told = f"; planned in float, since of what a plan in {first} leaves {first} takes 1.25x the time of float"
    assert told in plan.networks.reason
    assert plan.before is not None
    assert (plan.before.among, plan.networks.among) == (f"networks in {first}", "networks in float")


def test_what_is_faster_in_16_bit_floats_when_it_is_cut_is_planned_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    times: dict[str, dict[Precision, float]] = {
        "int8": {"int8": 1.1, "fp16": 0.8},
        "fp16": {"int8": 0.9, "fp16": 0.7},
    }
    plan = _searched(monkeypatch, _chain(), "int8", times)
    assert plan.precision == "fp16"
    assert "int8 takes 1.10x the time of float" in plan.networks.reason
    assert "and fp16 takes 0.80x the time of float" in plan.networks.reason


def test_what_is_no_faster_in_float_stays_as_it_was_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, _chain(), "int8", {"int8": {"int8": 1.02}})
    assert (plan.precision, plan.networks.reason, plan.before) == ("int8", "chosen by measurement", None)


def test_a_plan_in_float_that_would_not_ship_in_float_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, _chain(), "int8", {"int8": {"int8": 1.2}, "float": {"int8": 0.9}})
    assert plan.precision == "int8"
    told = "and of what a plan in float leaves int8 takes 0.90x the time of float, 0.90x to 0.90x side by side"
    assert plan.networks.reason.endswith(told)


def test_where_no_precision_is_clearly_faster_of_what_is_left_the_one_ships_that_was_planned_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near: dict[str, dict[Precision, float]] = {"int8": {"int8": 1.04}, "float": {"int8": 0.98}}
    anew = _searched(monkeypatch, _chain(), "int8", near)
    assert (anew.precision, anew.settled) == ("float", "float")
    target: Any = SimpleNamespace(name="ort-cpu")
    other: Any = SimpleNamespace(name="openvino")
    assert (anew.settled_for(target), anew.settled_for(other)) == ("float", None)
    for ratio in (0.99, 1.02):
        first = _searched(monkeypatch, _chain(), "int8", {"int8": {"int8": ratio}})
        assert (first.precision, first.settled) == ("int8", "int8")
    assert _searched(monkeypatch, _chain("int8"), "int8", {}).settled is None


def test_a_fraction_that_float_alone_holds_ships_in_float_unless_int8_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = _searched(monkeypatch, _chain(), "int8", {"float": {"int8": 0.99}}, impossible=("int8",))
    assert (found.precision, found.settled) == ("float", "float")
    with pytest.raises(GoalError, match="a test in int8"):
        _searched(monkeypatch, _chain(), "int8", {"float": {"int8": 0.96}}, impossible=("int8",))


def test_where_float_cannot_hold_the_goal_the_plan_stays_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, _chain(), "int8", {"int8": {"int8": 1.2}}, impossible=("float",))
    assert plan.precision == "int8"
    assert plan.networks.reason.endswith("and in float it cannot be held: 2x")


def test_what_int8_cannot_hold_float_may(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, _chain(), "int8", {"float": {"int8": 1.1}}, impossible=("int8",))
    assert plan.precision == "float"
    assert plan.networks.reason.endswith("; planned in float, since in int8 it cannot be held: 2x")


def test_a_fraction_that_float_would_hold_and_not_ship_in_is_refused_before_any_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faster: dict[str, dict[Precision, float]] = {"float": {"int8": 0.55}}
    with pytest.raises(GoalError, match="a test in int8"):
        _searched(monkeypatch, _chain(), "int8", faster, impossible=("int8",))
    in_time = _searched(monkeypatch, _chain(latency="5ms"), "int8", faster, impossible=("int8",))
    assert in_time.precision == "float"


def test_a_size_that_float_cannot_hold_int8_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _chain(latency="5ms", size="2MB")
    plan = _searched(monkeypatch, asked, "float", {}, impossible=("float",), because_of="goal.size")
    assert plan.precision == "int8"
    assert plan.networks.reason.endswith("; planned in int8, since in float it cannot be held: 2x")


@pytest.mark.parametrize("size", ["2MB", "100MB"])
def test_a_time_that_int8_cannot_hold_float_may_though_a_size_is_asked_for_too(
    monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    asked = _chain(latency="5ms", size=size)
    assert _searched(monkeypatch, asked, "int8", {}, impossible=("int8",)).precision == "float"


def test_a_size_that_does_not_bind_settles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    times: dict[str, dict[Precision, float]] = {"int8": {"int8": 1.25}, "float": {"int8": 1.1}}
    assert _searched(monkeypatch, _chain(latency="5ms", size="100MB"), "int8", times).precision == "float"
    assert _searched(monkeypatch, _chain(latency="5ms", size="2MB"), "int8", times).precision == "int8"


def test_what_is_counted_is_as_much_in_every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _chain(params="0.001x")
    with pytest.raises(GoalError, match="a test in int8"):
        _searched(monkeypatch, asked, "int8", {"float": {"int8": 1.1}}, impossible=("int8",), because_of="goal.params")


def test_what_neither_16_bit_floats_nor_int8_hold_float_may(monkeypatch: pytest.MonkeyPatch) -> None:
    times: dict[str, dict[Precision, float]] = {"float": {"int8": 1.1}}
    plan = _searched(monkeypatch, _chain(), "fp16", times, impossible=("int8",), does_not_hold="fp16")
    assert plan.precision == "float"


@pytest.mark.parametrize(
    ("chain", "first", "impossible", "because_of"),
    [
        (_chain(), "int8", ("int8", "float"), "goal.latency"),
        (_chain("int8"), "int8", ("int8",), "goal.latency"),
        (_chain(latency=None, size="2MB"), "int8", ("int8",), "goal.size"),
        (_chain(latency="5ms", size="2MB"), "int8", ("int8",), "goal.size"),
    ],
)
def test_what_cannot_be_held_is_refused_in_what_it_was_planned_in_first(
    monkeypatch: pytest.MonkeyPatch, chain: Chain, first: Precision, impossible: tuple[str, ...], because_of: str
) -> None:
    with pytest.raises(GoalError, match=f"a test in {first}"):
        _searched(monkeypatch, chain, first, {}, impossible=impossible, because_of=because_of)


@pytest.mark.parametrize(
    ("chain", "first"),
    [
        (_chain("int8"), "int8"),
        (_chain(require=["int8"]), "int8"),
        (_chain(latency=None, macs="0.5x"), "int8"),
        (_chain(latency=None, size="2MB"), "int8"),
        (_chain(reason="a test"), "int8"),
    ],
)
def test_a_precision_that_is_settled_is_not_compared(
    monkeypatch: pytest.MonkeyPatch, chain: Chain, first: Precision
) -> None:
    assert _searched(monkeypatch, chain, first, {}).precision == first


def test_what_16_bit_floats_do_not_hold_on_the_way_is_planned_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _searched(monkeypatch, _chain(), "fp16", {"int8": {"int8": 0.7, "fp16": 0.5}}, does_not_hold="fp16")
    assert plan.precision == "int8"


@pytest.mark.parametrize(("asked", "precision"), [("fp16", "fp16"), ("auto", "int8")])
def test_what_does_not_compute_the_same_otherwise_ends_the_search(
    monkeypatch: pytest.MonkeyPatch, asked: str, precision: Precision
) -> None:
    with pytest.raises(ParityError):
        _searched(monkeypatch, _chain(asked), precision, {}, does_not_hold=precision)
