"""What tests of printed and written texts share."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from benchmarks.machine.disturbance import MachineState
from benchmarks.pairs.paired_processes import PairProtocol
from benchmarks.statistics.margins import Effort
from benchmarks.workers.workplace import HERE
from exporters.bundle import Bundle, Contents, read_bundle, write_bundle
from exporters.device import verify
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import ArtifactKind, FileEntry
from pipeline.chain.execution import execute
from pipeline.data.dataset import read_images
from pipeline.environment import this_machine
from pipeline.evaluation import worker
from pipeline.gate.two_bundles import GateOptions
from pipeline.import_path import object_at
from pipeline.models.resolve import resolve_model
from pipeline.models.source import WeightsSource
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs
from pipeline.stages.baseline import Baseline
from pipeline.store import Store
from pipeline.subject import Parts, Subject
from pipeline.tasks.classification import Classification
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from benchmarks.engine import Engine
    from benchmarks.workers.workplace import Workplace
    from pipeline.data import Dataset, Sample
    from pipeline.progress import Progress
    from pipeline.session import EngineSpec, Outputs

Golden = Callable[[str, str], None]
Remake = Callable[..., Bundle]
Given = Callable[..., GateOptions]
OnnxNetwork = Callable[..., Any]

_GOLDEN = Path(__file__).parents[1] / "golden"


def _compare(name: str, text: str) -> None:
    file = _GOLDEN / name
    if os.environ.get("EDGEWRIGHT_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"{file} is not there: EDGEWRIGHT_GOLDEN=write makes it"
    assert text == file.read_text(encoding="utf-8"), f"{name}: was the change wanted? EDGEWRIGHT_GOLDEN=write renews it"


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Compares a text with the file of that name below ``tests/golden``.

    After a wanted change ``EDGEWRIGHT_GOLDEN=write make test`` writes the files anew; what changed is read in the diff.
    """
    return _compare


@pytest.fixture(scope="session")
def colours(tiny_dataset: Dataset) -> Dataset:
    """The three colours by the name that says what is seen in them."""
    return tiny_dataset


