"""Options of a runtime are tried where that can be afforded, and taken where they are faster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.planning import runtime_options
from pipeline.planning.runtime_options import best_options
from pipeline.progress import SilentProgress
from pipeline.session import EngineSpec, TensorSpec

if TYPE_CHECKING:
    from benchmarks.engine import Engine

SPINNING = {"spinning": True}


class _Heard(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class _Trials:
    """An engine that takes 10 ms, or less with an option; each trial takes so long, after waiting for its turn."""

    trial_s: float
    spinning_s: float = 0.010
    now_s: float = 0.0
    waits_s: float = 0.0
    tried: list[bool] = field(default_factory=list)

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.now_s += self.waits_s
        yield

    def measure(self, engine: Engine, *_: object, **__: object) -> Any:  # noqa: ANN401 - a record's samples
        spinning = bool(engine.spec.options.get("spinning"))
        self.tried.append(spinning)
        self.now_s += self.trial_s
        return SimpleNamespace(samples_s=lambda: [self.spinning_s if spinning else 0.010] * 11)


def _best(trials: _Trials, monkeypatch: pytest.MonkeyPatch, *, left_s: float) -> tuple[Any, list[str]]:
    tensor = TensorSpec(name="input", shape=(1, 3, 8, 8), dtype="float32")
    spec = EngineSpec(target="ort-cpu", model="m", input=tensor, outputs=(tensor,), options={"threads": None})
    engine = _engine(spec)
    monkeypatch.setattr(runtime_options, "engines_of", lambda *_: [engine])
    monkeypatch.setattr(runtime_options, "measure_in_turn", trials.measure)
    monkeypatch.setattr(runtime_options.time, "monotonic", lambda: trials.now_s)
    heard: Any = _Heard()
    place = SimpleNamespace(machine=None, one_at_a_time=trials.turn)
    plan = SimpleNamespace(place=place, recipe=SimpleNamespace(measure=SimpleNamespace(threads=None)))
    chain: Any = SimpleNamespace(plan=plan, progress=heard)
    target: Any = SimpleNamespace(variants=lambda _machine: (SPINNING,))
    given: Any = None
    return best_options(chain, target, given, left_s=left_s), heard.notes


def _engine(spec: EngineSpec) -> Engine:
    from pathlib import Path

    from benchmarks.engine import Engine

    return Engine(folder=Path(), spec=spec, opener="module:function", inputs=Path("inputs.bin"))


@pytest.mark.parametrize(("spinning_s", "options"), [(0.008, SPINNING), (0.0099, {}), (0.012, {})])
def test_an_option_is_taken_for_a_clear_gain(
    monkeypatch: pytest.MonkeyPatch, spinning_s: float, options: dict[str, bool]
) -> None:
    trials = _Trials(trial_s=2.0, spinning_s=spinning_s)
    found, notes = _best(trials, monkeypatch, left_s=1.0)  # a minute is always there

    assert (found, notes) == (options, [])
    assert trials.tried == [False, True] * 3


def test_what_would_take_longer_than_the_budget_is_not_tried_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = _Trials(trial_s=40.0, spinning_s=0.001)
    found, (note,) = _best(trials, monkeypatch, left_s=100.0)

    assert found == {}
    assert trials.tried == [False]
    assert note == (
        "runtime options are not tried: with this engine that would take 4 min 0 s, and of --budget 1 min 40 s are left"
    )
    assert _best(_Trials(trial_s=40.0, spinning_s=0.001), monkeypatch, left_s=241.0)[0] == SPINNING


def test_waiting_for_others_is_not_taken_for_the_engines_slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _best(_Trials(trial_s=1.0, spinning_s=0.001, waits_s=90.0), monkeypatch, left_s=0.0) == (SPINNING, [])
