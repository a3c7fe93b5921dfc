"""Results take the place of earlier results alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import UsageError
from pipeline.runner.output_folder import check_results_folder

if TYPE_CHECKING:
    from collections.abc import Callable


def _plan(data: str | None = "digits", *, model: Path | None = None, weights: Path | None = None) -> Any:  # noqa: ANN401 - a Plan
    parts = SimpleNamespace(model=SimpleNamespace(file=model), weights=SimpleNamespace(file=weights, backbone=None))
    recipe = SimpleNamespace(data=SimpleNamespace(source=data))
    return SimpleNamespace(recipe=recipe, parts=parts, teachers=(), answer_files=())


def _written(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


_OTHERS: dict[str, Callable[[Path], Path]] = {
    "a folder called bundle": lambda out: _written(out / "bundle" / "sources.rb").parent,
    "a file called bundle": lambda out: _written(out / "bundle"),
    "a folder called tensorboard": lambda out: _written(out / "tensorboard" / "deep" / "notes.txt"),
    "a file called tensorboard": lambda out: _written(out / "tensorboard"),
    "a recipe of something else": lambda out: _written(out / "recipe.yaml", "flour: 500 g\n"),
    "weights of something else": lambda out: _tensors(out / "network.safetensors"),
    "no weights": lambda out: _written(out / "network.safetensors"),
}


def _tensors(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"x": torch.zeros(1)}, str(path))
    return path


@pytest.mark.parametrize("what", _OTHERS)
def test_what_is_not_of_an_earlier_run_stays(tmp_path: Path, what: str) -> None:
    there = _OTHERS[what](tmp_path / "out")

    with pytest.raises(UsageError, match="would take the place of what is not of an earlier run") as raised:
        check_results_folder(tmp_path / "out", _plan())

    assert raised.value.where == str(there)
    assert there.exists()


def test_what_an_earlier_run_left_goes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_results_folder(out, _plan())  # nothing is there
    (out / "bundle").mkdir(parents=True)
    check_results_folder(out, _plan())  # it is empty
    _written(out / "bundle" / "manifest.json", "{")  # damaged, and ours
    _written(out / "recipe.yaml", "schema: edgewright.recipe/1\nmodel: resnet18\n")
    _written(out / "tensorboard" / "baseline resnet18" / "events.out.tfevents.0")
    _written(out / "notes.txt")
    check_results_folder(out, _plan())


def test_what_a_run_reads_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("network.safetensors", "bundle/model.onnx"):
        with pytest.raises(UsageError, match="would take the place of what they are made of") as raised:
            check_results_folder(out, _plan(weights=out / name))
        assert raised.value.where == str(out / name)
    with pytest.raises(UsageError, match="what they are made of"):
        check_results_folder(out, _plan(model=out / "bundle" / "model.onnx"))
    check_results_folder(out, _plan(weights=out / "best.pth"))


def test_results_are_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "photos"
    (data / "cat").mkdir(parents=True)
    with pytest.raises(UsageError, match="would be taken for data"):
        check_results_folder(data / "results" / "ort-cpu", _plan(str(data)))
    check_results_folder(tmp_path / "results", _plan(str(data)))
    monkeypatch.chdir(data)
    with pytest.raises(UsageError, match="would be taken for data"):
        check_results_folder(Path("deployments", "net", "ort-cpu"), _plan("."))
    check_results_folder(Path("deployments"), _plan("digits"))
    check_results_folder(Path("deployments"), _plan(None))
