"""Whoever draws for a moment says on which devices: torch else looks at every GPU, and warns of several."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("edgewright", "pipeline", "exporters", "benchmarks")


def _without_devices(source: str) -> list[int]:
    """The lines in which ``fork_rng`` is called without saying for which devices."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    forks = [one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr == "fork_rng"]
    return [one.lineno for one in forks if "devices" not in {keyword.arg for keyword in one.keywords}]


def test_a_call_that_does_not_say_it_is_found() -> None:
    assert _without_devices("with torch.random.fork_rng():\n    torch.random.fork_rng(devices=[])") == [1]


def test_every_call_says_it() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    naming = {file: text for file in files if "fork_rng" in (text := file.read_text(encoding="utf-8"))}
    assert naming
    assert {
        file.relative_to(ROOT).as_posix(): lines for file, text in naming.items() if (lines := _without_devices(text))
    } == {}
