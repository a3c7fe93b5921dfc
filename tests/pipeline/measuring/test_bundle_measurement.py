"""A bundle alone: its speed, memory and accuracy here, with everything that decides them on record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.solo import Profile
from exporters.bundle import Bundle
from pipeline.artifact import sha256_of_json
from pipeline.environment import this_machine
from pipeline.errors import DataError
from pipeline.measuring.bundle_measurement import (
    BundleMeasurement,
    engine_of,
    loaded_bytes,
    measure_bundle,
    score_bundle,
)
from pipeline.measuring.bundle_measurement_texts import measurement_rows
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data import Dataset

Remake = Callable[..., Bundle]

SHORT = Profile(processes=1, iterations=64, min_iterations=64, max_s=2.0, warmup_s=0.0, warmup_limit=40)


@pytest.fixture(scope="module")
def measured(trained: Bundle, colours: Dataset) -> BundleMeasurement:
    core = max(os.sched_getaffinity(0))
    return measure_bundle(trained, colours, SHORT, SilentProgress(), threads=1, affinity=(core,))


@pytest.fixture(scope="module")
def record(measured: BundleMeasurement) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    return value


def test_accuracy_is_that_of_the_whole_test_split(measured: BundleMeasurement, colours: Dataset) -> None:
    assert (measured.accuracy.n, measured.accuracy.value) == (72, 1.0)
    assert measured.test_images == colours.split_identity("test")


def test_the_record_holds_all_samples_and_what_they_belong_to(
    record: dict[str, Any], trained: Bundle, colours: Dataset
) -> None:
    subject = record["subject"]

    assert [len(process["samples_ns"]) for process in record["measurement"]["processes"]] == [64]
    assert (subject["bundle_sha256"], subject["test_images"]) == (trained.sha256, colours.split_identity("test"))
    assert record["machine"]["class"] == this_machine().machine_class
    assert record["software"]["onnxruntime"] is not None
    assert record["accuracy"] == {"metric": "top1", "value": 1.0, "n": 72}


def test_the_id_is_a_hash_over_the_rest(record: dict[str, Any]) -> None:
    body = {key: value for key, value in record.items() if key != "id"}

    assert record["id"] == sha256_of_json(body)


def test_threads_and_cores_that_were_asked_for_are_in_the_record(record: dict[str, Any]) -> None:
    assert record["measurement"]["processes"][0]["facts"]["threads"] == 1
    assert record["measurement"]["affinity"] == [max(os.sched_getaffinity(0))]


def test_the_texts_tell_every_figure_and_why_one_is_withheld(measured: BundleMeasurement) -> None:
    rows = measurement_rows(measured)
    told = dict(rows)

    assert told["latency p99"] == "-"
    assert ("", "p99 withheld: 64 samples, 662 are needed") in rows
    assert told["samples"].startswith("64 in 1 processes, ")
    assert told["samples"].endswith(" outputs checked, none dropped")
    assert told["top1"] == "100.00 % on 72 images"
    assert told["in force: threads"] == "1"
    assert {"import of the runtime", "load", "first inference", "memory peak"} <= set(told)


def test_nothing_is_told_of_a_gpu_where_there_is_none(measured: BundleMeasurement) -> None:
    assert measured.solo.processes[0]["gpu"] is None
    assert not [label for label, _ in measurement_rows(measured) if "GPU" in label]


def test_what_was_recorded_of_a_gpu_is_told(measured: BundleMeasurement) -> None:
    state = {"sm_mhz": 1980, "memory_mhz": 2619, "celsius": 41, "used_bytes": 3_000_000_000, "held_back": []}
    hot = {**state, "sm_mhz": 1410, "celsius": 84, "memory_mhz": None, "held_back": ["sw_thermal_slowdown"]}
    spans = [{"copy_in": 20_000 + step, "compute": 300_000 + step, "copy_out": 9_000} for step in range(3)]
    processes = tuple(
        {**measured.solo.processes[0], "gpu": {"before": state, "after": after, "spans_ns": told}}
        for after, told in ((state, spans), (hot, None))
    )
    rows = dict(measurement_rows(replace(measured, solo=replace(measured.solo, processes=processes))))
    assert rows["the engine alone, by the GPU's clock"] == "0.300 ms"
    assert rows["copy back, by the GPU's clock"] == "0.00900 ms"
    assert rows["GPU clock"] == "1410 to 1980 MHz"
    assert rows["GPU memory clock"] == "2619 to 2619 MHz"
    assert rows["GPU temperature"] == "41 to 84 C"
    assert rows["GPU memory in use, of all processes"] == "3000 MB"
    assert rows["GPU clocks held back by"] == "sw_thermal_slowdown"


def test_what_is_loaded_is_the_model_and_not_the_texts_around_it(
    trained: Bundle, bigger: Bundle, remake: Remake
) -> None:
    assert loaded_bytes(trained) == (trained.root / "model.onnx").stat().st_size
    assert loaded_bytes(bigger) == (bigger.root / "model.onnx").stat().st_size
    assert loaded_bytes(remake({"README.md": b"a" * 9999, "more.bin": b"b" * 100})) == loaded_bytes(trained)


def test_a_bundle_with_its_classes_in_another_order_is_scored_by_their_names(
    trained: Bundle, colours: Dataset, remake: Remake, tmp_path: Path
) -> None:
    wrong = remake({"classes.txt": b"red\nblue\ngreen\n"})
    engine = engine_of(wrong, colours, tmp_path / "inputs.bin", threads=None)

    assert score_bundle(wrong, colours, SilentProgress(), engine=engine).value < 0.5


def test_a_bundle_that_lacks_a_class_of_the_images_is_a_mistake_in_the_data(
    colours: Dataset, remake: Remake, tmp_path: Path
) -> None:
    lacking = remake({"classes.txt": b"blue\ngreen\nyellow\n"})
    engine = engine_of(lacking, colours, tmp_path / "inputs.bin", threads=None)

    with pytest.raises(DataError, match="the model does not know class 'red'"):
        score_bundle(lacking, colours, SilentProgress(), engine=engine)


@pytest.mark.parametrize("threads", [None, 2])
def test_threads_are_the_bundles_own_unless_others_are_asked_for(
    trained: Bundle, colours: Dataset, tmp_path: Path, threads: int | None
) -> None:
    engine = engine_of(trained, colours, tmp_path / "inputs.bin", threads=threads)

    assert engine.spec.options["threads"] == (threads or trained.spec.options["threads"])
    assert (tmp_path / "inputs.bin").stat().st_size == 64 * 3 * 16 * 16 * 4
