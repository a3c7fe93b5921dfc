"""A fleet runs every cell, tries those again whose workers are lost, and always has its report written."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import store
from pipeline.errors import ResourceError, UsageError
from pipeline.fleet import fleet_run
from pipeline.fleet.cell_run import CellEnd, Order
from pipeline.fleet.crew import Ended, Lost, Stage
from pipeline.fleet.fleet_run import FleetRun, exit_code
from pipeline.fleet.parcel import unpack
from pipeline.progress import SilentProgress
from pipeline.report.fleet_record import FleetCell, FleetReport

if TYPE_CHECKING:
    from collections.abc import Sequence

Orders = Callable[[str], list[Order]]
Made = Callable[..., CellEnd]

SIX = "models: [resnet18, resnet34, resnet50]\ntargets: [ort-cpu, openvino]\n"


@dataclass
class _Crew:
    """Ends every cell at once, as the test says; remembers what it was asked for."""

    answer: Callable[[int, Order, int], CellEnd | Lost]
    is_alone: bool = False
    begun: list[tuple[int, str | None]] = field(default_factory=list)
    _waiting: list[tuple[int, Order]] = field(default_factory=list)

    def start(self, cell: int, order: Order, *, avoid: str | None) -> None:
        if self.is_alone and avoid is not None:
            raise UsageError("no machine has what a cell takes", expected="a machine: none is left")
        self.begun.append((cell, avoid))
        self._waiting.append((cell, order))

    def news(self) -> Sequence[Ended | Lost | Stage]:
        cell, order = self._waiting.pop(0)
        tries = sum(number == cell for number, _ in self.begun)
        found = self.answer(cell, order, tries)
        last = found if isinstance(found, Lost) else Ended(cell=cell, end=found)
        return [Stage(cell=cell, name=""), Stage(cell=cell, name="prune"), last, Stage(cell=cell, name="build")]


class _Heard(SilentProgress):
    """Remembers notes and statuses."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.statuses: list[str] = []

    @contextmanager
    def track(self, description: str, total: int, *, even: bool = True) -> Iterator[_Heard]:
        assert (description, even) == ("cells", False)
        assert total > 0
        yield self

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        if not steps:
            self.statuses.append(status)

    def note(self, text: str) -> None:
        self.notes.append(text)


def _run(crew: _Crew, orders: list[Order], out: Path, **values: Any) -> tuple[FleetReport, list[FleetCell], list[str]]:  # noqa: ANN401 - fields
    announced: list[FleetCell] = []
    heard = _Heard()
    run = FleetRun(
        **{"retries": 2, **values},
        orders=orders,
        crew=crew,
        out=out,
        name="six",
        progress=heard,
        announce=announced.append,
    )
    return run.run(), announced, heard.notes


def _saved(out: Path) -> FleetReport:
    return FleetReport.model_validate_json((out / "fleet.json").read_bytes())


def test_all_cells_are_run_and_their_results_put_in_their_places(orders: Orders, made: Made, tmp_path: Path) -> None:
    asked = orders(SIX)
    report, announced, _ = _run(_Crew(lambda _number, order, _tries: made(order)), asked, tmp_path / "out")

    assert [cell.status for cell in report.cells] == ["done"] * 6
    assert sorted(cell.name for cell in announced) == sorted(order.cell.name for order in asked)
    assert report == _saved(tmp_path / "out")
    for cell in report.cells:
        assert cell.report == f"cells/{cell.model}/own/default/{cell.target}/here/report.html"
        assert (tmp_path / "out" / cell.report).read_bytes() == b"<p>a page"
        assert cell.figures is not None
        assert (cell.figures.p50_s, cell.figures.baseline_p50_s, cell.figures.speedup) == (0.001, 0.004, 4.0)
        assert (cell.figures.speedup_low, cell.figures.speedup_high) == (3.9, 4.1)
        assert cell.figures.test_images == "e" * 64
        assert (cell.ran, cell.wall_s, cell.tries) == (("baseline", "build"), 61.0, 1)


