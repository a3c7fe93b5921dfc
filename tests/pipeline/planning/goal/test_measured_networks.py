"""In what networks are measured for a goal, and what of them is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.workers.workplace import HERE
from pipeline.chain.phases import Phases
from pipeline.errors import ParityError, UsageError
from pipeline.planning.goal import measured_networks as module
from pipeline.planning.goal.measured_networks import MeasuredNetworks, planned_precision
from pipeline.planning.goal.outline import Outline
from pipeline.planning.time_ratio import TimeRatio
from pipeline.recipe import GoalSection


def _chain(precision: str = "auto", reason: str | None = None, **goal: Any) -> Any:  # noqa: ANN401 - a Chain
    recipe = SimpleNamespace(
        build=SimpleNamespace(precision=precision), goal=GoalSection.model_validate({"latency": "5ms", **goal})
    )
    return SimpleNamespace(plan=SimpleNamespace(recipe=recipe, place=HERE, cannot_run=lambda _: reason))


def _target(*precisions: str) -> Any:  # noqa: ANN401 - a Target
    return SimpleNamespace(name="ort-cpu", precisions=precisions, distributions=())


@pytest.mark.parametrize(
    ("asked", "ratios", "goal", "planned"),
    [
        ("auto", {"int8": 0.5}, {}, "int8"),
        ("auto", {"int8": 1.1}, {}, "float"),
        ("auto", {"int8": 1.1}, {"require": ["int8"]}, "int8"),
        ("auto", {"int8": 1.1}, {"latency": None, "size": "2MB"}, "int8"),
        ("auto", {"int8": 1.1}, {"size": "2MB"}, "int8"),
        ("auto", {"int8": 1.1}, {"size": "4MB"}, "float"),
        ("auto", {"int8": 0.5}, {"size": "4MB"}, "int8"),
        ("auto", {"int8": 1.1}, {"latency": None, "size": "0.5x"}, "float"),
        ("auto", {}, {}, "float"),
        ("auto", {"fp16": 0.5}, {}, "fp16"),
        ("auto", {"bf16": 1.1}, {}, "float"),
        ("auto", {"fp16": 0.6, "int8": 0.5}, {}, "int8"),
        ("auto", {"fp16": 0.5, "int8": 0.6}, {}, "fp16"),
        ("auto", {"fp16": 0.5, "int8": 0.6}, {"require": ["int8"]}, "int8"),
        ("fp16", {"fp16": 1.1, "int8": 0.5}, {}, "fp16"),
    ],
)
def test_a_plan_is_made_in_the_precision_in_which_the_unpruned_network_is_fastest(
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    ratios: dict[str, float],
    goal: dict[str, Any],
    planned: str,
) -> None:
    monkeypatch.setattr(module, "engine_in", lambda *args: args[-1])
    monkeypatch.setattr(module, "loaded_size", lambda engine: {"float": 3_000_000}[engine])
    monkeypatch.setattr(
        module, "kept_time_ratio", lambda _, one, *__: TimeRatio(ratio=ratios[one], low=ratios[one], high=ratios[one])
    )
    network: Any = object()
    assert planned_precision(_chain(asked, **goal), _target("float", *ratios), network) == planned


@pytest.mark.parametrize(("halves", "holds"), [(False, True), (True, False)])
def test_no_plan_is_made_in_16_bit_floats_that_do_not_hold_the_network(
    monkeypatch: pytest.MonkeyPatch, *, halves: bool, holds: bool
) -> None:
    def engine(*args: Any) -> Any:  # noqa: ANN401 - an engine
        if args[-1] == "fp16" and not holds:
            raise ParityError("a test", got="more", expected="less", fix="none")
        return args[-1]

    monkeypatch.setattr(module, "engine_in", engine)
    monkeypatch.setattr(module, "kept_time_ratio", lambda *_: TimeRatio(ratio=0.5, low=0.5, high=0.5))
    network: Any = object()
    assert planned_precision(_chain(), _target("float", "fp16"), network, halves=halves) == "float"


@pytest.mark.parametrize("chain", [_chain(reason="a test"), _chain(latency=None, macs="0.5x")])
def test_what_is_counted_needs_no_engine_to_know_its_precision(chain: Any) -> None:  # noqa: ANN401 - a Chain
    network: Any = object()
    assert planned_precision(chain, _target("float", "int8"), network) == "int8"


def test_what_nobody_tells_cannot_be_planned_for() -> None:
    networks = MeasuredNetworks(_chain("float", memory="80MB"), _target("float"), SimpleNamespace(), "float")  # type: ignore[arg-type]
    solo = SimpleNamespace(memory_bytes=lambda: ({"peak": None}, []))
    _, memory = networks._budgets.every
    measured: Any = SimpleNamespace(solo=solo)
    network: Any = SimpleNamespace(facts={})
    with pytest.raises(UsageError, match="memory is not told by the system that measures") as raised:
        networks._value(memory, network, None, measured)
    assert (raised.value.where, raised.value.got) == ("goal.memory", "80MB")


def test_what_is_measured_anew_takes_the_place_of_what_was_kept_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(_engine: object, _target: object, *, anew: bool) -> Any:  # noqa: ANN401 - a Measured
        solo = SimpleNamespace(warnings=lambda: [] if anew else ["this is a test"])
        return SimpleNamespace(solo=solo, p50_s=4e-3 if anew else 9e-3, accuracy=SimpleNamespace(value=0.5))

    monkeypatch.setattr(module, "engine_in", lambda *_: SimpleNamespace(sha256="e"))
    monkeypatch.setattr(module, "formats", lambda *_: [None])
    monkeypatch.setattr(module, "on_few_images", lambda _: SimpleNamespace(measured=measured))
    chain = _chain("float")
    chain.plan.recipe.prune = None
    chain.lowered = lambda network: network
    chain.phases = Phases()
    chain.plan.parts = SimpleNamespace(preprocess=SimpleNamespace(size=(8, 8), at=lambda _: None))
    chain.fed = lambda _: chain
    network: Any = SimpleNamespace(facts={"params": 3})
    networks = MeasuredNetworks(chain, _target("float"), network, "float")
    outline = Outline(size=(8, 8), groups=(), layers=(), round_to=8)

    known = networks.measure("unpruned", outline, {})
    assert (known.found, known.doubt) == ({"latency": 9e-3}, "latency in doubt: this is a test")
    assert known.outcome.endswith("; latency in doubt: this is a test")

    again = networks.measure_anew(known)
    assert (again.found, again.doubt, again.label) == ({"latency": 4e-3}, "", "unpruned")
    assert networks.every == [again]
    (tried,) = networks.trials.choice("unpruned", "a test").tried
    assert (tried.figures["p50_s"], tried.outcome) == (4e-3, "holds, 20% below")