@pytest.fixture(scope="session")
def trained(tiny_file: Path, colours: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A float bundle of the tiny network, which tells the three colours apart; it may be looked at, not changed."""
    from pipeline.lowering.lower import lower  # here: torch takes seconds, and most tests need none
    from pipeline.models.files import load_network

    preprocess = PreprocessSpec(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    parts = Parts(
        model=resolve_model(f"{tiny_file}:tiny"),
        weights=WeightsSource(origin="scratch", reason="a test"),
        dataset=colours,
        preprocess=preprocess,
        task=Classification(),
    )
    store = Store(tmp_path_factory.mktemp("trained-store"))
    stage = Baseline(schedule=Schedule(epochs=12, batch_size=16, learning_rate=1e-2))
    inputs = Inputs(artifacts={}, subject=Subject(parts=parts))
    found = execute(stage, inputs, store, seed=0, progress=SilentProgress()).artifact
    network = load_network(found.root, parts.model)
    source = tmp_path_factory.mktemp("trained") / "float.onnx"
    lower(network, list(read_images(colours.calibration[:4], preprocess)), source)
    with store.workspace() as folder:
        spec = ORT_CPU.build(source, folder, precision="float")
        engine = store.commit(
            ArtifactKind.ENGINE, folder, {"engine": spec.to_json(), "precision": "float", "dialect": None}
        )
    contents = Contents(
        model="net.py:tiny",
        task="classification",
        preprocess=preprocess,
        classes=colours.classes,
        provenance={"data": {"name": colours.name, "test": colours.split_identity("test")}},
    )
    return write_bundle(engine, ORT_CPU, this_machine(), contents, source.with_name("bundle"))


@pytest.fixture(scope="session")
def remake(trained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Remake:
    """Makes another bundle of the trained one, sealed anew: ``remake({"classes.txt": bytes, ...})``.

    Keys that are no files change the manifest's own fields.
    """

    def make(changes: Mapping[str, Any], *, of: Bundle = trained) -> Bundle:
        root = tmp_path_factory.mktemp("remade") / "bundle"
        shutil.copytree(of.root, root)
        manifest = json.loads((root / verify.MANIFEST).read_text(encoding="utf-8"))
        for name, value in changes.items():
            if isinstance(value, bytes):
                (root / name).write_bytes(value)
            else:
                manifest[name] = value
        paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != verify.MANIFEST)
        manifest["files"] = [FileEntry.of(root, path).to_json() for path in paths]
        (root / verify.MANIFEST).write_text(verify.spelled(verify.sealed(manifest)) + "\n", encoding="utf-8")
        return read_bundle(root)

    return make


@pytest.fixture(scope="session")
def bigger(trained: Bundle, remake: Remake) -> Bundle:
    """The trained one with a remark of 40,000 letters in its file: every answer stays."""
    import onnx

    model = onnx.load(trained.root / "model.onnx")
    model.metadata_props.add(key="ballast", value="0" * 40_000)
    return remake({"model.onnx": model.SerializeToString()})


@pytest.fixture(scope="session")
def worse(trained: Bundle, remake: Remake) -> Bundle:
    """The trained one fed with red in the place of blue."""
    preprocess = json.loads((trained.root / "preprocess.json").read_text(encoding="utf-8"))
    return remake({"preprocess.json": json.dumps({**preprocess, "channels": "BGR"}).encode()})


@pytest.fixture(scope="session")
def cheap() -> GateOptions:
    """A gate of a few seconds: enough for what is counted, much too little for what is timed."""
    return GateOptions(
        effort=Effort(processes=1, looks=1, alpha=0.05, memory_processes=1),
        protocol=PairProtocol(target_s=0.05, min_pairs=16, max_pairs=16, max_s=2.0, warmup_s=0.0, warmup_limit=40),
    )


_QUIET = MachineState(pressure=0.0, others=0.0, steal=0.0, load=0.0, mhz=2000.0, cores=2)


class _PairsAlone:
    """This machine, where pairs are measured; memory is given, and answers are found out without a worker."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever is not given below
        return getattr(HERE, name)

    def timed(
        self, engine: Engine, request: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], MachineState]:
        del engine, request, environment
        memory = {"import": 40 << 20, "load": 48 << 20, "run": 50 << 20, "peak": 52 << 20}
        return {"load_ns": 5_000_000, "first_ns": 300_000, "memory_bytes": memory}, _QUIET

    def collect_outputs(
        self,
        folder: Path,
        spec: EngineSpec,
        opener: str,
        samples: Sequence[Sample],
        preprocess: PreprocessSpec,
        progress: Progress,
    ) -> list[Outputs]:
        del progress
        with object_at(opener)(folder, spec) as session:
            answers = map(session.run, read_images(samples, preprocess, spec.input.dtype))
            return [tuple(output[0].copy() for output in outputs) for outputs in answers]


class _GivenTimes(_PairsAlone):
    """This machine, quiet, where pairs are given too.

    Args:
        slower: By what share some bundles take longer than all others, by their digests.
    """

    def __init__(self, slower: Mapping[str, float]) -> None:
        self._slower = slower

    def _inferences_ns(self, engine: Engine, count: int) -> list[int]:
        """A fifth of a millisecond each, and a little more or less."""
        ns = 200_000 * (1 + self._slower.get(read_bundle(engine.folder).sha256, 0.0))
        return [round(ns * (1 + 0.001 * (number % 7 - 3))) for number in range(count)]

    def side_by_side(
        self, first: Engine, second: Engine, request: Mapping[str, Any], *, apart: bool
    ) -> tuple[dict[str, Any], MachineState]:
        assert not apart, "engines of one runtime share a process"
        samples = [self._inferences_ns(engine, request["min_pairs"]) for engine in (first, second)]
        facts = {"runtime": "given", "threads": 1}
        return {
            "a_ns": samples[0],
            "b_ns": samples[1],
            "warmup": {name: {"converged": True} for name in ("a", "b")},
            "mismatched": {"a": 0, "b": 0},
            "facts": {"a": facts, "b": facts},
        }, _QUIET