def test_beside_what_runs_it_says_how_long_it_takes_as_far_as_that_is_known(
    orders: Orders, made: Made, tmp_path: Path
) -> None:
    heard = _Heard()
    asked = orders("models: [resnet18, resnet34, resnet50]\n")
    crew = _Crew(lambda _number, order, _tries: made(order))
    run = FleetRun(
        orders=asked, crew=crew, out=tmp_path / "out", name="three", retries=2, progress=heard, announce=lambda _: None
    )
    run.run()

    assert heard.statuses == ["about 3 min left", "about 2 min left", ""]  # 61 s each, the next one not yet begun


def test_cells_that_share_a_training_with_one_before_come_last(orders: Orders, made: Made, tmp_path: Path) -> None:
    crew = _Crew(lambda _number, order, _tries: made(order))
    asked = orders(SIX)
    _run(crew, asked, tmp_path / "out")

    begun = [asked[number].cell.axes.target for number, _ in crew.begun]
    assert begun == ["ort-cpu"] * 3 + ["openvino"] * 3


def test_a_cell_that_fails_leaves_the_others_alone(orders: Orders, made: Made, tmp_path: Path) -> None:
    def answer(_number: int, order: Order, _tries: int) -> CellEnd:
        if order.cell.name == "resnet34 ort-cpu":
            return CellEnd(exit_code=8, error="accuracy: too low\n  fix: train longer", wall_s=3.0, ran=("baseline",))
        return made(order)

    report, _, _ = _run(_Crew(answer), orders(SIX), tmp_path / "out")

    (failed,) = [cell for cell in report.cells if cell.status == "failed"]
    assert (failed.name, failed.exit_code, failed.error, failed.figures) == (
        "resnet34 ort-cpu",
        8,
        "accuracy: too low\n  fix: train longer",
        None,
    )
    assert report.count("done") == 5
    assert exit_code(report) == 8


