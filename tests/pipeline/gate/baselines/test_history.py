"""The sealed history of a case: only ever added to, and never silently shorter or other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import IntegrityError
from pipeline.gate.baselines.history import Figures, History, HistoryLine, append_line, read_history

_START = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, change: float = 0.0) -> HistoryLine:
    figures = Figures(
        machine_class="m", latency_p50_s=0.01, size_bytes=1000 + number, accuracy=0.9, test_images="t" * 64
    )
    return HistoryLine(
        time=_START + timedelta(days=number),
        bundle=f"{number:064x}",
        reason=f"reason {number}",
        figures=figures,
        changes={"latency p50": change} if number else {},
    )


def _filled(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        append_line(folder, line(number))
    return folder


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    history = read_history(_filled(tmp_path / "case", 3))

    assert history == History(tuple(line(number) for number in range(3)))
    assert history is not None
    assert history.current == line(2)


def test_nothing_accepted_is_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) is None


@pytest.mark.parametrize("name", ["history.jsonl", "current.json"])
def test_what_is_nested_too_deeply_is_damage(tmp_path: Path, name: str) -> None:
    folder = _filled(tmp_path / "case", 1)
    (folder / name).write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(IntegrityError, match="nested too deeply"):
        read_history(folder)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_an_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = _filled(tmp_path_factory.mktemp("h") / "case", 3)
    path = folder / data.draw(st.sampled_from(["history.jsonl", "current.json"]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 2))  # the last byte ends the last line
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))

    with pytest.raises(IntegrityError, match="the history of a baseline is damaged"):
        read_history(folder)


@pytest.mark.parametrize("dropped", [[0], [1], [2], [1, 2], [0, 1, 2]])
def test_lines_that_went_missing_are_an_error(tmp_path: Path, dropped: list[int]) -> None:
    path = _filled(tmp_path / "case", 3) / "history.jsonl"
    kept = [text for number, text in enumerate(path.read_text().splitlines()) if number not in dropped]
    path.write_text("".join(f"{text}\n" for text in kept))

    with pytest.raises(IntegrityError, match="damaged"):
        read_history(path.parent)


def test_swapped_lines_are_an_error(tmp_path: Path) -> None:
    path = _filled(tmp_path / "case", 3) / "history.jsonl"
    first, second, third = path.read_text().splitlines()
    path.write_text(f"{second}\n{first}\n{third}\n")

    with pytest.raises(IntegrityError, match="line 1 is not as it was written"):
        read_history(path.parent)


@pytest.mark.parametrize("name", ["history.jsonl", "current.json"])
def test_one_of_the_two_files_alone_is_an_error(tmp_path: Path, name: str) -> None:
    folder = _filled(tmp_path / "case", 2)
    (folder / name).unlink()

    with pytest.raises(IntegrityError, match="damaged"):
        read_history(folder)


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\r", "\n", "\x0b", "\x1e"])
def test_a_reason_may_hold_what_unicode_takes_for_the_end_of_a_line(tmp_path: Path, end: str) -> None:
    told = line(0).model_copy(update={"reason": f"faster{end}smaller"})
    append_line(tmp_path, told)
    append_line(tmp_path, line(1))

    assert read_history(tmp_path) == History((told, line(1)))


def test_a_power_cut_before_the_first_head_loses_nothing(tmp_path: Path) -> None:
    folder = _filled(tmp_path / "case", 1)
    (folder / "current.json").unlink()

    assert read_history(folder) == History((line(0),))
    append_line(folder, line(1))
    assert read_history(folder) == History((line(0), line(1)))


def test_a_last_line_whose_end_an_editor_took_is_added_to(tmp_path: Path) -> None:
    folder = _filled(tmp_path / "case", 2)
    path = folder / "history.jsonl"
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    append_line(folder, line(2))

    assert read_history(folder) == History(tuple(line(number) for number in range(3)))


def test_a_torn_last_line_is_an_error(tmp_path: Path) -> None:
    path = _filled(tmp_path / "case", 2) / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(IntegrityError, match="damaged"):
        read_history(path.parent)


def test_a_power_cut_between_line_and_head_loses_nothing(tmp_path: Path) -> None:
    folder = _filled(tmp_path / "case", 2)
    head = (folder / "current.json").read_bytes()
    append_line(folder, line(2))
    (folder / "current.json").write_bytes(head)

    history = read_history(folder)

    assert history is not None
    assert len(history.lines) == 3


def test_nothing_is_added_to_a_damaged_history(tmp_path: Path) -> None:
    folder = _filled(tmp_path / "case", 2)
    path = folder / "history.jsonl"
    path.write_text(path.read_text().replace("reason 0", "reason 9"))
    before = path.read_bytes()

    with pytest.raises(IntegrityError):
        append_line(folder, line(2))

    assert path.read_bytes() == before


def test_changes_measured_side_by_side_add_up_in_margins() -> None:
    history = History(tuple(line(number, 0.02) for number in range(4)))

    assert history.drift("latency p50", 0.02) == pytest.approx([0, 1, 2, 3])
    assert history.drift("accuracy", 0.01) == [0, 0, 0, 0]


def test_every_line_is_plain_json(tmp_path: Path) -> None:
    folder = _filled(tmp_path / "case", 2)

    lines = [json.loads(text) for text in (folder / "history.jsonl").read_text().splitlines()]

    assert [entry["line"]["reason"] for entry in lines] == ["reason 0", "reason 1"]
