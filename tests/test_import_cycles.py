"""No module needs one that needs it: import-linter keeps the layers, this what lies within one."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("edgewright", "pipeline", "exporters", "benchmarks")


def _modules() -> dict[str, Path]:
    """Dotted name to file."""
    found = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported_at_run_time(source: str) -> set[str]:
    """Every name that a module imports from, those of functions too; not what type checkers alone read."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        waiting += ast.iter_child_nodes(node)
    return names


def cycles(needs: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules each of which needs all others of its group, by Tarjan's algorithm."""
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []

    def visit(one: str) -> None:
        number[one] = lowest[one] = len(number)
        open_.append(one)
        for other in sorted(needs[one]):
            if other not in number:
                visit(other)
                lowest[one] = min(lowest[one], lowest[other])
            elif other in open_:
                lowest[one] = min(lowest[one], number[other])
        if lowest[one] == number[one]:
            group = open_[open_.index(one) :]
            del open_[open_.index(one) :]
            if len(group) > 1:
                found.append(sorted(group))

    for one in sorted(needs):
        if one not in number:
            visit(one)
    return found


def test_no_module_needs_one_that_needs_it() -> None:
    modules = _modules()
    needs = {
        name: (imported_at_run_time(file.read_text(encoding="utf-8")) & modules.keys()) - {name}
        for name, file in modules.items()
    }
    assert sum(map(len, needs.values())) > len(modules)  # or nothing was read
    assert cycles(needs) == []


def test_a_cycle_is_found_whether_its_imports_are_at_the_top_or_in_a_function() -> None:
    sources = {
        "a": "import b",
        "b": "def late():\n    from c import x",
        "c": "from a import y\nimport d",
        "d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import e",
        "e": "",
    }
    needs = {name: imported_at_run_time(source) & sources.keys() for name, source in sources.items()}

    assert cycles(needs) == [["a", "b", "c"]]
    assert needs["d"] == {"e"}
