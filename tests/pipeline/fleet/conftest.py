"""A fleet's file as a test writes it, its cells, and what a cell leaves without anything being run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.fleet.cell_run import CellEnd, Order
from pipeline.fleet.cells import Cell, cells_of, read_fleet
from pipeline.report.record import (
    AccuracyFigure,
    BundleEntry,
    Latency,
    MachineEntry,
    Memory,
    Report,
    StageRow,
    Verdict,
)

Written = Callable[[str], Path]
Cells = Callable[[str], tuple[Cell, ...]]
Orders = Callable[[str], list[Order]]
Made = Callable[..., CellEnd]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Writes fleet.yaml into the working folder and gives its relative path."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        Path("fleet.yaml").write_text(text, encoding="utf-8")
        return Path("fleet.yaml")

    return write


@pytest.fixture
def cells(written: Written) -> Cells:
    """The cells of a file's text."""

    def of(text: str) -> tuple[Cell, ...]:
        path = written(text)
        return cells_of(read_fleet(path), path)

    return of


@pytest.fixture
def orders(cells: Cells) -> Orders:
    """The same as orders."""

    def of(text: str) -> list[Order]:
        common = {"edgewright": "0.1.0", "working_folder": Path.cwd(), "store": None, "baselines": Path("baselines")}
        return [Order(cell=cell, **common) for cell in cells(text)]

    return of


def _row(name: str, p50_s: float, size_bytes: int, accuracy: float) -> StageRow:
    return StageRow(
        name=name,
        status="ran",
        wall_s=1.0,
        params=1000,
        macs=1000,
        size_bytes=size_bytes,
        latency_s=Latency(p50=p50_s, p90=1.1 * p50_s, n=240),
        memory_bytes=Memory(import_=41_000_000, load=42_000_000, run=43_000_000, peak=50_000_000),
        accuracy=AccuracyFigure(metric="top1", value=accuracy, n=360),
        notes=("p95 and p99 withheld",),
    )


@pytest.fixture
def made() -> Made:
    """The end of a cell that made a bundle of so many seconds and so good an accuracy."""

    def end(order: Order, p50_s: float = 0.001, accuracy: float = 0.97, *, exit_code: int = 0) -> CellEnd:
        axes = order.cell.axes
        report = Report(
            edgewright="0.1.0",
            model=axes.model,
            task="classification",
            target=axes.target,
            data=axes.data,
            machine=MachineEntry(
                cpu="Some CPU", architecture="x86_64", cores=8, ram_gib=32, isa=(), system="Linux",
                class_="0123456789abcdef", versions={},
            ),
            verdict=Verdict(
                status="ok", sentence="OK int8", precision="int8", speedup=4.0, speedup_low=3.9, speedup_high=4.1
            ),
            stages=(_row("baseline", 4 * p50_s, 44_000_000, 0.975), _row("build", p50_s, 11_000_000, accuracy)),
            bundle=BundleEntry(path="bundle", sha256="b" * 64, size_bytes=12_000_000),
            warnings=("other programs took 30 % of the cores' time: the machine was busy",),
        )  # fmt: skip
        files = {
            "report.json": report.model_dump_json(by_alias=True).encode(),
            "report.html": b"<p>a page",
            "bundle/manifest.json": b'{"provenance": {"data": {"test": "%s"}}}' % (b"e" * 64),
            "bundle/model.onnx": b"a model",
        }
        return CellEnd(exit_code=exit_code, wall_s=61.0, ran=("baseline", "build"), files=files)

    return end
