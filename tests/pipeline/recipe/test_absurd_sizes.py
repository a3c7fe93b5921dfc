"""Numbers that no run can live up to are refused, and those of real runs are not."""

from __future__ import annotations

import pytest

from pipeline.errors import RecipeError
from pipeline.recipe.reading import read_recipe


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            f"distill.schedule.epochs=1{'0' * 30}",
            "distill.schedule.epochs: more than can be done\n  got: a number of 31",
        ),
        ("input.size=100000000", "input.size: more than can be done\n  got: 100000000\n  expected: at most 16384"),
        ("input.size=[32, 20000]", "input.size.1: more than can be done"),
        ("measure.threads=5000", "measure.threads: more than can be done"),
        ("data.calibration_images=3000000000", "data.calibration_images: more than can be done"),
    ],
)
def test_absurd_numbers_are_named(setting: str, told: str) -> None:
    with pytest.raises(RecipeError) as raised:
        read_recipe(None, {"model": "resnet18"}, [setting])
    assert str(raised.value).startswith(told)


def test_large_ones_pass() -> None:
    settings = ["distill.schedule.epochs=600", "input.size=1024", "seed=2147483647", "data.calibration_images=50000"]
    assert read_recipe(None, {"model": "resnet18"}, settings).input.size == 1024
