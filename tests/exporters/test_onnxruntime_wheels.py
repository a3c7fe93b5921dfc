"""The two wheels of ONNX Runtime, of which one may be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporters.onnxruntime_wheels import mixture, wheel_missing
from exporters.ort_cpu.target import ORT_CPU
from exporters.ort_cuda.target import ORT_CUDA
from pipeline.environment import versions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both wheels' metadata, as an installer leaves them."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        folder = tmp_path / f"{name}-1.99.0.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.99.0\n"
        (folder / "METADATA").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("both")
def test_both_together_are_told_with_the_commands_that_mend_it() -> None:
    assert mixture() == (
        "onnxruntime 1.99.0 and onnxruntime-gpu 1.99.0 are both installed and overwrite each other's files: "
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        "   (or onnxruntime, without a GPU)"
    )


@pytest.mark.usefixtures("both")
def test_both_together_are_no_runtime_for_any_target() -> None:
    assert ORT_CPU.missing() == ORT_CUDA.missing() == mixture()


def test_one_alone_is_in_order() -> None:
    found = versions(("onnxruntime", "onnxruntime-gpu"))
    assert (mixture() is None) == (None in found.values())


def test_the_other_wheel_is_installed_in_place_of_this_one_not_beside_it() -> None:
    if versions(("onnxruntime-gpu",))["onnxruntime-gpu"]:
        pytest.skip("onnxruntime-gpu is installed here")
    assert wheel_missing("onnxruntime-gpu") == (
        "onnxruntime-gpu is not installed: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    )
