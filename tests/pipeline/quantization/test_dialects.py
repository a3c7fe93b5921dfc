"""The dialects by name, and what their runtimes need of them."""

from __future__ import annotations

import pytest

from pipeline.errors import UnknownNameError
from pipeline.quantization.dialects import DIALECTS, dialect_named


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_dialect_is_found_by_its_name(name: str) -> None:
    assert dialect_named(name).name == name


def test_an_unknown_dialect_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown Q/DQ dialect 'ort-x68'") as raised:
        dialect_named("ort-x68")
    assert "did you mean ort-x86" in str(raised.value)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_zero_points_of_0_are_asked_of_signed_activations_alone(name: str) -> None:
    # Unsigned values around a zero point of 0 could not hold anything negative.
    dialect = dialect_named(name)
    assert dialect.signed_activations or not dialect.symmetric_activations
