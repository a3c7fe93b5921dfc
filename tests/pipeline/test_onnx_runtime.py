"""ONNX Runtime's usage events: off wherever it is loaded, in the pipeline and in what a bundle runs with."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.onnx_runtime import onnx_runtime

_ROOT = Path(__file__).parents[2]
_ONLY_HERE = {"pipeline/onnx_runtime.py"}
_LOADED = "import onnxruntime"
_SWITCHED_OFF = 'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")'


def test_it_is_loaded_with_its_telemetry_off() -> None:
    program = "from pipeline.onnx_runtime import onnx_runtime; import os; onnx_runtime(); print(os.environ['{}'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", program.format("ORT_DISABLE_TELEMETRY")],
        env=environment, cwd=_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1"


def test_a_library_that_loads_it_by_itself_finds_it_off() -> None:
    program = """
import os, sys
import onnx.helper as h
from pipeline.lowering.tidy import tidied

class Watch:
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Watch())
value = [h.make_tensor_value_info(name, 1, [1, 2]) for name in "xy"]
model = h.make_model(h.make_graph([h.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:]))
tidied(model)
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "1", done.stderr


def test_who_wants_it_on_keeps_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert onnx_runtime().__name__ == "onnxruntime"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


def test_nothing_loads_it_past_that() -> None:
    past = [
        str(path.relative_to(_ROOT))
        for package in ("pipeline", "exporters", "benchmarks", "edgewright")
        for path in (_ROOT / package).rglob("*.py")
        if _loads(path)
    ]
    assert set(past) == _ONLY_HERE


def _loads(path: Path) -> bool:
    """Whether a file names the package in an import, or loads it by its bare name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "onnxruntime" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "onnxruntime":
            return True
        if isinstance(node, ast.Call) and ast.unparse(node) == "importlib.import_module('onnxruntime')":
            return True
    return False


@pytest.mark.parametrize("template", ["run_ort.py.template", "run_ort_gpu.py.template"])
def test_a_bundle_s_runner_switches_it_off_before_it_loads_it(template: str) -> None:
    text = (_ROOT / "exporters" / "device" / template).read_text(encoding="utf-8")
    before, loaded, _ = text.partition(_LOADED)
    assert loaded
    assert _SWITCHED_OFF in before
