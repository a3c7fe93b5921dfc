"""A report with everything in it, and the same one full of what somebody else may have typed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.report.choice_record import MeasuredChoice, Tried
from pipeline.report.comparison import Comparison, Difference, MetricRow, ProcessPoint
from pipeline.report.comparison import Verdict as Judged
from pipeline.report.example_record import ExampleEntry, MarkEntry
from pipeline.report.record import (
    AccuracyFigure,
    BundleEntry,
    DamageEntry,
    FloatNode,
    HistoryPoint,
    Latency,
    MachineEntry,
    Memory,
    QuantizationEntry,
    Report,
    StageRow,
    TeacherEntry,
    Verdict,
)

Filled = Callable[[str], Report]

_FIXED = frozenset({"schema", "status", "verdict", "unit", "against", "kind", "time", "picture"})
"""Keys whose values are words of ours, or bytes."""


def _row(name: str, p50_s: float, size_bytes: int, accuracy: float, *notes: str) -> StageRow:
    return StageRow(
        name=name,
        status="cached" if name == "baseline" else "ran",
        wall_s=754.0 if name == "baseline" else 3.25,
        params=11_700_000,
        macs=1_810_000_000,
        size_bytes=size_bytes,
        latency_s=Latency(p50=p50_s, p90=1.1 * p50_s, p95=1.25 * p50_s, n=240),
        memory_bytes=Memory(import_=41_000_000, load=90_000_000, run=101_000_000, peak=120_000_000),
        accuracy=AccuracyFigure(metric="top1", value=accuracy, n=360),
        artifact_sha256="a" * 64,
        notes=("p99 withheld: 240 samples, 662 are needed", *notes),
    )


@pytest.fixture(scope="session")
def report() -> Report:
    """A run of every stage but distill."""
    skipped = StageRow(
        name="distill", status="skipped", accuracy=AccuracyFigure(metric="top1"), notes=("skipped on request",)
    )
    return Report(
        edgewright="0.1.0",
        model="resnet18",
        task="classification",
        target="ort-cpu",
        data="digits",
        machine=MachineEntry(
            cpu="Some CPU",
            architecture="x86_64",
            cores=8,
            ram_gib=32,
            isa=("avx2", "avx512_vnni"),
            system="Linux",
            class_="0123456789abcdef",
            versions={"torch": "2.10.0", "onnxruntime": "1.24.1", "timm": None},
        ),
        verdict=Verdict(
            status="ok",
            sentence="OK int8: 9.33x faster at p50, 8.0x smaller, 0.28 points lost (97.22 % top1)",
            precision="int8",
            speedup=9.33,
            shrink=8.0,
            accuracy_change=-0.0028,
            agreement=0.9944,
        ),
        stages=(
            _row("baseline", 0.0112, 44_800_000, 0.975, "resnet18: no weights were given"),
            skipped,
            _row("prune", 0.0048, 22_400_000, 0.9778),
            _row("calibrate", 0.0048, 22_400_000, 0.9778, "runs the same bytes as after prune: measured once"),
            _row("export", 0.0012, 5_600_000, 0.9722),
            _row("build", 0.0012, 5_600_000, 0.9722, "int8 engine"),
        ),
        teachers=(
            TeacherEntry(
                model="resnet34", params=21_800_000, size_bytes=87_300_000, p50_s=0.021, accuracy=0.98, wall_s=88.0
            ),
        ),
        quantization=QuantizationEntry(
            dialect="ort-x86",
            method="mse",
            agreement=0.9944,
            float_accuracy=0.9778,
            int8_accuracy=0.9722,
            int8_nodes=20,
            total_nodes=21,
            float_nodes=(FloatNode(node="/fc/Gemm", why="it gives the network's output"),),
            damages=(
                DamageEntry(node="/conv1/Conv", layer="conv1", noise=0.0049, kept_float=False),
                DamageEntry(node="/fc/Gemm", layer="fc", noise=0.0009, kept_float=True),
            ),
        ),
        choices=(
            MeasuredChoice(
                among="INT8 forms and floats",
                asked={"build.budget_s": "600", "goal.max_accuracy_drop": "0.01"},
                spent_s=41.0,
                tried=(
                    Tried(
                        label="mse ranges, ort-x86",
                        figures={
                            "noise": 0.0112,
                            "agreement": 0.9844,
                            "time_ratio": 0.51,
                            "time_ratio_low": 0.49,
                            "time_ratio_high": 0.52,
                            "accuracy_drop": 0.0056,
                            "size_bytes": 5_600_000,
                        },
                        outcome="shipped",
                    ),
                    Tried(
                        label="entropy ranges, ort-x86",
                        figures={"noise": 0.31},
                        outcome="given up after 16 images: more error",
                    ),
                ),
                chosen="mse ranges, ort-x86",
                reason="INT8 loses 0.56 points and takes 0.51x the time of float, 0.49x to 0.52x side by side",
            ),
        ),
        examples=(
            ExampleEntry(
                image="val/0003.png",
                size=(640, 480),
                picture="/9j/2Q==",  # where a JPEG file begins and ends
                alike=False,
                truth=(MarkEntry(label="cat", box=(10, 20, 200, 400)),),
                baseline=(MarkEntry(label="cat", box=(12, 20, 203, 396), score=0.97, right=True),),
                shipped=(MarkEntry(label="dog", box=(420, -5, 640, 300), score=0.55, right=False),),
            ),
        ),
        bundle=BundleEntry(path="bundle", sha256="b" * 64, size_bytes=5_650_000),
        conditions={"threads": 8, "spinning": False, "runtime": "onnxruntime 1.24.1"},
        warnings=("the hypervisor took 7 % of the time",),
    )


def _comparison(against: str) -> Comparison:
    return Comparison.model_validate(
        {
            "baseline": "c" * 64,
            "candidate": "b" * 64,
            "against": against,
            "verdict": Judged.REGRESSED,
            "sentence": "REGRESSED latency p50 +5.20 % [+4.10 %, +6.30 %], limit +3 %",
            "exit_code": 1,
            "metrics": [
                MetricRow(
                    name="latency p50",
                    unit="s",
                    baseline=0.00114,
                    candidate=0.0012,
                    change=0.052,
                    low=0.041,
                    high=0.063,
                    limit=0.03,
                    level=0.975,
                    method="paired",
                    verdict=Judged.REGRESSED,
                    waived="a new layer",
                    note="measured twice",
                ),
                MetricRow(
                    name="accuracy",
                    unit="1",
                    baseline=0.9750,
                    candidate=0.9722,
                    change=0.0028,
                    limit=0.01,
                    method="counted",
                    verdict=Judged.OK,
                ),
            ],
            "processes": [
                ProcessPoint(
                    kind=kind,
                    position=position,
                    pairs=40,
                    p50_change=change,
                    p90_change=change,
                    baseline_p50_s=0.00114,
                    other_p50_s=0.0012,
                    pressure=0.1,
                    others=0.04,
                    steal=0.0,
                )
                for position, (kind, change) in enumerate((("pair", 0.05), ("control", 0.002), ("pair", 0.054)))
            ],
            "looks": 2,
            "unfit": ["the clock changed"],
            "differences": [Difference(what="onnxruntime", baseline="1.23.0", candidate="1.24.1")],
            "missing": ["memory peak"],
            "notes": ["few processes"],
        }
    )


@pytest.fixture(scope="session")
def gated(report: Report) -> Report:
    """The same run, judged against the accepted baseline and the best one, with what was accepted before."""
    history = tuple(
        HistoryPoint(
            time=datetime(2026, 1, day, tzinfo=UTC),
            bundle="c" * 64,
            reason="first" if day == 1 else "quicker",
            machine_class="0123456789abcdef",
            latency_p50_s=0.0013 / day,
            accuracy=0.97,
            size_bytes=5_600_000,
            new_level=day == 2,
        )
        for day in (1, 2)
    )
    return report.model_copy(
        update={"gate": _comparison("accepted"), "best": _comparison("best accepted"), "history": history}
    )


def _with_text(value: Any, text: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {
            key: item if key in _FIXED and isinstance(item, str) else _with_text(item, text)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_text(item, text) for item in value]
    return text if isinstance(value, str) else value


@pytest.fixture(scope="session")
def filled(gated: Report) -> Filled:
    """The judged report with one text in every place where a text can stand, keys that are free among them."""

    def fill(text: str) -> Report:
        value = _with_text(gated.model_dump(mode="json", by_alias=True), text)
        value["best"] = None  # says the same as the other one, and each has three pictures
        value["gate"]["processes"] = []  # two of these pictures, which hold no text but ours
        value["conditions"][text] = value["machine"]["versions"][text] = text
        return Report.model_validate(value)

    return fill
