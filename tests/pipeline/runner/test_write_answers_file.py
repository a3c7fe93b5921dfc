"""A file of answers is about the classes of the data, or there is none."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import torch
from safetensors.torch import save_file

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import UsageError
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.write_answers_file import write_answers_file
from pipeline.training.answers_file import read_shared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.store import Store

_NET = """
    import torch
    from torch import nn


    def net(outputs):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, outputs))


    def one_number():
        return net(1)


    def five():
        return net(5)
"""


@pytest.fixture(scope="module")
def two_colours(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images of two of the colours."""
    root = tmp_path_factory.mktemp("two") / "colours"
    for part in ("train", "val"):
        for name in ("blue", "green"):
            (root / part / name).mkdir(parents=True)
            for image in sorted((tiny_data / part / name).iterdir())[:12]:
                shutil.copy(image, root / part / name)
    return root


def _chain(folder: Path, store: Store, data: Path, network: str, outputs: int) -> Chain:
    """Trained weights that tell blue from green, for a network of so many outputs."""
    (folder / "net.py").write_text(textwrap.dedent(_NET), encoding="utf-8")
    kernel = torch.tensor([[0.0, 5.0, -5.0]]).repeat(outputs, 1)
    save_file({"2.weight": kernel, "2.bias": torch.zeros(outputs)}, folder / "weights.safetensors")
    recipe = Recipe.model_validate(
        {
            "model": f"{folder / 'net.py'}:{network}",
            "weights": str(folder / "weights.safetensors"),
            "data": {"source": str(data)},
            "input": {"size": 16, "resize": "squash", "mean": 0.5, "std": 0.25},
            "skip": ["distill", "prune"],
        }
    )
    return Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)


def test_one_number_for_two_classes_is_an_answer_about_each(two_colours: Path, store: Store, tmp_path: Path) -> None:
    write_answers_file(_chain(tmp_path, store, two_colours, "one_number", 1), tmp_path / "theirs.safetensors")

    found = read_shared(tmp_path / "theirs.safetensors")
    of_blue = torch.tensor([name.startswith("train/blue") for name in found.names])
    assert found.tensors["logits"].shape == (len(found.names), 2)
    assert torch.equal(found.tensors["logits"].argmax(dim=1) == 0, of_blue)


def test_a_network_that_answers_for_other_classes_writes_no_file(
    two_colours: Path, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="5"):
        write_answers_file(_chain(tmp_path, store, two_colours, "five", 5), tmp_path / "theirs.safetensors")
    assert not (tmp_path / "theirs.safetensors").exists()


def test_an_onnx_file_writes_none(
    two_colours: Path, store: Store, tmp_path: Path, onnx_network: Callable[..., Any]
) -> None:
    onnx.save(onnx_network(), tmp_path / "net.onnx")
    recipe = Recipe.model_validate({"model": str(tmp_path / "net.onnx"), "data": {"source": str(two_colours)}})
    plan = make_plan(recipe, store, SilentProgress())
    with pytest.raises(UsageError, match="an ONNX file cannot teach"):
        write_answers_file(Chain(plan, store, SilentProgress(), lambda _: None), tmp_path / "theirs.safetensors")
