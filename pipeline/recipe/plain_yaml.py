"""YAML 1.2's core schema, and of that the part which does not surprise.

PyYAML speaks YAML 1.1, in which ``yes`` is true, ``1:30`` is 90, ``012`` is 10, and ``<<`` merges. What the two
versions read differently is refused with both readings, rather than turned into either.

Source: YAML 1.2.2, chapter 10.3, https://yaml.org/spec/1.2.2/.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from pipeline.yaml_reading import Strict

__all__ = ["TwoReadingsError", "is_plain_text", "parse_yaml"]

_CORE = (
    ("null", re.compile(r"(?:null|Null|NULL|~|)\Z")),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")),
    (
        "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
    ),
)
"""What a plain scalar is, in this order; else it is text."""
_OLD_OCTAL = re.compile(r"[-+]?0[0-7_]+\Z")
_TAGS = frozenset({"tag:yaml.org,2002:str", "!"})
"""Both say that a word is text. Any other brings back what YAML 1.1 makes of one, as of ``!!bool yes``."""
_LONGEST_NUMBER = 400
"""Digits: no number of a recipe is longer, and Python takes quadratic time to read one."""


class TwoReadingsError(yaml.MarkedYAMLError):
    """A word without quotes that is one thing in YAML 1.1 and another in YAML 1.2."""


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - any YAML value
    """The one document in a text.

    Raises:
        yaml.YAMLError: for what is no YAML, or none of this kind.
        ValueError: for characters that YAML does not have.
        RecursionError: when it is nested too deeply.
    """
    return yaml.load(text, Loader=_PlainLoader)  # noqa: S506, TID251 - a SafeLoader, stricter


def is_plain_text(text: str) -> bool:
    """Whether a text without quotes is read as text by YAML 1.2; YAML 1.1 is the dumper's own business."""
    return _core_kind(text) == "str"


def _core_kind(text: str) -> str:
    return next((kind for kind, pattern in _CORE if pattern.match(text)), "str")


class _PlainLoader(Strict, yaml.SafeLoader):
    """No tags but that of text, besides."""

    read = "recipes"

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TAGS:
            problem = f"the tag {tag.replace('tag:yaml.org,2002:', '!!')} is not used in recipes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.implicit[0] and event.style is None:  # neither quotes nor a tag
            self._settle(event)
        return super().compose_scalar_node(anchor)

    def _settle(self, event: Any) -> None:  # noqa: ANN401 - a ScalarEvent, of either of two parsers
        """Give a plain scalar its meaning, or refuse one with two."""
        text = event.value
        kind = _core_kind(text)
        old = self.resolve(yaml.ScalarNode, text, (True, False)).removeprefix("tag:yaml.org,2002:")  # type: ignore[no-untyped-call]
        if kind == "int" and _OLD_OCTAL.match(text):
            problem = f"{text} is one number in YAML 1.1 and another in YAML 1.2: write it without the leading 0"
        elif kind == "str" and old != "str":
            problem = f"{text} is text in YAML 1.2 and a {old} in YAML 1.1: put it into quotes, or write what is meant"
            problem += " (true or false)" if old == "bool" else ""
        elif len(text) > _LONGEST_NUMBER and kind in {"int", "float"}:
            raise yaml.MarkedYAMLError(problem=f"a number of {len(text)} digits", problem_mark=event.start_mark)
        else:
            event.tag, event.implicit = f"tag:yaml.org,2002:{kind}", (False, False)
            if text.startswith("0o"):
                event.value = str(int(text, 8))
            return
        raise TwoReadingsError(problem=problem, problem_mark=event.start_mark)
