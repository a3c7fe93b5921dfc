"""What a stored plan for a goal depends on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.planning.goal import stored_goal_search as module
from pipeline.planning.goal.stored_goal_search import goal_components
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import pytest


def test_a_plan_in_float_is_none_for_a_run_that_requires_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "search_components", lambda *_, **__: {"versions": {}})
    monkeypatch.setattr(module, "comparison_settings", lambda _: {})

    def components(*require: str) -> Any:  # noqa: ANN401 - JSON
        recipe = Recipe.model_validate({"model": "resnet18", "goal": {"latency": "0.5x", "require": list(require)}})
        plan: Any = SimpleNamespace(recipe=recipe, skipped={}, size_is_open=False, depth_is_open=False)
        anything: Any = None
        return goal_components(plan, anything, anything)

    assert components() == components("goal") != components("int8")
