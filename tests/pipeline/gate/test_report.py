"""A gate as a report: its verdict first, and the history without mixing machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.gate.against_baselines import Judgement
from pipeline.gate.baselines.history import Figures, History, HistoryLine
from pipeline.gate.report import report_of_comparison, report_of_judgement
from pipeline.report.comparison import Comparison, Verdict
from pipeline.report.render import read_report, write_reports

if TYPE_CHECKING:
    from pathlib import Path

    from exporters.bundle import Bundle
    from pipeline.data import Dataset

START = datetime(2026, 1, 1, tzinfo=UTC)


def _comparison(code: int, sentence: str, verdict: Verdict = Verdict.REGRESSED) -> Comparison:
    return Comparison(
        baseline="a" * 64, candidate="b" * 64, verdict=verdict, sentence=sentence, exit_code=code, metrics=()
    )  # fmt: skip


def _history(*lines: tuple[str, float]) -> History:
    return History(
        tuple(
            HistoryLine(
                time=START + timedelta(days=number),
                bundle=f"{number:064x}",
                reason=f"reason {number}",
                figures=Figures(
                    machine_class=machine, latency_p50_s=p50_s, size_bytes=1000, accuracy=0.9, test_images="t"
                ),
            )
            for number, (machine, p50_s) in enumerate(lines)
        )
    )


def test_a_comparison_is_a_report_without_stages(trained: Bundle, colours: Dataset) -> None:
    found = _comparison(1, "REGRESSED net: size")

    report = report_of_comparison(trained, found, colours)

    assert (report.verdict.status, report.verdict.sentence) == ("regressed", "REGRESSED net: size")
    assert (report.model, report.target, report.data, report.stages) == ("net.py:tiny", "ort-cpu", "colours", ())
    assert report.bundle.sha256 == trained.sha256
    assert report.gate == found


def test_the_comparison_that_counts_gives_the_verdict(trained: Bundle, colours: Dataset) -> None:
    fine, bad = _comparison(0, "OK", Verdict.OK), _comparison(1, "against the best accepted lately: REGRESSED")
    judgement = Judgement(comparison=fine, best=bad, history=_history(("m", 0.01)))

    report = report_of_judgement(trained, judgement, colours)

    assert (report.verdict.status, report.verdict.sentence) == ("regressed", bad.sentence)
    assert (report.gate, report.best) == (fine, bad)
    assert report.history[0].reason == "reason 0"


def test_what_is_written_is_read_back(trained: Bundle, colours: Dataset, tmp_path: Path) -> None:
    judgement = Judgement(comparison=_comparison(1, "no"), best=None, history=_history(("m", 0.01), ("n", 0.02)))
    report = report_of_judgement(trained, judgement, colours)

    written = write_reports(report, tmp_path)

    assert read_report(tmp_path) == report
    assert all(path.stat().st_size > 0 for path in written)


@pytest.mark.parametrize("machines", [("m",), ("m", "n")])
def test_a_change_of_level_is_marked_where_it_began(
    machines: tuple[str, ...], trained: Bundle, colours: Dataset
) -> None:
    """With figures of a second machine in between, which stay where they are."""
    lines = []
    for number in range(12):
        lines.append(("m", 0.010 if number < 6 else 0.012))
        lines += [(machine, 0.5) for machine in machines[1:]]
    judgement = Judgement(comparison=_comparison(0, "OK", Verdict.OK), best=None, history=_history(*lines))

    points = report_of_judgement(trained, judgement, colours).history

    assert [number for number, point in enumerate(points) if point.new_level] == [6 * len(machines)]


def test_another_machine_is_no_change_of_level(trained: Bundle, colours: Dataset) -> None:
    lines = [*[("m", 0.010)] * 6, *[("n", 0.020)] * 6]
    judgement = Judgement(comparison=_comparison(0, "OK", Verdict.OK), best=None, history=_history(*lines))

    assert not any(point.new_level for point in report_of_judgement(trained, judgement, colours).history)