@pytest.fixture(scope="session")
def pairs_alone(cheap: GateOptions) -> GateOptions:
    """A gate that starts no process but for pairs."""
    return replace(cheap, place=cast("Workplace", _PairsAlone()))


@pytest.fixture(scope="session")
def given(cheap: GateOptions) -> Given:
    """Makes a gate of a moment for what follows from figures, and for what is counted: ``given(slower={sha256: 1})``.

    What it says of a real one stands in ``gate/test_two_bundles.py``.
    """

    def make(slower: Mapping[str, float] = MappingProxyType({})) -> GateOptions:
        return replace(cheap, place=cast("Workplace", _GivenTimes(slower)))

    return make


@pytest.fixture
def quick_publishing(given_speedup: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run ends with is given: how much faster it became, and no page.

    Fixtures of a module are made before, and publish in full.
    """
    monkeypatch.setattr("pipeline.report.render.render_html", lambda _: "")


@pytest.fixture
def scored_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy is computed as ever, but in this process: half of what a fresh one takes is its start.

    What goes wrong comes as it was raised, not as the error that tells of a process's last words.
    """
    monkeypatch.setattr(
        "pipeline.evaluation.outputs._run", lambda request, result, **_: worker.main(str(request), str(result))
    )


@pytest.fixture(scope="session")
def onnx_network() -> OnnxNetwork:
    """Makes a small classifier of three classes as an ONNX graph, with the habits of one exporter or another."""
    return _onnx_network


def _onnx_network(
    *,
    opset: int = 13,
    shape: tuple[int | str, ...] = (1, 3, 16, 16),
    dtype: str = "float32",
    layout: str = "NCHW",
    initializers_as_inputs: bool = False,
    constants_as_nodes: bool = False,
    seed: int = 0,
) -> Any:  # noqa: ANN401 - ModelProto
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(seed)
    floats = "float16" if dtype == "float16" else "float32"
    values = {
        "kernel": generator.standard_normal((8, 3, 3, 3)) / 4,
        "scale": generator.uniform(0.5, 1.5, 8),
        "shift": generator.standard_normal(8) / 4,
        "mean": generator.standard_normal(8) / 4,
        "variance": generator.uniform(0.5, 1.5, 8),
        "weights": generator.standard_normal((3, 8)),
        "bias": generator.standard_normal(3),
    }
    constants = [numpy_helper.from_array(value.astype(floats), name) for name, value in values.items()]
    nodes, image = [], "image"
    if dtype == "uint8":
        nodes += [helper.make_node("Cast", [image], ["cast"], to=TensorProto.FLOAT)]
        image = "cast"
    if layout == "NHWC":
        nodes += [helper.make_node("Transpose", [image], ["first"], perm=[0, 3, 1, 2])]
        image = "first"
    nodes += [
        helper.make_node("Conv", [image, "kernel"], ["map"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("BatchNormalization", ["map", "scale", "shift", "mean", "variance"], ["normal"]),
        helper.make_node("Relu", ["normal"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["scores"], transB=1),
    ]
    if constants_as_nodes:
        nodes = [*(helper.make_node("Constant", [], [one.name], value=one) for one in constants), *nodes]
    elem = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
    inputs = [helper.make_tensor_value_info("image", elem[dtype], shape)]
    if initializers_as_inputs:
        inputs += [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in constants]
    graph = helper.make_graph(
        nodes,
        "classifier",
        inputs,
        [helper.make_tensor_value_info("scores", elem[floats], (shape[0], 3))],
        [] if constants_as_nodes else constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if opset < 9 else 8)
    onnx.checker.check_model(model)
    return model
