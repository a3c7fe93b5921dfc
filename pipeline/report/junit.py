"""The verdicts as JUnit XML, which every CI server reads."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pipeline.report.comparison import Comparison, Verdict
from pipeline.report.gate_texts import gate_rows

if TYPE_CHECKING:
    from pipeline.report.record import Report

__all__ = ["render_absent", "render_junit"]


def render_junit(report: Report) -> str:
    """A suite for each comparison, a case a gating metric: regressed fails, inconclusive and unfit are skipped.

    A goal, and a report without a gate, have one case: whether the goal or the verdict is ``missed``.
    """
    root = ET.Element("testsuites", name="edgewright")
    name = _plain(f"{report.model}.{report.target}")
    for found in (report.gate, report.best):
        if found is not None:
            _suite(root, f"{name} against {found.against}", found)
    if report.gate is None or report.goal is not None:
        suite = ET.SubElement(root, "testsuite", name=name, tests="1")
        case = ET.SubElement(suite, "testcase", classname=name, name="goal")
        if (missed := _missed(report)) is not None:
            ET.SubElement(case, "failure", message=_plain(missed))
            suite.set("failures", "1")
    return _text(root)


def render_absent(case: str) -> str:
    """Of a case that has a baseline and no candidate: one that fails."""
    root = ET.Element("testsuites", name="edgewright")
    suite = ET.SubElement(root, "testsuite", name=_plain(case), tests="1", failures="1")
    failed = ET.SubElement(suite, "testcase", classname=_plain(case), name="candidate")
    ET.SubElement(failed, "failure", message="it has a baseline and no candidate", type="missing")
    return _text(root)


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _missed(report: Report) -> str | None:
    """What is missed, in a sentence; None where nothing is, or nothing could be measured."""
    if report.verdict.status == "unmeasured":
        return None
    if report.goal is not None and not report.goal.met:
        return report.goal.sentence
    return report.verdict.sentence if report.verdict.status == "missed" else None


def _suite(root: ET.Element, name: str, found: Comparison) -> None:
    suite = ET.SubElement(root, "testsuite", name=name)
    failures = skipped = 0
    texts = {cells[0]: " ".join(cells[1:]) for cells in gate_rows(found)}
    for row in found.metrics:
        if not row.gating:
            continue
        case = ET.SubElement(suite, "testcase", classname=name, name=_plain(row.name))
        if row.verdict is Verdict.REGRESSED and row.waived is None:
            failures += 1
            ET.SubElement(case, "failure", message=_plain(texts[row.name]), type="regressed")
        elif row.verdict in {Verdict.INCONCLUSIVE, Verdict.UNFIT}:
            skipped += 1
            ET.SubElement(case, "skipped", message=_plain(f"{row.verdict}: {texts[row.name]}"))
    for missing in found.missing:
        failures += 1
        case = ET.SubElement(suite, "testcase", classname=name, name=_plain(missing))
        ET.SubElement(case, "failure", message="measured for the baseline, missing now", type="missing")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))


def _plain(text: str) -> str:
    """Text without the control characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
