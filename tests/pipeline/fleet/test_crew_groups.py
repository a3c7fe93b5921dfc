"""Which process groups a crew may still have to end: those of cells that run, and of no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pipeline.fleet.cell_run import CellEnd
from pipeline.fleet.crew import Ended, Stage
from pipeline.fleet.ray_crew import RayCrew

_ERRORS = ("RayActorError", "GetTimeoutError", "RayTaskError", "RayError")


class _RaysError(Exception):
    """Stands for each of Ray's errors."""


def test_the_group_of_a_cell_that_has_ended_is_forgotten_also_where_its_last_word_comes_late() -> None:
    """Its number may be another program's by the time that the fleet is ended."""
    told, done = [(0, "", "first", 111), (1, "", "first", 222)], ["of cell 0"]
    errors = SimpleNamespace(**dict.fromkeys(_ERRORS, _RaysError))
    end = CellEnd(exit_code=0, wall_s=1.0)
    ray: Any = SimpleNamespace(
        exceptions=errors,
        wait=lambda *_, **__: (done, []),
        get=lambda what, **_: told if what == "told" else end,
    )
    crew: Any = RayCrew(None)
    crew._ray, crew._board = ray, SimpleNamespace(take=SimpleNamespace(remote=lambda: "told"))
    crew._running = {"of cell 0": 0, "of cell 1": 1}

    assert crew.news() == [Stage(cell=0, name=""), Stage(cell=1, name=""), Ended(cell=0, end=end)]
    assert crew._groups == {1: 222}

    told, done = [(0, "build", "first", 111)], []
    assert crew.news() == []
    assert crew._groups == {1: 222}
