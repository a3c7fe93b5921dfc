"""What is said of a goal of what is shipped, and what a run ends with for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipeline.artifact import ArtifactKind
from pipeline.planning.int8_candidate import Candidate
from pipeline.planning.time_ratio import TimeRatio
from pipeline.recipe import GoalSection
from pipeline.report.choice_record import MeasuredChoice, Tried
from pipeline.report.goal_record import GoalEntry
from pipeline.runner import goal_report as module
from pipeline.runner.goal_causes import causes_of_loss
from pipeline.runner.goal_report import goal_entry, with_goal
from pipeline.runner.publish import _exit_code

if TYPE_CHECKING:
    from pipeline.chain.chain import Chain

_NETWORKS = MeasuredChoice(
    among="networks",
    spent_s=1,
    tried=(Tried(label="unpruned", figures={"p50_s": 4e-3}, outcome="latency 100% above"),),
    chosen="unpruned",
    reason="a test",
)

_FORM = Candidate(method="mse", dialect="ort-x86")


def _plan(**fields: Any) -> Any:  # noqa: ANN401 - a GoalPlan
    return SimpleNamespace(
        **{"precision": "int8", "target": "ort-cpu", "networks": _NETWORKS, "ways": None, "before": None, **fields}
    )


def _outcome(accuracy: float | None, *, warnings: tuple[str, ...] = (), peak: int | None = 80_000_000) -> Any:  # noqa: ANN401 - an Outcome
    solo = SimpleNamespace(warnings=lambda: warnings, memory_bytes=lambda: ({"peak": peak}, []))
    measured = SimpleNamespace(accuracy=SimpleNamespace(value=accuracy), p50_s=5e-3, size_bytes=2_000_000, solo=solo)
    artifact = SimpleNamespace(facts={"precision": "int8"}, kind=ArtifactKind.ENGINE)
    return SimpleNamespace(
        measured=None if accuracy is None else measured,
        facts={"macs": 1_000_000, "params": 5_000},
        result=SimpleNamespace(artifact=artifact, stage="build"),
    )


def _chain(**goal: Any) -> Chain:  # noqa: ANN401 - raw input
    recipe = SimpleNamespace(goal=GoalSection.model_validate(goal))
    return cast("Chain", SimpleNamespace(plan=SimpleNamespace(recipe=recipe)))


def _entry(*outcomes: Any, plan: Any = None, target: str = "ort-cpu", **goal: Any) -> GoalEntry:  # noqa: ANN401 - raw input
    found = goal_entry(_chain(**goal), cast("Any", SimpleNamespace(name=target)), outcomes, plan or _plan(), _FORM)
    assert found is not None
    return found


_SAME = (_outcome(0.9), _outcome(0.9))


def _told(monkeypatch: pytest.MonkeyPatch, found: TimeRatio | float, **goal: Any) -> str:  # noqa: ANN401 - raw input
    monkeypatch.setattr(module, "_of_shipped", lambda *_: found)
    return _entry(*_SAME, **goal).sentence


def test_a_fraction_of_the_latency_is_told_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = TimeRatio(ratio=0.47, low=0.45, high=0.49)

    assert _told(monkeypatch, timed, latency="0.5x") == (
        "the goal is met: latency 0.47x of at most 0.5x; no accuracy lost (at most 1 point may be); latency 0.45x to "
        "0.49x side by side"
    )


def test_what_disturbed_the_machine_is_told_with_a_missed_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = TimeRatio(ratio=0.6, low=0.5, high=0.7, unfit="other programs took 69 % of the cores' time")

    assert _told(monkeypatch, timed, latency="0.5x") == (
        "the goal is missed: latency 0.60x of at most 0.5x; no accuracy lost (at most 1 point may be); latency 0.50x "
        "to 0.70x side by side, in doubt since other programs took 69 % of the cores' time; what holds it back: "
        "latency is 20% above its budget, which lies within the interval of its measurements"
    )


def test_what_is_counted_has_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _told(monkeypatch, 0.4, macs="0.5x") == (
        "the goal is met: macs 0.40x of at most 0.5x; no accuracy lost (at most 1 point may be)"
    )


@pytest.mark.parametrize(("drop", "met"), [("1%", False), ("10%", True), (None, False)])
def test_a_network_that_is_as_small_as_asked_and_lost_accuracy_misses_its_goal(drop: str | None, *, met: bool) -> None:
    limit = {} if drop is None else {"max_accuracy_drop": drop}
    found = _entry(_outcome(0.9), _outcome(0.8), macs="2M", require=["goal"], **limit)

    assert found.met is met
    assert found.accuracy_drop == pytest.approx(0.1)
    assert found.asked == {"macs": "2M", "drop": drop or "1%"}
    most = "10 points" if met else "1 point"
    why = "" if met else "; what holds it back: accuracy: int8 lost 10 points"
    assert found.sentence.endswith(f"macs 1.00 M of at most 2M; 10 points lost (at most {most} may be){why}")
    assert _exit_code(("goal",), found, None) == (0 if met else 8)


def test_accuracy_alone_may_be_required() -> None:
    found = _entry(_outcome(0.9), _outcome(0.91), max_accuracy_drop="1%", require=["goal"])

    assert found.sentence == "the goal is met: 1 point gained (at most 1 point may be)"
    assert goal_entry(_chain(max_accuracy_drop="1%"), cast("Any", None), _SAME, None, _FORM) is None


def test_what_cannot_be_measured_is_missed_and_what_is_counted_is_told() -> None:
    found = _entry(_outcome(None), _outcome(None), macs="2M", size="3MB")

    assert not found.met
    assert found.found == {"macs": 1e6}
    assert "size of at most 3MB not measured here; accuracy not measured here" in found.sentence


def test_memory_that_the_system_does_not_tell_is_not_0_bytes() -> None:
    found = _entry(_outcome(0.9), _outcome(0.9, peak=None), memory="90MB")

    assert not found.met
    assert "memory of at most 90MB not measured here" in found.sentence
    assert _entry(*_SAME, memory="90MB").met


def test_a_latency_in_seconds_is_told_with_what_makes_it_doubtful() -> None:
    busy = _outcome(0.9, warnings=("warm-up did not settle: the machine was busy", "others took 9 %"))

    assert _entry(_outcome(0.9), busy, latency="9ms").sentence.endswith(
        "; latency in doubt: warm-up did not settle: the machine was busy, others took 9 %"
    )
    assert "in doubt" not in _entry(_outcome(0.9), busy, macs="2M").sentence


def test_a_plan_that_was_about_something_else_is_told_as_such() -> None:
    found = _entry(*_SAME, plan=_plan(target="openvino", precision="float"), latency="9ms")

    assert found.sentence.endswith("; planned on openvino; planned in float, and int8 ships")
    assert "planned" not in _entry(*_SAME, plan=_plan(target="openvino"), macs="2M").sentence


def _latency(label: str, found: float, predicted: float | None = None) -> Tried:
    said = {} if predicted is None else {"latency_ratio": predicted}
    return Tried.model_validate(
        {"label": label, "figures": {"latency_ratio": found}, "predicted": said, "outcome": "a test"}
    )


@pytest.mark.parametrize(
    ("rounds", "told"),
    [
        (5, "all 5 rounds of planning were used up, with predictions off by up to 20%; "),
        (4, ""),
    ],
)
def test_a_missed_latency_is_told_with_what_was_planned_and_the_least_that_was_measured(
    monkeypatch: pytest.MonkeyPatch, rounds: int, told: str
) -> None:
    tried: tuple[Tried, ...] = (*_NETWORKS.tried, _latency("fewest channels", 0.3))
    tried += tuple(_latency(f"plan {number}", 0.5, predicted=0.4) for number in range(1, rounds + 1))
    networks = _NETWORKS.model_copy(update={"tried": tried, "chosen": "plan 1"})
    timed = TimeRatio(ratio=0.54, low=0.52, high=0.56)
    monkeypatch.setattr(module, "_of_shipped", lambda *_: timed)

    found = _entry(*_SAME, plan=_plan(networks=networks), latency="0.5x")
    assert found.sentence.endswith(
        "; what holds it back: latency is 8% above its budget; plan 1 had 0.50x before recovery; "
        f"{told}the least that was measured is 0.30x, of fewest channels"
    )
    elsewhere = _entry(*_SAME, plan=_plan(networks=networks, precision="float"), latency="0.5x")
    assert elsewhere.sentence.endswith(
        "planned in float, and int8 ships; what holds it back: latency is 8% above its budget"
    )


def test_accuracy_that_is_lost_is_told_by_the_stages_that_lost_it() -> None:
    stages = {"baseline": 0.9, "distill": 0.92, "prune": 0.85, "calibrate": 0.85, "export": 0.5, "build": 0.84}
    outcomes = [_outcome(accuracy) for accuracy in stages.values()]
    for name, outcome in zip(stages, outcomes, strict=True):
        outcome.result.stage = name

    assert _entry(*outcomes, macs="2M").sentence.endswith(
        "; what holds it back: accuracy: prune lost 7 points, int8 lost 1 point"
    )


def test_one_image_of_many_that_is_lost_is_told_where_none_may_be() -> None:
    before, after = _outcome(0.9), _outcome(0.9 - 1 / 25_000)
    told = _entry(before, after, macs="2M", max_accuracy_drop="0%").sentence

    assert told.endswith("; what holds it back: accuracy: int8 lost 0.0040 points")


def test_where_no_stage_is_known_to_have_lost_what_is_lost_nothing_is_told_of_it() -> None:
    unmeasured = [_outcome(0.9), _outcome(None)]
    assert causes_of_loss(cast("Any", unmeasured), 0.1, GoalSection()) == []


def test_where_nothing_was_done_for_a_goal_it_is_told_why() -> None:
    chain = _chain(macs="0.5M")
    chain.plan.skipped = {"prune": "no training images", "distill": "skipped on request"}  # type: ignore[misc]
    found = goal_entry(chain, cast("Any", SimpleNamespace(name="ort-cpu")), _SAME, None, _FORM)

    assert found is not None
    assert (
        "nothing was done for it, since the stages that could are left out (prune: no training images)"
        in found.sentence
    )


def test_the_latency_asked_for_is_one_in_the_precision_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_of_shipped", lambda *_: TimeRatio(ratio=0.5, low=0.5, high=0.5))

    assert _entry(*_SAME, plan=_plan(), latency="0.5x").limit_s == 2e-3
    assert _entry(*_SAME, plan=_plan(precision="float"), latency="0.5x").limit_s is None
    assert _entry(*_SAME, plan=_plan(target="openvino"), latency="0.5x").limit_s is None
    assert _entry(*_SAME, plan=_plan(precision="float"), latency="3ms").limit_s == 3e-3


def test_what_was_planned_before_in_another_precision_is_in_the_report_too() -> None:
    goal = _entry(*_SAME, latency="9ms")
    report: Any = SimpleNamespace(goal=goal, target="ort-cpu", choices=(), stages=(), stage=lambda _: object())
    report.model_copy = lambda update: SimpleNamespace(**update)
    before = _NETWORKS.model_copy(update={"among": "networks in int8"})

    found = with_goal(report, _plan(before=before), _chain(latency="9ms"), _outcome(0.9)).choices
    assert [one.among for one in found] == ["networks in int8", _NETWORKS.among]


def test_figures_of_one_target_are_not_put_beside_those_of_another() -> None:
    chain, goal = _chain(latency="9ms"), _entry(*_SAME, latency="9ms")
    report: Any = SimpleNamespace(goal=goal, target="ort-cpu", choices=(), stages=(), stage=lambda _: object())
    report.model_copy = lambda update: SimpleNamespace(**update)

    own = with_goal(report, _plan(), chain, _outcome(0.9)).choices[0]
    other = with_goal(report, _plan(target="openvino"), chain, _outcome(0.9)).choices[0]
    assert [one.label for one in own.tried] == ["unpruned", "shipped"]
    assert [one.label for one in other.tried] == ["unpruned"]
    assert _entry(*_SAME, plan=_plan(target="openvino"), macs="2M").limit_s is None


@pytest.mark.parametrize(("gate", "code"), [(None, 8), (0, 8), (3, 8), (4, 8), (1, 1), (8, 8)])
def test_a_gate_that_could_not_tell_leaves_the_goals_exit_code(gate: int | None, code: int) -> None:
    missed = GoalEntry(asked={"macs": "2M"}, met=False, sentence="the goal is missed")
    judgement: Any = None if gate is None else SimpleNamespace(deciding=SimpleNamespace(exit_code=gate))

    assert _exit_code(("goal",), missed, judgement) == code
    assert _exit_code((), missed, judgement) == (gate if gate in {1, 8} else 0)
