"""YAML from outside: what PyYAML may raise of it, and a loader's guard against what has two meanings."""

from __future__ import annotations

from typing import Any, ClassVar

import yaml

__all__ = ["Strict", "safe_yaml"]


class Strict:
    """To be mixed into a loader: no aliases (and so no alias bombs), and no key twice, of which the last would win."""

    read: ClassVar[str]
    """What is read, for people."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As of the loader, but for aliases.

        Raises:
            MarkedYAMLError: for one.
        """
        if self.check_event(yaml.AliasEvent):  # type: ignore[attr-defined] # of the loader
            mark = self.peek_event().start_mark  # type: ignore[attr-defined] # of the loader
            raise yaml.MarkedYAMLError(problem=f"aliases are not used in {self.read}", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[misc] # of the loader
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        """As of the loader.

        Raises:
            MarkedYAMLError: for a key that is no word, or stands there twice.
        """
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key has to be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)  # type: ignore[misc] # of the loader
        return made


def safe_yaml(text: str) -> Any:  # noqa: ANN401 - any YAML value
    """The one document in a text, by YAML 1.1.

    Raises:
        YAMLError: for what is none; in place of whatever PyYAML raises of tags and depth, too.
    """
    try:
        return yaml.safe_load(text)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise yaml.YAMLError(str(error) or type(error).__name__) from error
