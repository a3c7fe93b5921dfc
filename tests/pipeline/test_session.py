"""What a fresh process is told about an engine, and which inputs an engine takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.session import EngineSpec, TensorSpec, check_batch

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TENSORS = st.builds(
    TensorSpec,
    name=TEXT,
    shape=st.lists(st.integers(1, 2**31), max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "float16", "uint8", "int64"]),
)
OPTIONS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT), max_size=3)
ENGINES = st.builds(
    EngineSpec,
    target=TEXT,
    model=TEXT,
    input=TENSORS,
    outputs=st.lists(TENSORS, max_size=3).map(tuple),
    options=OPTIONS,
)
IMAGE = TensorSpec(name="x", shape=(1, 3, 4, 5), dtype="float32")


@given(TENSORS)
def test_a_tensor_comes_back_from_its_json(spec: TensorSpec) -> None:
    assert TensorSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(ENGINES)
def test_an_engine_comes_back_from_its_json(spec: EngineSpec) -> None:
    assert EngineSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_json_of_an_engine_is_what_bundles_hold() -> None:
    out = TensorSpec(name="y", shape=(1, 2), dtype="float32")
    spec = EngineSpec(target="t", model="m.onnx", input=IMAGE, outputs=(out,), options={"threads": None})
    assert spec.to_json() == {
        "target": "t",
        "model": "m.onnx",
        "input": {"name": "x", "shape": [1, 3, 4, 5], "dtype": "float32"},
        "outputs": [{"name": "y", "shape": [1, 2], "dtype": "float32"}],
        "options": {"threads": None},
    }


@pytest.mark.parametrize(
    "batch",
    [np.zeros((1, 3, 4, 5), np.float32), np.zeros((1, 4, 5, 3), np.float32).transpose(0, 3, 1, 2)],
    ids=["contiguous", "a view"],
)
def test_an_input_as_the_engine_was_built_for_is_taken(batch: np.ndarray) -> None:
    assert check_batch(batch, IMAGE) is None


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        (np.zeros((2, 3, 4, 5), np.float32), "float32[2, 3, 4, 5]"),
        (np.zeros((3, 4, 5), np.float32), "float32[3, 4, 5]"),
        (np.zeros((1, 3, 5, 4), np.float32), "float32[1, 3, 5, 4]"),
        (np.zeros((1, 3, 4, 5), np.float64), "float64[1, 3, 4, 5]"),
        (np.zeros((1, 3, 4, 5), np.uint8), "uint8[1, 3, 4, 5]"),
        (np.zeros((1, 3, 4, 5), ">f4"), ">f4[1, 3, 4, 5]"),
    ],
)
def test_any_other_input_is_refused_and_told_what_was_wanted(batch: np.ndarray, got: str) -> None:
    with pytest.raises(ValueError, match="input 'x' is") as raised:
        check_batch(batch, IMAGE)
    assert str(raised.value) == f"input 'x' is float32[1, 3, 4, 5], got {got}"
