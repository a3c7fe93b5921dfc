"""An engine's outputs over a split: those of its runtime, in order, or one clear error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.ort_cpu.target import ORT_CPU
from pipeline.errors import EdgewrightError, ResourceError
from pipeline.evaluation import collect_outputs
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data.dataset import Dataset, Sample
    from pipeline.session import EngineSpec, Outputs

_OPENER = "exporters.ort_cpu.session:open_session"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EngineSpec]:
    """Some linear function of the pixels and its largest value, as a float engine of the CPU target; its folder."""
    weight = np.random.default_rng(0).standard_normal((3, 768)).astype(np.float32) / 768
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["logits"], transB=1),
        helper.make_node("ReduceMax", ["logits"], ["largest"], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 16, 16])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3]),
            helper.make_tensor_value_info("largest", TensorProto.FLOAT, [1, 1]),
        ],
        [numpy_helper.from_array(weight, "w")],
    )
    folder = tmp_path_factory.mktemp("engine")
    source = tmp_path_factory.mktemp("source") / "float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), source)
    return folder, ORT_CPU.build(source, folder, precision="float")


class _Progress(SilentProgress):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def track(self, description: str, total: int, *, even: bool = True) -> _Progress:
        self.total = total
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to close."""

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self.done += steps


def _collect(
    engine: tuple[Path, EngineSpec],
    samples: tuple[Sample, ...],
    preprocess: PreprocessSpec,
    *,
    opener: str = _OPENER,
    progress: _Progress | None = None,
) -> list[Outputs]:
    folder, spec = engine
    return collect_outputs(folder, spec, opener, samples, preprocess, progress or _Progress())


def test_they_are_what_the_runtime_gives_here_image_by_image_in_the_order_asked_for(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec
) -> None:
    samples = tiny_dataset.test[::-2]
    found = _collect(engine, samples, tiny_preprocess)
    session = onnxruntime.InferenceSession(engine[0] / engine[1].model, providers=["CPUExecutionProvider"])
    assert len(found) == len(samples)
    for sample, (logits, largest) in zip(samples, found, strict=True):
        wanted = session.run(["logits"], {"input": tiny_preprocess.load(str(sample.path))[None]})[0][0]
        np.testing.assert_array_equal(logits, wanted)
        np.testing.assert_array_equal(largest, [wanted.max()])


def test_every_image_is_told_of(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec
) -> None:
    progress = _Progress()
    _collect(engine, tiny_dataset.test, tiny_preprocess, progress=progress)
    assert (progress.done, progress.total) == (72, 72)


def test_no_place_of_this_process_matters(
    engine: tuple[Path, EngineSpec],
    tiny_dataset: Dataset,
    tiny_preprocess: PreprocessSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A folder of the user's may hold modules named like ours.
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit('the wrong one')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert len(_collect(engine, tiny_dataset.test[:2], tiny_preprocess)) == 2


def _fails(
    engine: tuple[Path, EngineSpec],
    samples: tuple[Sample, ...],
    preprocess: PreprocessSpec,
    **options: Any,  # noqa: ANN401
) -> EdgewrightError:
    with pytest.raises(EdgewrightError, match="the model could not be evaluated") as raised:
        _collect(engine, samples, preprocess, **options)
    assert raised.value.where == "accuracy on the target's runtime"
    assert "Traceback" not in str(raised.value)
    return raised.value


def test_a_broken_engine_is_an_error_with_the_runtimes_last_words(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec, tmp_path: Path
) -> None:
    folder, spec = engine
    (tmp_path / spec.model).write_bytes((folder / spec.model).read_bytes()[:100])
    error = _fails((tmp_path, spec), tiny_dataset.test[:2], tiny_preprocess)
    assert error.got is not None
    assert "Protobuf parsing failed" in error.got
    assert spec.model in error.got


def test_an_engine_for_another_input_is_an_error_that_tells_both_shapes(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset
) -> None:
    error = _fails(engine, tiny_dataset.test[:2], PreprocessSpec(size=(8, 8)))
    assert error.got is not None
    assert "float32[1, 3, 16, 16], got float32[1, 3, 8, 8]" in error.got


def test_an_image_that_is_gone_is_named(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec, tmp_path: Path
) -> None:
    gone = replace(tiny_dataset.test[0], path=tmp_path / "gone.png")
    error = _fails(engine, (*tiny_dataset.test[:1], gone), tiny_preprocess)
    assert str(tmp_path / "gone.png") in str(error.got)


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An opener that a signal ends, called by its name; found because the process inherits where to look."""
    (tmp_path / "dying.py").write_text(
        "import os, signal\n\n\n"
        "def SIGKILL(folder, spec):\n    os.kill(os.getpid(), signal.SIGKILL)\n\n\n"
        "def SIGTERM(folder, spec):\n    os.kill(os.getpid(), signal.SIGTERM)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "dying"


def test_a_process_that_dies_without_a_word_is_an_error_with_its_exit_code(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec, dying: str
) -> None:
    error = _fails(engine, tiny_dataset.test[:2], tiny_preprocess, opener=f"{dying}:SIGTERM")
    assert error.got == "exit code -15"


def test_a_process_that_is_killed_is_a_lack_of_memory(
    engine: tuple[Path, EngineSpec], tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec, dying: str
) -> None:
    with pytest.raises(ResourceError, match="was killed, as happens when memory runs out"):
        _collect(engine, tiny_dataset.test[:2], tiny_preprocess, opener=f"{dying}:SIGKILL")
