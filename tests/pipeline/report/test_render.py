"""Writing the report and reading it back."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.dom import minidom

import pytest

from pipeline.errors import IntegrityError, ResourceError, UsageError
from pipeline.report.goal_record import GoalEntry
from pipeline.report.html import render_html
from pipeline.report.junit import render_junit
from pipeline.report.markdown import render_markdown
from pipeline.report.render import read_report, write_reports

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.report.record import Report

Change = Callable[[dict[str, Any]], object]
Filled = Callable[[str], "Report"]


def test_the_record_and_its_renderings_are_written_and_named(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "deployments" / "resnet18"
    names = ("report.json", "report.md", "report.html", "junit.xml")
    paths = write_reports(report, folder)
    assert paths == tuple(folder / name for name in names)
    assert paths[1].read_text(encoding="utf-8") == render_markdown(report)
    assert paths[2].read_text(encoding="utf-8") == render_html(report)
    assert paths[3].read_text(encoding="utf-8") == render_junit(report)
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_what_is_read_is_what_was_written_from_the_folder_or_the_file(report: Report, tmp_path: Path) -> None:
    write_reports(report, tmp_path)
    assert read_report(tmp_path) == report
    assert read_report(tmp_path / "report.json") == report


def test_writing_what_was_read_changes_no_byte(report: Report, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_reports(report, tmp_path)]
    again = [path.read_bytes() for path in write_reports(read_report(tmp_path), tmp_path)]
    assert first == again


@pytest.mark.parametrize("text", ["<a>&amp;\"'", "a\nb", "a\x0bb", "\x00", "]]>", "\u72ac \U0001f415"])
def test_the_verdicts_for_ci_servers_are_xml_whatever_the_texts(filled: Filled, text: str) -> None:
    document = minidom.parseString(render_junit(filled(text)))  # noqa: S318 - our own text
    assert {case.getAttribute("name") for case in document.getElementsByTagName("testcase")}


def test_a_goal_is_a_case_that_fails_with_its_own_sentence(report: Report) -> None:
    goal = GoalEntry(asked={"macs": "2M"}, met=False, sentence="the goal is missed: macs 3.00 M of at most 2M")
    missed = report.model_copy(update={"goal": goal})
    unmeasured = report.verdict.model_copy(update={"status": "unmeasured"})

    failures = [
        [one.getAttribute("message") for one in minidom.parseString(text).getElementsByTagName("failure")]  # noqa: S318
        for text in map(render_junit, (report, missed, missed.model_copy(update={"verdict": unmeasured})))
    ]
    assert failures == [[], [goal.sentence], []]


def test_reports_that_find_no_room_say_how_much_they_need(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pipeline.store.write_and_fsync", full)
    with pytest.raises(
        ResourceError, match=r"no room for the reports\n  got: .* MiB free\n  expected: about \d\.\d\d MiB"
    ):
        write_reports(report, tmp_path)
    with pytest.raises(ResourceError, match=r"\n  fix: choose another --out"):  # as whoever has a better way says it
        write_reports(report, tmp_path, fix="choose another --out")


def test_a_new_report_takes_the_place_of_the_old_one(report: Report, tmp_path: Path) -> None:
    write_reports(report, tmp_path)
    other = report.model_copy(update={"model": "resnet34"})
    write_reports(other, tmp_path)
    assert read_report(tmp_path) == other
    assert "resnet18 for" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["", "report.json", "nowhere"])
def test_where_there_is_no_report_it_says_so(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_report(tmp_path / place)
    named = tmp_path / "nowhere" if place == "nowhere" else tmp_path / "report.json"
    assert str(raised.value) == (
        f"{named}: there is no report here\n  fix: name the folder that `edgewright deploy` printed"
    )


@pytest.mark.parametrize(
    ("change", "got"),
    [
        pytest.param(lambda value: value.pop("verdict"), "verdict: Field required", id="a key is missing"),
        pytest.param(
            lambda value: value.update(extra=1), "extra: Extra inputs are not permitted", id="a key is unknown"
        ),
        pytest.param(
            lambda value: value.update(schema="edgewright.report/9"),
            "schema: Input should be 'edgewright.report/1'",
            id="another schema",
        ),
        pytest.param(
            lambda value: value["stages"][2].update(notes=[]),
            "stages.2: Value error, stage 'prune' has a figure that is null and no note that says why",
            id="null without a reason",
        ),
        pytest.param(
            lambda value: value["stages"][0]["latency_s"].update(p50=-1),
            "stages.0.latency_s.p50: Input should be greater than 0",
            id="a negative time",
        ),
    ],
)
def test_what_is_no_report_of_ours_is_refused_with_the_place(
    report: Report, tmp_path: Path, change: Change, got: str
) -> None:
    value = report.model_dump(mode="json", by_alias=True)
    change(value)
    (tmp_path / "report.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(IntegrityError) as raised:
        read_report(tmp_path)
    assert str(raised.value) == f"{tmp_path / 'report.json'}: this is no report of ours\n  got: {got}"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_json_object_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="this is no report of ours") as raised:
        read_report(tmp_path)
    assert raised.value.got is not None
    assert raised.value.got.startswith("the file: ")
