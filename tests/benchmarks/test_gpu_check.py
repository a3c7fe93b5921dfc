"""The check of a machine with a GPU tries what needs one, and needs no more than that does."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import gpu_tests

_TESTS = Path(__file__).parents[1]


def _imported(path: Path) -> set[str]:
    """The packages that a file imports at its top."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | taken}


def test_the_files_with_tests_that_need_a_gpu_are_found() -> None:
    found = {path.relative_to(_TESTS).as_posix() for path in gpu_tests()}
    assert {"pipeline/training/test_loop.py", "pipeline/test_gpu.py", "benchmarks/machine/test_gpu_state.py"} <= found
    assert all("pytest.mark.gpu" in (_TESTS / name).read_text(encoding="utf-8") for name in found)
    assert "pipeline/training/test_feature_pairs.py" in found  # where one of a test's parameters needs one
    assert "benchmarks/test_gpu_check.py" not in found


@pytest.mark.parametrize("package", ["hypothesis", "typer", "openvino", "torch_pruning", "faster_coco_eval"])
def test_they_need_nothing_that_only_other_tests_do(package: str) -> None:
    files = [*gpu_tests(), *(parent / "conftest.py" for path in gpu_tests() for parent in path.parents)]
    assert not [path for path in files if path.is_file() and package in _imported(path)]


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu_check, "gpu_or_reason", lambda: "no NVIDIA driver")
    assert gpu_check.main() == 2
    assert capsys.readouterr().out == "gpu-check: no NVIDIA driver\n"


class _Gpu:
    name, capability, driver, memory_bytes = "a GPU", "9.0", "1", 1 << 33


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is started on a machine with a GPU; all of it holds."""
    found = list[list[str]]()
    monkeypatch.setattr(gpu_check, "gpu_or_reason", _Gpu)
    monkeypatch.setattr(gpu_check, "_run", lambda command, _limit: found.append(command) or 0)
    return found


def _without(monkeypatch: pytest.MonkeyPatch, *lacking: str) -> None:
    monkeypatch.setattr(gpu_check, "find_spec", lambda name: None if name in lacking else object())


def test_what_is_lacking_is_named_and_what_needs_it_left_out(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without(monkeypatch, "onnx")
    assert gpu_check.main() == 0
    assert "tests: left out, onnx not installed" in capsys.readouterr().out
    assert [command[-1] for command in commands[1:]] == ["float32", "bf16", "fp16"]
    commands.clear()
    _without(monkeypatch)
    gpu_check.main()
    assert commands[1][-len(gpu_tests()) :] == [str(path) for path in gpu_tests()]


@pytest.mark.parametrize("lacking", [("pytest", "lightning_fabric"), ("torch",)])
def test_where_nothing_could_be_tried_it_is_not_well(
    commands: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lacking: tuple[str, ...],
) -> None:
    _without(monkeypatch, *lacking)
    assert gpu_check.main() == 2
    assert "gpu-check: nothing was tried; install what is lacking" in capsys.readouterr().out
    assert [command[1] for command in commands] == (["-c"] if "torch" not in lacking else [])


def test_a_gpu_that_pytorch_does_not_see_is_told_before_anything_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "gpu_or_reason", _Gpu)
    monkeypatch.setattr(gpu_check, "_run", lambda command, _limit: int(command[1] == "-c"))
    _without(monkeypatch)
    assert gpu_check.main() == 2
    assert capsys.readouterr().out.endswith("gpu-check: nothing was tried, since PyTorch does not use this GPU\n")


@pytest.mark.parametrize(
    ("sees", "cuda", "told"),
    [
        ("True", "'12.8'", ""),
        ("False", "'12.8'", "PyTorch 2.9 is built for CUDA 12.8 and finds no GPU that it can use\n"),
        ("False", "None", "PyTorch 2.9 is built without CUDA and finds no GPU that it can use\n"),
    ],
)
def test_pytorch_is_asked_why_it_sees_no_gpu(tmp_path: Path, sees: str, cuda: str, told: str) -> None:
    (tmp_path / "torch.py").write_text(
        "from types import SimpleNamespace as Module\n"
        f"cuda, version = Module(is_available=lambda: {sees}), Module(cuda={cuda})\n__version__ = '2.9'\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", gpu_check._SEES_A_GPU], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (int(bool(told)), told)
