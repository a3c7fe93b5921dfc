"""A tiny engine, and openers that watch or spoil it from inside the worker."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.engine import Engine, write_inputs
from exporters.ort_cpu.target import ORT_CPU

if TYPE_CHECKING:
    from numpy.typing import NDArray

Opened = Callable[[str], Engine]

INPUTS, CHANNELS = 8, 48

OPENERS = """
    import json, os, signal, sys, time
    from pathlib import Path

    from exporters.ort_cpu.session import OrtCpuSession

    TOLD = []


    class Watched(OrtCpuSession):
        \"\"\"Writes down what is done with it, in the order in which it is done.\"\"\"

        def __enter__(self):
            TOLD.append({"did": "load", "who": self._path.parent.name, "when": time.monotonic_ns()})
            return super().__enter__()

        def run(self, batch):
            TOLD.append({"did": "run", "who": self._path.parent.name, "what": float(batch.flat[0])})
            return super().run(batch)

        def __exit__(self, *exc_info):
            super().__exit__()
            pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")
            environment = {name: os.environ.get(name) for name in (*pools, "TOLD_BY_THE_TEST")}
            cores = sorted(os.sched_getaffinity(0))
            Path(os.environ["WATCHED"]).write_text(
                json.dumps({"done": TOLD, "cores": cores, "environment": environment, "pid": os.getpid()})
            )


    class Drifting(OrtCpuSession):
        \"\"\"Gives something else after every inference.\"\"\"

        count = 0

        def run(self, batch):
            Drifting.count += 1
            return tuple(output + Drifting.count for output in super().run(batch))


    class Remembering(OrtCpuSession):
        \"\"\"Knows the answer when it was asked the same just before.\"\"\"

        last = None

        def run(self, batch):
            if self.last is None or self.last[0] != batch.tobytes():
                for _ in range(20):
                    self.last = batch.tobytes(), super().run(batch)
            return self.last[1]


    class Chatty(OrtCpuSession):
        def run(self, batch):
            print("hello")
            os.write(1, b"hello from below\\n")
            return super().run(batch)


    class Failing(OrtCpuSession):
        def __enter__(self):
            raise RuntimeError("first line\\nthis runtime has no such operator")


    class Killed(OrtCpuSession):
        def __enter__(self):
            os.kill(os.getpid(), signal.SIGKILL)


    class Silent(OrtCpuSession):
        def __enter__(self):
            sys.stderr.flush()
            os._exit(3)


    watched, drifting, remembering, chatty = Watched, Drifting, Remembering, Chatty
    failing, killed, silent = Failing, Killed, Silent
"""


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three convolutions on one thread, a fraction of a millisecond; eight inputs that differ in their first number."""
    generator = np.random.default_rng(0)

    def weight(*shape: int) -> NDArray[np.float32]:
        return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    weights = [weight(CHANNELS, 3, 3, 3), weight(CHANNELS, CHANNELS, 3, 3), weight(3, CHANNELS, 3, 3)]
    nodes = []
    for number in range(3):
        taken = "input" if number == 0 else f"r{number - 1}"
        nodes.append(helper.make_node("Conv", [taken, f"w{number}"], [f"c{number}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
    nodes.append(helper.make_node("ReduceMean", ["r2"], ["logits"], axes=[2, 3], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(value, f"w{number}") for number, value in enumerate(weights)],
    )
    folder, source = tmp_path_factory.mktemp("engine"), tmp_path_factory.mktemp("source") / "float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), source)
    spec = ORT_CPU.build(source, folder, precision="float")
    spec = replace(spec, options={**spec.options, "threads": 1})
    images = generator.standard_normal((INPUTS, 1, 3, 16, 16)).astype(np.float32)
    images[:, 0, 0, 0, 0] = np.arange(INPUTS)
    write_inputs(folder / "inputs.bin", images, spec)
    return Engine(
        folder=folder, spec=spec, opener="exporters.ort_cpu.session:open_session", inputs=folder / "inputs.bin"
    )


@pytest.fixture
def opened(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """The engine behind one of the openers above; workers find their module by PYTHONPATH."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "opened_by_a_test.py").write_text(textwrap.dedent(OPENERS), encoding="utf-8")
    already = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(modules), *([already] if already else [])]))
    monkeypatch.setenv("WATCHED", str(tmp_path / "watched.json"))
    return lambda name: replace(engine, opener=f"opened_by_a_test:{name}")
