"""What is wrong with what was typed or given is said together with what was expected, or what to do about it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ADDRESSED = {"UsageError", "RecipeError", "DataError", "WeightsError", "DeviceError", "BaselineError"}
"""Errors about what the user typed, gave or set up. Those of damaged bytes, of measuring and of memory tell a state of
the machine or of a file of ours."""

_ALLOWED = {
    ("pipeline/runner/preprocess_search.py", "the network does not take this"): "told within an error that says it",
    ("pipeline/recipe/reading.py", "the value can be read in two ways"): "what came says it, with both readings",
    ("pipeline/recipe/mistakes.py", "f\"{dotted}: {error['msg']}{more}\""): "its sentence is what was expected",
}
"""File and sentence of an error, and why it says neither."""


def _silent(text: str) -> list[str]:
    """The sentences of errors that say neither."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ADDRESSED):
            continue
        given = {keyword.arg for keyword in node.keywords}
        if not given & {"expected", "fix", None}:  # None: ``**told``
            sentence = node.args[0] if node.args else node
            found.append(sentence.value if isinstance(sentence, ast.Constant) else ast.unparse(sentence))
    return found


def test_an_error_about_what_was_given_says_what_was_expected_or_what_to_do() -> None:
    files = [
        file for name in ("pipeline", "exporters", "benchmarks", "edgewright") for file in (ROOT / name).rglob("*.py")
    ]
    found = {
        (file.relative_to(ROOT).as_posix(), sentence)
        for file in files
        for sentence in _silent(file.read_text(encoding="utf-8"))
    }

    assert found == set(_ALLOWED)


def test_an_error_that_says_neither_is_noticed() -> None:
    assert _silent("raise UsageError('no', where='here', got='that')") == ["no"]
    assert _silent("raise UsageError('no', fix='do this')") == []
    assert _silent("raise DataError(f'no {x}', expected='that')") == []