def test_neither_the_page_nor_a_path_names_the_home(
    orders: Orders, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "canary"
    monkeypatch.setenv("HOME", str(home))

    def answer(number: int, order: Order, _tries: int) -> CellEnd:
        if number:
            return made(order)
        return CellEnd(exit_code=2, error=f"{home}/photos/a.jpg: not an image\n  fix: remove it", wall_s=1.0)

    asked = orders(f"models: [{{model: '{home}/net.py:build', name: net}}]\ndata: ['{home}/photos', '{home}/more']\n")
    _run(_Crew(answer), asked, tmp_path / "out")

    assert [cell.error for cell in _saved(tmp_path / "out").cells] == [
        "~/photos/a.jpg: not an image\n  fix: remove it",
        None,
    ]
    written = list((tmp_path / "out").rglob("*"))
    assert [path for path in written if "canary" in str(path.relative_to(tmp_path))] == []
    assert [path for path in written if path.is_file() and b"canary" in path.read_bytes()] == []


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_cell_whose_results_do_not_fit_leaves_the_others_alone(
    orders: Orders, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpacked(files: dict[str, bytes], folder: Path) -> None:
        with monkeypatch.context() as while_full:
            if "resnet18" in folder.parts:
                while_full.setattr(Path, "write_bytes", _full)
            unpack(files, folder)

    monkeypatch.setattr(fleet_run, "unpack", unpacked)
    asked = orders("models: [resnet18, resnet34]\n")
    report, _, _ = _run(_Crew(lambda _number, order, _tries: made(order)), asked, tmp_path / "out")

    assert [(cell.status, cell.exit_code) for cell in report.cells] == [("failed", 7), ("done", 0)]
    assert "the disk is full: there is no room for the results\n  got: " in (report.cells[0].error or "")
    assert exit_code(report) == 7
    assert report == _saved(tmp_path / "out")


@pytest.mark.parametrize("what", ["a file in its place", "a report that is none"])
def test_a_cell_whose_results_cannot_be_placed_leaves_the_others_alone(
    orders: Orders, made: Made, tmp_path: Path, what: str
) -> None:
    asked = orders("models: [resnet18, resnet34]\n")
    if what == "a file in its place":
        place = tmp_path / "out" / asked[0].cell.folder
        place.parent.mkdir(parents=True)
        place.write_text("mine", encoding="utf-8")

    def answer(number: int, order: Order, _tries: int) -> CellEnd:
        end = made(order)
        return (
            end if number or what == "a file in its place" else replace(end, files={**end.files, "report.json": b"{}"})
        )

    report, _, _ = _run(_Crew(answer), asked, tmp_path / "out")

    assert [cell.status for cell in report.cells] == ["failed", "done"]
    assert report.cells[0].error
    assert report == _saved(tmp_path / "out")


@pytest.mark.parametrize("for_good", [False, True])
def test_a_page_that_finds_no_room_ends_no_cell_and_is_written_at_the_end(
    orders: Orders, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, for_good: bool
) -> None:
    asked = orders("models: [resnet18, resnet34]\n")
    written = store.write_and_fsync

    def answer(_number: int, order: Order, _tries: int) -> CellEnd:
        monkeypatch.setattr(store, "write_and_fsync", _full)
        return made(order)

    def announced(cell: FleetCell) -> None:
        if cell.model == "resnet34" and not for_good:
            monkeypatch.setattr(store, "write_and_fsync", written)

    heard = _Heard()
    run = FleetRun(
        orders=asked,
        crew=_Crew(answer),
        out=tmp_path / "out",
        name="two",
        retries=0,
        progress=heard,
        announce=announced,
    )
    if for_good:
        with pytest.raises(ResourceError, match=r"no room for the fleet's page\n  got: .* free\n  expected: about 0"):
            run.run()
        assert _saved(tmp_path / "out").count("waiting") == 2
        assert [cell.status for cell in run.report().cells] == ["done", "done"]
    else:
        assert run.run() == _saved(tmp_path / "out")
    assert heard.notes == [f"{tmp_path / 'out'}: the disk is full: there is no room for the fleet's page"] * 2


def test_a_lost_workers_cell_is_tried_again_elsewhere(orders: Orders, made: Made, tmp_path: Path) -> None:
    def answer(number: int, order: Order, tries: int) -> CellEnd | Lost:
        return made(order) if tries == 2 or number else Lost(cell=0, machine="first", why="the worker died")

    crew = _Crew(answer)
    report, _, notes = _run(crew, orders(SIX), tmp_path / "out")

    assert [avoid for number, avoid in crew.begun if number == 0] == [None, "first"]
    assert notes == ["resnet18 ort-cpu: its worker was lost (the worker died); tried again"]
    assert [cell.tries for cell in report.cells] == [2, 1, 1, 1, 1, 1]
    assert exit_code(report) == 0


def test_a_cell_for_which_no_machine_is_left_fails_and_leaves_the_others_alone(
    orders: Orders, made: Made, tmp_path: Path
) -> None:
    def answer(number: int, order: Order, _tries: int) -> CellEnd | Lost:
        return made(order) if number else Lost(cell=0, machine="first", why="the machine died")

    report, _, _ = _run(_Crew(answer, is_alone=True), orders(SIX), tmp_path / "out")

    assert [cell.exit_code for cell in report.cells] == [2, 0, 0, 0, 0, 0]
    assert "none is left" in (report.cells[0].error or "")


@pytest.mark.parametrize("retries", [0, 2])
def test_a_cell_whose_workers_are_all_lost_fails_as_when_memory_runs_out(
    orders: Orders, tmp_path: Path, retries: int
) -> None:
    crew = _Crew(lambda number, _order, _tries: Lost(cell=number, machine=None, why="it was killed"))
    report, _, _ = _run(crew, orders("models: [resnet18]\n"), tmp_path / "out", retries=retries)

    (cell,) = report.cells
    assert (cell.status, cell.exit_code, cell.tries) == ("failed", 7, retries + 1)
    assert cell.error is not None
    assert cell.error.startswith(f"its worker was lost {retries + 1} times\n  got: it was killed")


def test_a_fleet_that_is_interrupted_has_said_what_was_there(orders: Orders, made: Made, tmp_path: Path) -> None:
    def answer(_number: int, order: Order, _tries: int) -> CellEnd:
        if order.cell.name == "resnet50 ort-cpu":
            raise KeyboardInterrupt
        return made(order)

    with pytest.raises(KeyboardInterrupt):
        _run(_Crew(answer), orders(SIX), tmp_path / "out")

    saved = _saved(tmp_path / "out")
    assert [cell.name for cell in saved.cells if cell.status == "done"] == ["resnet18 ort-cpu", "resnet34 ort-cpu"]
    assert saved.count("waiting") == 4
    assert "4 not yet" in (tmp_path / "out" / "fleet.html").read_text(encoding="utf-8")


def test_the_same_fleet_again_replaces_what_was_there(orders: Orders, made: Made, tmp_path: Path) -> None:
    asked = orders("models: [resnet18]\n")
    _run(_Crew(lambda _number, order, _tries: made(order, 0.002)), asked, tmp_path / "out")
    report, _, _ = _run(_Crew(lambda _number, order, _tries: made(order, 0.001)), asked, tmp_path / "out")

    stages = json.loads((tmp_path / "out" / asked[0].cell.folder / "report.json").read_text(encoding="utf-8"))["stages"]
    assert stages[-1]["latency_s"]["p50"] == 0.001
    assert report.cells[0].figures is not None
    assert report.cells[0].figures.p50_s == 0.001


def _stops(_number: int, _order: Order, _tries: int) -> CellEnd:
    raise KeyboardInterrupt


def test_what_an_earlier_run_has_made_is_told_until_a_cell_ends_anew(
    orders: Orders, made: Made, tmp_path: Path
) -> None:
    asked = orders(SIX)
    first, _, _ = _run(_Crew(lambda _number, order, _tries: made(order)), asked, tmp_path / "out")
    for _ in range(2):  # interrupted, and once more
        with pytest.raises(KeyboardInterrupt):
            _run(_Crew(_stops), asked, tmp_path / "out")

    saved = _saved(tmp_path / "out")
    assert saved.count("waiting") == 6
    assert [(cell.report, cell.figures) for cell in saved.cells] == [
        (cell.report, cell.figures) for cell in first.cells
    ]
    page = (tmp_path / "out" / "fleet.html").read_text(encoding="utf-8")
    assert "0 of 6 cells done, 6 not yet (6 with an earlier run&#39;s results)" in page
    again, _, _ = _run(_Crew(lambda _number, order, _tries: made(order)), asked, tmp_path / "out")
    assert again == first


def test_what_an_earlier_run_has_made_of_another_recipe_is_not_told(orders: Orders, made: Made, tmp_path: Path) -> None:
    recipes = "models: [resnet18, resnet34]\nrecipes: [{name: own, settings: {seed: %d}}]\n"
    _run(_Crew(lambda _number, order, _tries: made(order)), orders(recipes % 1), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        _run(_Crew(_stops), orders(recipes % 2), tmp_path / "out")

    assert [(cell.report, cell.figures) for cell in _saved(tmp_path / "out").cells] == [(None, None)] * 2


def test_a_cell_that_fits_no_machine_leaves_the_earlier_page(orders: Orders, made: Made, tmp_path: Path) -> None:
    asked = orders(SIX)
    _run(_Crew(lambda _number, order, _tries: made(order)), asked, tmp_path / "out")
    before = (tmp_path / "out" / "fleet.html").read_bytes()

    class Unfit(_Crew):
        def start(self, cell: int, order: Order, *, avoid: str | None) -> None:
            raise UsageError("no machine has what a cell takes")

    with pytest.raises(UsageError, match="no machine"):
        _run(Unfit(_stops), asked, tmp_path / "out")
    assert (tmp_path / "out" / "fleet.html").read_bytes() == before


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ((0, 0), 0), ((0, 1), 1), ((1, 8), 8), ((8, 2), 2), ((2, 7), 7), ((7, 6), 6), ((6, 70), 70), ((3, 4), 4),
        ((4, 1), 1), ((3, 0), 3), ((5, 3), 5), ((9, 0), 9),
    ],
)  # fmt: skip
def test_the_worst_cell_decides_the_exit_code(codes: tuple[int, int], worst: int) -> None:
    axes = {"model": "m", "data": "d", "recipe": "r", "target": "t", "device": "here", "asked_sha256": "a" * 64}
    cells = tuple(FleetCell(name="m", status="done", exit_code=code, **axes) for code in codes)
    for given in (cells, cells[::-1]):
        assert exit_code(FleetReport(edgewright="0.1.0", fleet="f", cells=given)) == worst
