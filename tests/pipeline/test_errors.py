"""What an error says, and the exit code it ends the command with."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors
from pipeline.errors import EdgewrightError, UnknownNameError, UsageError, nearest

EXIT_CODES = {
    "EdgewrightError": 2,
    "UsageError": 2,
    "RecipeError": 2,
    "UnknownNameError": 2,
    "DataError": 2,
    "WeightsError": 2,
    "DeviceError": 2,
    "InconclusiveError": 3,
    "UnfitMachineError": 4,
    "BaselineError": 5,
    "IntegrityError": 6,
    "ResourceError": 7,
    "ParityError": 8,
    "AccuracyError": 8,
    "GoalError": 8,
    "ContractError": 70,
}
"""The codes scripts rely on: a change here breaks somebody's pipeline."""

_ONE_LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
_MAYBE = st.none() | _ONE_LINE


def test_what_where_got_expected_and_fix_are_printed_one_a_line_in_this_order() -> None:
    error = EdgewrightError("it broke", where="a.yaml:3", got="1", expected="2", fix="write 2")
    assert str(error) == "a.yaml:3: it broke\n  got: 1\n  expected: 2\n  fix: write 2"


def test_parts_that_were_not_given_leave_no_line() -> None:
    assert str(EdgewrightError("it broke")) == "it broke"
    assert str(EdgewrightError("it broke", fix="mend it")) == "it broke\n  fix: mend it"


@given(what=_ONE_LINE, where=_MAYBE, got=_MAYBE, expected=_MAYBE, fix=_MAYBE)
def test_every_given_part_is_one_line_of_the_message(
    what: str, where: str | None, got: str | None, expected: str | None, fix: str | None
) -> None:
    lines = str(EdgewrightError(what, where=where, got=got, expected=expected, fix=fix)).split("\n")
    assert lines[0] == (what if where is None else f"{where}: {what}")
    labelled = {"got": got, "expected": expected, "fix": fix}
    assert lines[1:] == [f"  {label}: {text}" for label, text in labelled.items() if text is not None]


@given(parts=st.fixed_dictionaries(dict.fromkeys(("where", "got", "expected", "fix"), _MAYBE)))
def test_an_error_keeps_its_parts_for_those_who_print_it_otherwise(parts: dict[str, str | None]) -> None:
    error = EdgewrightError("it broke", **parts)
    assert {name: getattr(error, name) for name in parts} == parts


@pytest.mark.parametrize(("name", "code"), EXIT_CODES.items())
def test_every_error_has_its_exit_code(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_no_error_is_without_an_exit_code_of_its_own_here() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == set(EXIT_CODES)


def test_every_error_can_be_caught_as_one() -> None:
    assert all(issubclass(getattr(errors, name), EdgewrightError) for name in EXIT_CODES)


@pytest.mark.parametrize("name", ["RecipeError", "UnknownNameError", "DataError", "WeightsError"])
def test_what_the_user_gave_wrongly_is_a_usage_error(name: str) -> None:
    assert issubclass(getattr(errors, name), UsageError)


def test_an_unknown_name_comes_with_the_nearest_ones() -> None:
    error = UnknownNameError("target", "ort-cup", ["ort-gpu", "openvino", "ort-cpu"], fix="see the list")
    assert str(error) == ("unknown target 'ort-cup'\n  expected: did you mean ort-cpu or ort-gpu?\n  fix: see the list")


def test_an_unknown_name_that_is_like_no_other_of_few_comes_with_all_of_them() -> None:
    known = [f"name{number:02}" for number in reversed(range(12))]
    listed = ", ".join(f"name{number:02}" for number in range(12))
    assert str(UnknownNameError("model", "zzz", known)) == f"unknown model 'zzz'\n  expected: one of {listed}"


def test_known_names_may_be_given_as_an_iterator() -> None:
    assert "did you mean bee?" in str(UnknownNameError("class", "be", iter(["bee", "zebra"])))


@given(st.data(), st.lists(st.text(min_size=1, max_size=6), unique=True, min_size=1, max_size=6))
def test_the_nearest_name_to_a_known_one_is_itself(data: st.DataObject, known: list[str]) -> None:
    name = data.draw(st.sampled_from(known))
    assert nearest(name, known)[0] == name


@given(st.text(max_size=6), st.lists(st.text(max_size=6), unique=True, max_size=6), st.integers(1, 4))
def test_nearest_names_are_known_ones_and_at_most_as_many_as_asked(name: str, known: list[str], count: int) -> None:
    found = nearest(name, known, count=count)
    assert len(found) <= count
    assert set(found) <= set(known)


def test_of_many_names_those_nearest_are_shown_and_not_the_first_by_alphabet() -> None:
    known = [f"alpha_{number}" for number in range(20)] + ["zeta_large", "zeta_small"]
    expected = UnknownNameError("model", "zt", known).expected
    assert expected is not None
    assert expected.startswith("one of 22, such as zeta_")


def test_causes_that_go_around_are_looked_at_once() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert errors.out_of_memory(first) is None


def test_an_error_without_a_hash_is_looked_at_too() -> None:
    @dataclass
    class UnhashableError(Exception):
        what: str

    assert errors.out_of_memory(UnhashableError("broken")) is None
