"""The folder of baselines: the usual one may be missing, a typed one may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.baseline_folder import baseline_folder
from pipeline.cli.main import app
from pipeline.errors import UsageError


def test_nothing_typed_is_the_usual_folder_whether_or_not_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert baseline_folder(None) == Path("baselines")


def test_a_typed_folder_has_to_be_there(tmp_path: Path) -> None:
    assert baseline_folder(tmp_path) == tmp_path
    with pytest.raises(UsageError, match="there is no such folder of baselines"):
        baseline_folder(tmp_path / "mistyped")


def test_deploy_ends_before_anything_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        app(args=["deploy", "resnet18", "--baselines", str(tmp_path / "mistyped")])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: --baselines: there is no such folder of baselines\n")
