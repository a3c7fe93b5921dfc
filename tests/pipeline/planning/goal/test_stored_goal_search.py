"""What a stored plan for a goal depends on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ParityError
from pipeline.planning.goal import stored_goal_search as module
from pipeline.planning.goal.stored_goal_search import goal_components, plan_for_goal
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe


def test_a_plan_in_float_is_none_for_a_run_that_requires_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "search_components", lambda *_, **__: {"versions": {}})
    monkeypatch.setattr(module, "comparison_settings", lambda _: {})

    def components(*require: str) -> Any:  # noqa: ANN401 - JSON
        recipe = Recipe.model_validate({"model": "resnet18", "goal": {"latency": "0.5x", "require": list(require)}})
        plan: Any = SimpleNamespace(recipe=recipe, skipped={}, size_is_open=False, depth_is_open=False)
        anything: Any = None
        return goal_components(plan, anything, anything)

    assert components() == components("goal") != components("int8")


@pytest.mark.parametrize(
    ("asked", "precision", "anew"), [("auto", "fp16", True), ("fp16", "fp16", False), ("auto", "int8", False)]
)
def test_what_16_bit_floats_do_not_hold_on_the_way_is_planned_without_them(
    monkeypatch: pytest.MonkeyPatch, asked: str, precision: str, *, anew: bool
) -> None:
    class Search:
        def __init__(self, *_: object, halves: bool = True) -> None:
            self._halves, self.precision = halves, precision

        def run(self) -> str:
            if self._halves:
                raise ParityError("a test", got="more", expected="less", fix="none")
            return "planned"

    monkeypatch.setattr(module, "GoalSearch", Search)
    monkeypatch.setattr(module, "goal_components", lambda *_: {})
    monkeypatch.setattr(module, "once", lambda *args: args[-1]())
    recipe = SimpleNamespace(build=SimpleNamespace(precision=asked))
    chain: Any = SimpleNamespace(plan=SimpleNamespace(recipe=recipe), progress=SilentProgress(), store=None, given=None)
    anything: Any = None
    if anew:
        found: Any = plan_for_goal(chain, anything, anything)
        assert found == "planned"
    else:
        with pytest.raises(ParityError):
            plan_for_goal(chain, anything, anything)
