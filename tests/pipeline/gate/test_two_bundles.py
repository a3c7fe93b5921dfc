"""The gate on a trained bundle and what can go wrong with its successor: real files, real runtime, few processes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.statistics.margins import Effort, Margins
from exporters.bundle import Bundle
from pipeline.errors import EdgewrightError, ParityError
from pipeline.gate.two_bundles import GateOptions, decided, gate
from pipeline.progress import SilentProgress
from pipeline.report.comparison import Comparison, Verdict

if TYPE_CHECKING:
    from pipeline.data import Dataset

Remake = Callable[..., Bundle]
Judged = Callable[..., Comparison]
Given = Callable[..., GateOptions]

CERTAIN = {"size", "accuracy", "agreement"}
"""What a busy machine changes nothing about."""


def _verdicts(found: Comparison) -> dict[str, Verdict]:
    return {row.name: row.verdict for row in found.metrics if row.name in CERTAIN}


@pytest.fixture(scope="module")
def judged(trained: Bundle, colours: Dataset, cheap: GateOptions) -> Judged:
    """Gates a candidate against the trained bundle, measuring all of it."""

    def run(candidate: Bundle, options: GateOptions = cheap) -> Comparison:
        return gate(trained, candidate, colours, options, SilentProgress())

    return run


@pytest.fixture(scope="module")
def counted(trained: Bundle, colours: Dataset, given: Given) -> Judged:
    """Gates a candidate by what is counted and answered; its times are given."""

    def run(candidate: Bundle, baseline: Bundle = trained, **effort: int) -> Comparison:
        options = given()
        options = replace(options, effort=replace(options.effort, **effort))
        return gate(baseline, candidate, colours, options, SilentProgress())

    return run


@pytest.fixture(scope="session")  # a process of the tests may come back to this module
def itself(trained: Bundle, colours: Dataset, cheap: GateOptions) -> Comparison:
    return gate(trained, trained, colours, cheap, SilentProgress())


@pytest.fixture(scope="module")
def beside_a_bigger_one(counted: Judged, bigger: Bundle) -> Comparison:
    return counted(bigger)


def test_the_network_of_these_tests_has_learnt_the_colours(itself: Comparison) -> None:
    accuracy = itself.metric("accuracy")

    assert accuracy is not None
    assert (accuracy.baseline or 0) >= 0.95


def test_a_bundle_against_itself_loses_nothing_that_can_be_counted(itself: Comparison) -> None:
    assert _verdicts(itself) == dict.fromkeys(CERTAIN, Verdict.OK)
    assert itself.exit_code in {0, 3, 4}
    assert itself.verdict is not Verdict.REGRESSED


def test_every_metric_is_told_and_only_some_decide(itself: Comparison) -> None:
    assert {row.name: row.gating for row in itself.metrics} == {
        "latency p50": True,
        "latency p90": True,
        "memory": True,
        "size": True,
        "accuracy": True,
        "agreement": True,
        "load time": False,
        "first inference": False,
    }
    assert all(row.baseline is not None and row.candidate is not None for row in itself.metrics)


def test_every_process_is_a_point(itself: Comparison) -> None:
    assert sorted(point.kind for point in itself.processes) == ["control", "pair"]
    assert [point.position for point in itself.processes] == [0, 1]
    assert {point.pairs for point in itself.processes} == {16}
    assert itself.looks == 1
    assert itself.control_change is not None


def test_where_times_are_given_the_rest_is_as_it_was_measured(
    itself: Comparison, counted: Judged, trained: Bundle
) -> None:
    """So what is shown of such a gate below holds for one that measures."""
    found = counted(trained)

    assert [(row.name, row.gating) for row in found.metrics] == [(row.name, row.gating) for row in itself.metrics]
    assert [found.metric(name) for name in sorted(CERTAIN)] == [itself.metric(name) for name in sorted(CERTAIN)]
    assert [(one.kind, one.pairs) for one in found.processes] == [(one.kind, one.pairs) for one in itself.processes]


def test_two_looks_number_their_processes_on(counted: Judged, trained: Bundle) -> None:
    """One process can show nothing at this level: it is looked at again."""
    found = counted(trained, looks=2)

    assert found.looks == 2
    assert [point.position for point in found.processes] == [0, 1, 2, 3]
    assert sorted(point.kind for point in found.processes) == ["control", "control", "pair", "pair"]


def test_a_comparison_can_be_written_and_read_back(itself: Comparison) -> None:
    assert Comparison.model_validate_json(itself.model_dump_json()) == itself


def test_wrong_normalisation_is_a_loss_of_accuracy(counted: Judged, trained: Bundle, remake: Remake) -> None:
    preprocess = json.loads((trained.root / "preprocess.json").read_text())
    wrong = {**preprocess, "mean": [0.0, 0.5, 1.0]}
    found = counted(remake({"preprocess.json": json.dumps(wrong).encode()}))

    assert found.exit_code == 8
    assert _verdicts(found)["accuracy"] is Verdict.REGRESSED
    assert found.sentence.startswith("REGRESSED net.py:tiny for ort-cpu: accuracy ")


def test_swapped_channels_are_a_loss_of_accuracy(counted: Judged, worse: Bundle) -> None:
    found = counted(worse)

    assert found.exit_code == 8
    assert found.sentence.startswith(
        "REGRESSED net.py:tiny for ort-cpu: accuracy 66.67 points lost (limit 1); parity: "
    )


def test_one_damaged_tensor_is_a_loss_of_accuracy(counted: Judged, trained: Bundle, remake: Remake) -> None:
    model = onnx.load(trained.root / "model.onnx")
    (head,) = (tensor for tensor in model.graph.initializer if sorted(tensor.dims) == [3, 32])
    values = numpy_helper.to_array(head)
    head.CopyFrom(numpy_helper.from_array(np.roll(values, 1, axis=list(head.dims).index(3)), head.name))
    found = counted(remake({"model.onnx": model.SerializeToString()}))

    assert found.exit_code == 8
    assert "accuracy" in found.sentence


def test_a_list_of_classes_in_another_order_is_a_loss_of_accuracy(counted: Judged, remake: Remake) -> None:
    found = counted(remake({"classes.txt": b"green\nblue\nred\n"}))

    assert found.exit_code == 8
    assert found.sentence.startswith("REGRESSED net.py:tiny for ort-cpu: accuracy 66.67 points lost")


def test_outputs_and_classes_reordered_together_are_the_same_model(
    counted: Judged, trained: Bundle, remake: Remake
) -> None:
    model = onnx.load(trained.root / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and sorted(tensor.dims) in ([3], [3, 32]):
            axis = list(tensor.dims).index(3)
            values = np.flip(numpy_helper.to_array(tensor), axis=axis)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    found = counted(remake({"model.onnx": model.SerializeToString(), "classes.txt": b"red\ngreen\nblue\n"}))

    changes = {row.name: row.change for row in found.metrics}

    assert (changes["accuracy"], changes["agreement"]) == (0, 0)


def test_a_bigger_file_is_a_regression_of_size_and_of_nothing_else(beside_a_bigger_one: Comparison) -> None:
    found = beside_a_bigger_one

    assert (found.verdict, found.exit_code) == (Verdict.REGRESSED, 1)
    assert _verdicts(found) == {"size": Verdict.REGRESSED, "accuracy": Verdict.OK, "agreement": Verdict.OK}
    assert found.sentence.startswith("REGRESSED net.py:tiny for ort-cpu: size +")


def test_a_smaller_file_is_an_improvement_of_size(counted: Judged, bigger: Bundle, trained: Bundle) -> None:
    found = counted(trained, baseline=bigger)

    assert _verdicts(found)["size"] is Verdict.IMPROVED


def test_a_candidate_slowed_by_half_is_a_regression_wherever_the_machine_can_tell(
    judged: Judged, trained: Bundle, pairs_alone: GateOptions
) -> None:
    options = replace(
        pairs_alone,
        margins=Margins(latency_p50=0.1, latency_p90=5.0),
        effort=Effort(processes=4, looks=1, alpha=0.2, memory_processes=1),
        protocol=replace(pairs_alone.protocol, min_pairs=64, max_pairs=64, slow_b=0.5),
    )
    found = judged(trained, options)
    row = found.metric("latency p50")

    assert row is not None
    assert 0.15 <= (row.change or 0) <= 2.0
    assert row.verdict is (Verdict.UNFIT if found.unfit else Verdict.REGRESSED)
    assert found.unfit or (found.verdict, found.exit_code) == (Verdict.REGRESSED, 1)


def test_what_is_not_the_same_on_both_sides_is_told(
    judged: Judged, remake: Remake, trained: Bundle, pairs_alone: GateOptions
) -> None:
    engine = {**trained.manifest["engine"], "options": {"threads": 1, "spinning": True, "arena": True}}
    found = judged(remake({"engine": engine, "precision": "int8"}), pairs_alone)
    told = {one.what: (one.baseline, one.candidate) for one in found.differences}

    assert told["precision"] == ("float", "int8")
    assert told["in force: spinning"] == ("False", "within a run")
    assert "model" not in told


def test_a_bundle_does_not_differ_from_itself(itself: Comparison) -> None:
    assert itself.differences == ()


def test_threads_and_cores_hold_for_both_sides(
    judged: Judged, remake: Remake, trained: Bundle, pairs_alone: GateOptions
) -> None:
    core = max(os.sched_getaffinity(0))
    engine = {**trained.manifest["engine"], "options": {"threads": 2, "spinning": False, "arena": True}}
    options = replace(pairs_alone, threads=1, protocol=replace(pairs_alone.protocol, affinity=(core,)))

    assert judged(remake({"engine": engine}), options).differences == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes.txt": b"blue\ngreen\nyellow\n"}, "parity: the two bundles do not know the same classes"),
        ({"classes.txt": b"blue\ngreen\n"}, "first difference 'red'"),
        ({"task": "segmentation"}, "the two bundles are for different tasks"),
    ],
)
def test_what_cannot_be_compared_is_an_error_before_anything_is_measured(
    judged: Judged, remake: Remake, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ParityError) as raised:
        judged(remake(changes))

    assert message in str(raised.value)
    assert raised.value.exit_code == 8


def test_a_model_that_does_not_run_is_one_error(judged: Judged, remake: Remake) -> None:
    with pytest.raises(EdgewrightError, match="the model could not be measured"):
        judged(remake({"model.onnx": b"no model"}))


def test_what_is_missing_decides_anew(itself: Comparison, trained: Bundle) -> None:
    found = decided(itself.model_copy(update={"missing": ("memory",)}), trained)

    assert (found.verdict, found.exit_code) == (Verdict.REGRESSED, 1)
    assert "memory no longer measured" in found.sentence


def test_no_figure_of_a_comparison_is_infinite(itself: Comparison, beside_a_bigger_one: Comparison) -> None:
    for found in (itself, beside_a_bigger_one):
        figures = [value for row in found.metrics for value in (row.change, row.low, row.high, row.p_worse)]
        figures += [found.control_change, found.control_low, found.control_high]

        assert all(value is None or math.isfinite(value) for value in figures)
