"""A tiny model answers by ONNX Runtime on a GPU as by plain arithmetic; the CPU's session, of the same shape, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.ort_cpu.session import open_session as open_on_cpu
from exporters.ort_cpu.target import ORT_CPU
from exporters.ort_cuda.session import open_session
from exporters.ort_cuda.target import ORT_CUDA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporters.target import Target
    from pipeline.session import EngineSpec, Session

_KERNEL = np.random.default_rng(0).standard_normal((8, 3, 1, 1)).astype(np.float32)
_WEIGHTS = np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32)


def _model(path: Path) -> Path:
    """A 1x1 convolution, ReLU, the mean over all pixels, a layer of three outputs."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["map"]),
            helper.make_node("Relu", ["map"], ["positive"]),
            helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights"], ["scores"], transB=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(_KERNEL, "kernel"), numpy_helper.from_array(_WEIGHTS, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("target", "opened"),
    [
        pytest.param(ORT_CPU, open_on_cpu, id="cpu"),
        pytest.param(
            ORT_CUDA,
            open_session,
            id="cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(ORT_CUDA.cannot_run() is not None, reason=str(ORT_CUDA.cannot_run())),
            ],
        ),
    ],
)
def test_it_answers_image_after_image(
    tmp_path: Path, target: Target, opened: Callable[[Path, EngineSpec], Session]
) -> None:
    spec = target.build(_model(tmp_path / "float.onnx"), tmp_path, precision="float")
    with opened(tmp_path, spec) as session:
        for seed in range(3):  # the second on is what was recorded, where inferences are
            image = np.random.default_rng(seed).standard_normal((1, 3, 16, 16)).astype(np.float32)
            (scores,) = session.run(image)
            maps = np.einsum("oc,bchw->bohw", _KERNEL[:, :, 0, 0], image).clip(min=0)
            wanted = maps.mean(axis=(2, 3)) @ _WEIGHTS.T
            # A GPU may multiply in TF32, which has ten bits.
            np.testing.assert_allclose(scores, wanted, atol=1e-2 * float(np.abs(wanted).max()))
        facts = session.facts()
    assert isinstance(facts["providers"], list)
    assert facts["providers"][0] == ("CUDAExecutionProvider" if target is ORT_CUDA else "CPUExecutionProvider")
