"""The check of a machine with a GPU tries what needs one, and needs no more than that does."""

from __future__ import annotations

import ast
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


@pytest.mark.parametrize("package", ["hypothesis", "typer", "openvino", "torch_pruning", "faster_coco_eval"])
def test_they_need_nothing_that_only_other_tests_do(package: str) -> None:
    files = [*gpu_tests(), *(parent / "conftest.py" for path in gpu_tests() for parent in path.parents)]
    assert not [path for path in files if path.is_file() and package in _imported(path)]


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu_check, "gpu_or_reason", lambda: "no NVIDIA driver")
    assert gpu_check.main() == 2
    assert capsys.readouterr().out == "gpu-check: no NVIDIA driver\n"


def test_what_is_lacking_is_named_and_what_needs_it_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gpu:
        name, capability, driver, memory_bytes = "a GPU", "9.0", "1", 1 << 33

    commands = list[list[str]]()
    monkeypatch.setattr(gpu_check, "gpu_or_reason", Gpu)
    monkeypatch.setattr(gpu_check, "find_spec", lambda name: None if name == "onnx" else object())
    monkeypatch.setattr(gpu_check, "_run", lambda command, _limit: commands.append(command) or 0)
    assert gpu_check.main() == 0
    assert "tests: left out, onnx not installed" in capsys.readouterr().out
    assert [command[-1] for command in commands] == ["float32", "bf16", "fp16"]
    monkeypatch.setattr(gpu_check, "find_spec", lambda _name: object())
    gpu_check.main()
    assert commands[3][-len(gpu_tests()) :] == [str(path) for path in gpu_tests()]
