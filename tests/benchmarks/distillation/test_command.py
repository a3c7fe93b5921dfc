"""The table of ``python -m benchmarks.distillation``."""

from __future__ import annotations

import pytest

from benchmarks.distillation.__main__ import VARIANTS, Row, main, table
from pipeline.recipe.reading import read_recipe


def test_a_table_holds_training_times_against_its_first_row() -> None:
    rows = [
        Row(name="kd", untaught=0.5, distilled=0.55, p_value=0.00123, training_s=40.0),
        Row(name="dist", untaught=0.5, distilled=0.49, p_value=1.0, training_s=60.0),
    ]
    assert table(rows).splitlines()[2:] == [
        "| kd | 50.00 % | 55.00 % | +5.00 | 0.0012 | 40 s, 1.00x |",
        "| dist | 50.00 % | 49.00 % | -1.00 | 1 | 60 s, 1.50x |",
    ]


def test_what_a_row_changes_is_in_the_recipe() -> None:
    own = ("distill.weight=0.9",)
    plain = read_recipe(None, {"model": "resnet18"}, own)
    for name, settings in VARIANTS.items():
        changed = read_recipe(None, {"model": "resnet18"}, own + settings)
        assert (changed == plain) == (not settings), name


def test_a_row_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["recipe.yaml", "knowledge"])
    assert left.value.code == 2
    assert "kd, standardised" in capsys.readouterr().err
