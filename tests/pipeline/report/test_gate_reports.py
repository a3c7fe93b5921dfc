"""The gate's renderings: JUnit, GitHub, tables."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pipeline.report.comparison import Comparison, Difference, MetricRow, ProcessPoint, Verdict
from pipeline.report.gate_charts import forest, process_dots, run_order
from pipeline.report.gate_texts import gate_notes, gate_rows
from pipeline.report.github import ANNOTATIONS, SUMMARY_BYTES, step_summary, workflow_commands
from pipeline.report.junit import render_absent, render_junit
from pipeline.report.record import BundleEntry, MachineEntry, Report
from pipeline.report.record import Verdict as RunVerdict

HOSTILE = '<b>&"\x07\n::error::%'


def metric(name: str = "latency p50", verdict: Verdict = Verdict.REGRESSED, **fields: object) -> MetricRow:
    known: dict[str, object] = {
        "name": name,
        "unit": "s",
        "baseline": 0.010,
        "candidate": 0.0105,
        "change": 0.05,
        "low": 0.04,
        "high": 0.06,
        "limit": 0.02,
        "level": 0.975,
        "method": "paired",
        "verdict": verdict,
    }
    return MetricRow.model_validate({**known, **fields})


def comparison(*metrics: MetricRow, **fields: object) -> Comparison:
    points = [
        ProcessPoint(
            kind="pair" if number < 4 else "control",
            position=number,
            pairs=64,
            p50_change=0.05 if number < 4 else 0.001,
            p90_change=0.05,
            baseline_p50_s=0.01,
            other_p50_s=0.0105,
            pressure=0.42,
            others=0.01 * (number + 2),
            steal=0.0,
        )
        for number in range(6)
    ]
    known: dict[str, object] = {
        "baseline": "a" * 64,
        "candidate": "b" * 64,
        "verdict": Verdict.REGRESSED,
        "sentence": "REGRESSED net for ort-cpu: latency p50 +5.0 %",
        "exit_code": 1,
        "metrics": metrics or (metric(),),
        "processes": points,
        "control_change": 0.001,
    }
    return Comparison.model_validate({**known, **fields})


def report(gate: Comparison | None, status: str = "regressed") -> Report:
    return Report(
        edgewright="0.1.0",
        model="net",
        task="classification",
        target="ort-cpu",
        data="digits",
        machine=MachineEntry.model_validate(
            {
                "cpu": "CPU", "architecture": "x86_64", "cores": 2, "ram_gib": 8, "isa": ("avx2",), "system": "Linux",
                "class": "c" * 16, "versions": {},
            }
        ),
        verdict=RunVerdict.model_validate({"status": status, "sentence": "what came of it", "precision": "int8"}),
        stages=(),
        bundle=BundleEntry(path="bundle", sha256="b" * 64, size_bytes=10),
        gate=gate,
    )  # fmt: skip


def _cases(text: str) -> dict[str, ET.Element]:
    return {case.attrib["name"]: case for case in ET.fromstring(text).iter("testcase")}  # noqa: S314 - our own text


def test_a_regression_is_a_failure_with_its_figures() -> None:
    (failure,) = _cases(render_junit(report(comparison())))["latency p50"]

    assert failure.tag == "failure"
    assert failure.attrib["message"] == "regressed 10.0 ms 10.5 ms +5.00 % +4.00 % to +6.00 % +2 %"


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.UNFIT])
def test_what_could_not_be_told_is_skipped_with_its_reason(verdict: Verdict) -> None:
    (skipped,) = _cases(render_junit(report(comparison(metric(verdict=verdict)))))["latency p50"]

    assert skipped.tag == "skipped"
    assert skipped.attrib["message"].startswith(f"{verdict}: ")


@pytest.mark.parametrize("row", [metric(verdict=Verdict.OK), metric(verdict=Verdict.IMPROVED), metric(waived="agreed")])
def test_what_is_fine_or_waived_passes(row: MetricRow) -> None:
    assert len(_cases(render_junit(report(comparison(row))))["latency p50"]) == 0


def test_a_missing_metric_is_a_failure() -> None:
    cases = _cases(render_junit(report(comparison(metric(verdict=Verdict.OK), missing=("memory",)))))

    assert cases["memory"][0].attrib["message"] == "measured for the baseline, missing now"


def test_the_suite_counts_its_cases() -> None:
    rows = (metric(), metric("latency p90", Verdict.UNFIT), metric("size", Verdict.OK), metric("load", gating=False))
    suite = ET.fromstring(render_junit(report(comparison(*rows)))).find("testsuite")  # noqa: S314 - our own text

    assert suite is not None
    assert [suite.attrib[name] for name in ("tests", "failures", "skipped")] == ["3", "1", "1"]


@pytest.mark.parametrize(("status", "failures"), [("ok", 0), ("missed", 1)])
def test_a_run_without_a_gate_has_its_goal_as_a_case(status: str, failures: int) -> None:
    assert len(_cases(render_junit(report(None, status)))["goal"]) == failures


def test_hostile_texts_stay_texts() -> None:
    text = render_junit(report(comparison(metric(HOSTILE))))

    assert list(_cases(text)) == [HOSTILE.replace("\x07", " ").replace("\n", " ")]


def test_a_regression_is_an_error_and_doubt_is_a_warning() -> None:
    lines = workflow_commands(
        {"": [comparison(metric(), metric("memory", Verdict.INCONCLUSIVE), metric("x", Verdict.OK))]}
    )

    assert [line.partition("::")[2].partition(" ")[0] for line in lines] == ["error", "warning"]
    assert "title=edgewright latency p50::" in lines[0]


def test_annotations_cannot_be_forged_by_a_name() -> None:
    (line,) = workflow_commands({"": [comparison(metric(verdict=Verdict.OK), missing=(HOSTILE,))]})

    assert "\n" not in line
    assert "%0A::error::%25" in line


@pytest.mark.parametrize(("count", "shown"), [(10, 10), (11, 10), (40, 10)])
def test_no_more_annotations_are_made_than_are_shown(count: int, shown: int) -> None:
    lines = workflow_commands({"": [comparison(*(metric(f"m{number}") for number in range(count)))]})

    assert len(lines) == shown <= ANNOTATIONS
    assert (count > shown) == ("more, see the report" in lines[-1])


def test_the_worst_annotations_are_kept() -> None:
    lines = workflow_commands({"": [comparison(*(metric(f"m{number}", change=number / 100) for number in range(20)))]})

    assert "m19" in lines[0]


def test_annotations_of_all_cases_are_counted_together_and_name_theirs() -> None:
    one = comparison(*(metric(f"m{number}") for number in range(4)))

    lines = workflow_commands({"net:a,1": [one], "net2": [one], "net3": [one]}, absent=["lost"])

    assert len(lines) == ANNOTATIONS
    assert lines[0] == "::error title=edgewright::lost has a baseline and no candidate"
    assert lines[1].startswith("::error title=edgewright net%3Aa%2C1 m")
    assert "and 4 more, see the report" in lines[-1]


def test_a_case_without_a_candidate_fails_where_ci_servers_read() -> None:
    text = render_absent(HOSTILE)

    assert {name: [child.tag for child in case] for name, case in _cases(text).items()} == {"candidate": ["failure"]}


def test_a_step_summary_that_is_too_large_is_cut_and_says_so() -> None:
    text = "zeile ä\n" * 200_000

    found = step_summary(text)

    assert len(found.encode()) <= SUMMARY_BYTES
    assert found.endswith("(cut: the whole report is in report.md)\n")
    assert step_summary("short") == "short"


def test_losses_of_accuracy_are_told_in_points_with_their_sign() -> None:
    row = metric("accuracy", unit="1", baseline=0.95, candidate=0.93, change=0.02, low=0.01, high=0.03, limit=0.01)

    assert gate_rows(comparison(row))[0] == (
        "accuracy", "regressed", "95.00 %", "93.00 %", "-2.00 points", "-3.00 points to -1.00 points", "-1 point",
    )  # fmt: skip


def test_everything_doubtful_is_a_note() -> None:
    found = comparison(
        metric(waived="agreed, until 2026-06-30", note="seen before"), unfit=("noise",), missing=("memory",), looks=2
    )

    assert gate_notes(found) == [
        "unfit: noise",
        "memory was measured for the baseline and is missing now",
        "latency p50: waived (agreed, until 2026-06-30)",
        "latency p50: seen before",
        "decided in 2 looks: the first could not tell",
    ]


def test_every_picture_says_in_words_what_it_shows() -> None:
    found = comparison(metric(), metric("latency p90", Verdict.OK, change=0.01, low=None, high=None, limit=0.05))
    drawn = {chart.title: chart.words for chart in (forest(found), process_dots(found), run_order(found)) if chart}

    assert drawn == {
        "Changes with their intervals": "Changes in margins: latency p50 +2.50 (regressed), latency p90 +0.20 (ok)",
        "Processes": ("Change of the median latency: 4 pairs from +5.00 to +5.00 %, 2 controls from +0.10 to +0.10 %"),
        "Run order": (
            "6 processes in order; of the cores' time other programs took at most 7 % "
            "and the hypervisor took at most 0 %"
        ),
    }


def test_a_picture_is_the_same_text_every_time() -> None:
    found = comparison(differences=(Difference(what="threads", baseline="1", candidate="2"),))

    first, second = (forest(found) for _ in range(2))

    assert first == second
