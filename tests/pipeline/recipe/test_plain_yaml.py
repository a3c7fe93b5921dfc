"""YAML 1.2's core, and a refusal of whatever YAML 1.1 read otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.recipe.plain_yaml import is_plain_text, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("12", 12), ("-3", -3),
        ("0x1F", 31), ("0o17", 15), ("1e3", 1000.0), ("1e-3", 0.001), (".5", 0.5), ("2.", 2.0),
        ("-.inf", float("-inf")),
        ("0", 0), ("resnet50", "resnet50"), ("timm/x", "timm/x"), ("'yes'", "yes"), ('"1:30"', "1:30"),
        ("!!str 5", "5"), ("[1, a, true]", [1, "a", True]), ("{a: {b: 2}}", {"a": {"b": 2}}), ("50%", "50%"),
    ],
)  # fmt: skip
def test_what_the_core_schema_says(text: str, value: Any) -> None:  # noqa: ANN401 - any YAML value
    found = parse_yaml(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("yes", "yes is text in YAML 1.2 and a bool in YAML 1.1"),
        ("a: off", "off is text in YAML 1.2 and a bool in YAML 1.1"),
        ("1:30", "1:30 is text in YAML 1.2 and a int in YAML 1.1"),
        ("1_000", "1_000 is text in YAML 1.2 and a int in YAML 1.1"),
        ("0b11", "0b11 is text in YAML 1.2 and a int in YAML 1.1"),
        ("2020-01-02", "2020-01-02 is text in YAML 1.2 and a timestamp in YAML 1.1"),
        ("012", "012 is one number in YAML 1.1 and another in YAML 1.2"),
        ("<<: {seed: 3}", "<< is text in YAML 1.2 and a merge in YAML 1.1"),
        ("!!set {prune}", "the tag !!set is not used in recipes"),
        ("!!binary aGk=", "the tag !!binary is not used in recipes"),
        ("!!python/object/apply:os.system [id]", "the tag !!python/object/apply:os.system is not used in recipes"),
        ("!!bool yes", "the tag !!bool is not used in recipes"),
        ("!!bool maybe", "the tag !!bool is not used in recipes"),
        ("!!int 1:30", "the tag !!int is not used in recipes"),
        ("!!int ''", "the tag !!int is not used in recipes"),
        ("!!map [1]", "the tag !!map is not used in recipes"),
        ("!!seq {a: 1}", "the tag !!seq is not used in recipes"),
        ("!mine 3", "the tag !mine is not used in recipes"),
        ("9" * 401, "a number of 401 digits"),
        ("a: &x 1\nb: *x", "aliases are not used in recipes"),
        ("a: 1\na: 2", "key 'a' twice"),
    ],
)
def test_what_two_versions_read_differently_is_refused(text: str, told: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as raised:
        parse_yaml(text)
    assert told in str(raised.value)


def test_texts_that_look_like_numbers_are_no_plain_text() -> None:
    assert [is_plain_text(text) for text in ("resnet50", "1e3", "0o17", "true", "")] == [True, *[False] * 4]
