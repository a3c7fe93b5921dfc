"""The report as data: what it takes, what it refuses, and that it comes back the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipeline.report.record import AccuracyFigure, Latency, Memory, Report, StageRow, Verdict

_POSITIVE = st.floats(min_value=1e-9, max_value=1e6)
_BYTES = st.integers(1, 2**50)
_ROWS = st.builds(
    StageRow,
    name=st.text(max_size=12),
    status=st.sampled_from(["ran", "cached", "skipped"]),
    wall_s=st.none() | st.floats(0, 1e6),
    params=st.none() | _BYTES,
    macs=st.none() | _BYTES,
    size_bytes=st.none() | _BYTES,
    latency_s=st.builds(Latency, p50=st.none() | _POSITIVE, p99=st.none() | _POSITIVE, n=st.integers(0, 10**6)),
    memory_bytes=st.builds(Memory, import_=st.none() | _BYTES, peak=st.none() | _BYTES),
    accuracy=st.builds(AccuracyFigure, metric=st.text(max_size=8), value=st.none() | st.floats(0, 1)),
    notes=st.lists(st.text(max_size=20), min_size=1, max_size=3).map(tuple),
)

_FIGURES = (
    ("params",),
    ("macs",),
    ("size_bytes",),
    ("accuracy", "value"),
    *(("latency_s", name) for name in ("p50", "p90", "p95", "p99")),
    *(("memory_bytes", name) for name in ("import", "load", "run", "peak")),
)


def _measured() -> dict[str, Any]:
    """A row with every figure, and no note."""
    return {
        "name": "build",
        "status": "ran",
        "params": 1,
        "macs": 1,
        "size_bytes": 1,
        "latency_s": {"p50": 0.1, "p90": 0.1, "p95": 0.1, "p99": 0.1, "n": 700},
        "memory_bytes": {"import": 1, "load": 1, "run": 1, "peak": 1},
        "accuracy": {"metric": "top1", "value": 0.5, "n": 10},
    }


def test_a_row_with_every_figure_needs_no_note() -> None:
    assert StageRow.model_validate(_measured()).notes == ()


@pytest.mark.parametrize("place", _FIGURES, ids=".".join)
def test_a_figure_that_is_null_needs_a_reason(place: tuple[str, ...]) -> None:
    value = _measured()
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = None
    with pytest.raises(ValidationError, match="stage 'build' has a figure that is null and no note that says why"):
        StageRow.model_validate(value)
    assert StageRow.model_validate({**value, "notes": ["there was no time"]}).notes == ("there was no time",)


@pytest.mark.parametrize("section", ["latency_s", "memory_bytes"])
def test_a_section_that_is_absent_needs_a_reason_too(section: str) -> None:
    value = {key: item for key, item in _measured().items() if key != section}
    with pytest.raises(ValidationError, match="no note that says why"):
        StageRow.model_validate(value)


def test_a_report_comes_back_from_json_the_same(report: Report, gated: Report) -> None:
    for one in (report, gated):
        assert Report.model_validate_json(one.model_dump_json(by_alias=True)) == one


@given(_ROWS)
def test_a_row_comes_back_from_json_the_same(row: StageRow) -> None:
    assert StageRow.model_validate_json(row.model_dump_json(by_alias=True)) == row


def test_keys_that_are_words_of_python_are_written_as_people_know_them(report: Report) -> None:
    value = json.loads(report.model_dump_json(by_alias=True))
    assert value["schema"] == "edgewright.report/1"
    assert value["machine"]["class"] == "0123456789abcdef"
    assert value["stages"][0]["memory_bytes"]["import"] == 41_000_000
    assert "_" not in {key[-1] for key in _keys(value)}


def _keys(value: Any) -> set[str]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in _keys(item)}
    return {key for item in value for key in _keys(item)} if isinstance(value, list) else set()


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("machine",),
        ("verdict",),
        ("stages", 0),
        ("stages", 0, "latency_s"),
        ("stages", 0, "memory_bytes"),
        ("stages", 0, "accuracy"),
        ("teachers", 0),
        ("quantization",),
        ("bundle",),
        ("gate",),
        ("gate", "metrics", 0),
        ("gate", "processes", 0),
        ("gate", "differences", 0),
        ("history", 0),
    ],
    ids=lambda place: ".".join(map(str, place)) or "report",
)
def test_an_unknown_key_is_refused_wherever_it_stands(gated: Report, place: tuple[str | int, ...]) -> None:
    value: Any = gated.model_dump(mode="json", by_alias=True)
    holder = value
    for key in place:
        holder = holder[key]
    holder["throughput"] = 1
    with pytest.raises(ValidationError) as raised:
        Report.model_validate(value)
    assert [(error["loc"], error["type"]) for error in raised.value.errors()] == [
        ((*place, "throughput"), "extra_forbidden")
    ]


def test_another_schema_is_refused(report: Report) -> None:
    value = {**report.model_dump(mode="json", by_alias=True), "schema": "edgewright.report/2"}
    with pytest.raises(ValidationError, match=r"Input should be 'edgewright\.report/1'"):
        Report.model_validate(value)


def test_a_record_cannot_be_changed(report: Report) -> None:
    records: list[BaseModel] = [report, report.verdict, report.stages[0], report.stages[0].latency_s, report.machine]
    for record in records:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, next(iter(type(record).model_fields)), None)


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (Latency, {"p50": 0}),
        (Latency, {"p50": -1.0}),
        (Latency, {"n": -1}),
        (Memory, {"peak": 0}),
        (AccuracyFigure, {"metric": "top1", "value": 1.01}),
        (AccuracyFigure, {"metric": "top1", "value": -0.01}),
        (AccuracyFigure, {"metric": "top1", "value": 97.2}),
    ],
)
def test_a_figure_no_measurement_can_give_is_refused(record: type[BaseModel], value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        record.model_validate(value)


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    ("record", "value", "key"),
    [
        (Latency, {}, "p50"),
        (Verdict, {"status": "ok", "sentence": "", "precision": "int8"}, "speedup"),
        (Verdict, {"status": "ok", "sentence": "", "precision": "int8"}, "shrink"),
    ],
)
def test_what_json_cannot_say_is_no_figure(
    record: type[BaseModel], value: dict[str, Any], key: str, number: float
) -> None:
    # It would be written as null, and null needs a reason.
    with pytest.raises(ValidationError):
        record.model_validate({**value, key: number})


def test_a_stage_is_found_by_its_name(report: Report) -> None:
    assert report.stage("prune") is report.stages[2]
    assert report.stage("compile") is None
