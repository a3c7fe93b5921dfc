"""A candidate beside what was accepted: the current one, and the best one lately."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from benchmarks.statistics.margins import Effort, Margins
from exporters.bundle import Bundle, read_bundle
from exporters.device import verify
from pipeline.ending import ending
from pipeline.environment import any_machine, this_machine
from pipeline.errors import BaselineError, IntegrityError, ParityError, RecipeError, ResourceError
from pipeline.gate import against_baselines
from pipeline.gate.against_baselines import Judgement, _changes, _missing, accept, judge
from pipeline.gate.baselines.history import Figures, HistoryLine, append_line
from pipeline.gate.baselines.shelf import Shelf, case_of
from pipeline.gate.two_bundles import GateOptions, decided
from pipeline.leftovers import holding
from pipeline.measuring.bundle_measurement import BundleMeasurement, measure_bundle
from pipeline.progress import SilentProgress
from pipeline.report.comparison import Comparison, MetricRow, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data import Dataset

Remake = Callable[..., Bundle]
Judge = Callable[[Shelf, Bundle], Judgement]
Given = Callable[..., GateOptions]

NOW = datetime.now(UTC)


def _line(bundle: Bundle | str, days_ago: float, change: float = 0.0, **figures: object) -> HistoryLine:
    known: dict[str, object] = {
        "machine_class": this_machine().machine_class,
        "latency_p50_s": 0.0001,
        "latency_p90_s": 0.0002,
        "memory_bytes": 10_000_000,
        "size_bytes": 16_000,
        "accuracy": 1.0,
        "test_images": "t" * 64,
    }
    return HistoryLine(
        time=NOW - timedelta(days=days_ago),
        bundle=bundle if isinstance(bundle, str) else bundle.sha256,
        reason="a test",
        figures=Figures.model_validate({**known, **figures}),
        changes={"latency p50": change} if change else {},
    )


class _Measured(NamedTuple):
    """An accepted bundle, and its measurement."""

    shelf: Shelf
    case: str
    line: HistoryLine
    measurement: BundleMeasurement


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "baselines")


@pytest.fixture
def judged(colours: Dataset, given: Given) -> Judge:
    """Judges a candidate by what is counted and answered; its times are given."""
    return lambda shelf, candidate: judge(shelf, candidate, colours, given(), SilentProgress())


@pytest.fixture(scope="module")
def heavier(trained: Bundle, remake: Remake) -> Bundle:
    """The trained one with convolutions beside it whose sum is weighed with nothing: the same answers, later."""
    model = onnx.load(trained.root / "model.onnx")
    graph = model.graph
    generator = np.random.default_rng(0)
    (taken,), (given,) = ([one.name for one in graph.input], [one.name for one in graph.output])
    last = next(node for node in graph.node if given in node.output)
    last.output[list(last.output).index(given)] = "light"
    shapes = {"h0": (64, 3, 3, 3), "h1": (64, 64, 3, 3), "h2": (64, 64, 3, 3), "h3": (3, 64, 3, 3)}
    for name, shape in shapes.items():
        weight = 0.01 * generator.standard_normal(shape).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weight, f"{name}.weight"))
        graph.node.append(helper.make_node("Conv", [taken, f"{name}.weight"], [name], pads=[1, 1, 1, 1]))
        taken = name
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
    graph.node.append(helper.make_node("GlobalAveragePool", [taken], ["pooled"]))
    graph.node.append(helper.make_node("Flatten", ["pooled"], ["flat sum"]))
    graph.node.append(helper.make_node("Mul", ["flat sum", "nothing"], ["weighed"]))
    graph.node.append(helper.make_node("Add", ["light", "weighed"], [given]))
    return remake({"model.onnx": model.SerializeToString()})


# What is accepted


def test_what_was_accepted_is_the_yardstick(shelf: Shelf, trained: Bundle, judged: Judge) -> None:
    shelf.accept(trained, _line(trained, 1))

    judgement = judged(shelf, trained)

    assert judgement.comparison.against == "accepted"
    assert judgement.comparison.baseline == trained.sha256
    assert judgement.best is None
    assert judgement.deciding is judgement.comparison
    assert judgement.comparison.verdict is not Verdict.REGRESSED
    assert judgement.comparison.missing == ()


def test_a_worse_candidate_is_caught_by_what_was_accepted(
    shelf: Shelf, trained: Bundle, worse: Bundle, judged: Judge
) -> None:
    shelf.accept(trained, _line(trained, 1))

    judgement = judged(shelf, worse)

    assert judgement.deciding.exit_code == 8
    assert "accuracy 66.67 points lost" in judgement.deciding.sentence


def test_nothing_accepted_is_an_error_that_names_what_there_is(shelf: Shelf, trained: Bundle, judged: Judge) -> None:
    with pytest.raises(BaselineError, match="no baseline was accepted for") as raised:
        judged(shelf, trained)

    assert raised.value.exit_code == 5
    assert raised.value.what == "no baseline was accepted for net.py-tiny--ort-cpu--1x3x16x16"
    assert raised.value.got == "no baseline at all"
    assert raised.value.fix == "accept one: edgewright baseline accept BUNDLE --reason '...'"


def test_what_accepts_one_for_a_device_names_the_device(shelf: Shelf) -> None:
    box: Any = SimpleNamespace(name="box", machine=any_machine("aarch64"))
    with pytest.raises(BaselineError, match="no baseline was accepted for") as raised:
        shelf.of(box).accepted("a-case")

    assert raised.value.fix == "accept one: edgewright baseline accept BUNDLE --device box --reason '...'"


def test_of_two_that_accept_at_once_the_later_one_adds_to_the_earlier_one(shelf: Shelf, trained: Bundle) -> None:
    folder = shelf.root / case_of(trained)
    folder.mkdir(parents=True)
    later = threading.Thread(target=shelf.accept, args=(trained, _line(trained, 1)))
    with holding(folder):  # as the earlier one does
        later.start()
        later.join(0.2)
        assert later.is_alive()
        append_line(folder, _line(trained, 2))
    later.join()

    history = shelf.history(case_of(trained))
    assert history is not None
    assert [line.time for line in history.lines] == [_line(trained, days).time for days in (2, 1)]


def test_a_damaged_history_is_an_error_and_no_empty_one(shelf: Shelf, trained: Bundle, judged: Judge) -> None:
    shelf.accept(trained, _line(trained, 1))
    path = shelf.root / case_of(trained) / "history.jsonl"
    path.write_text(path.read_text().replace("a test", "a best"))

    with pytest.raises(IntegrityError, match="the history of a baseline is damaged") as raised:
        judged(shelf, trained)

    assert raised.value.exit_code == 6


def test_a_damaged_baseline_is_an_error(shelf: Shelf, trained: Bundle, judged: Judge) -> None:
    shelf.accept(trained, _line(trained, 1))
    path = shelf.root / case_of(trained) / "bundles" / trained.sha256[:16] / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(IntegrityError, match="this bundle is not what its manifest says"):
        judged(shelf, trained)


def test_another_bundle_in_the_place_of_the_accepted_one_is_an_error(
    shelf: Shelf, trained: Bundle, worse: Bundle, judged: Judge
) -> None:
    shelf.accept(worse, _line(worse, 1))
    home = shelf.root / case_of(trained) / "bundles"
    (home / worse.sha256[:16]).rename(home / trained.sha256[:16])
    append_line(home.parent, _line(trained, 0))

    with pytest.raises(IntegrityError, match="this is not the bundle that was accepted"):
        judged(shelf, trained)


@pytest.mark.parametrize("harm", ["a byte", "another bundle"])
def test_accepting_the_right_bundle_again_heals_what_is_damaged(
    shelf: Shelf, trained: Bundle, worse: Bundle, harm: str
) -> None:
    case = shelf.accept(trained, _line(trained, 2))
    home = shelf.root / case / "bundles" / trained.sha256[:16]
    if harm == "a byte":
        (home / "model.onnx").write_bytes((home / "model.onnx").read_bytes()[:-1])
    else:
        shutil.rmtree(home)
        shutil.copytree(worse.root, home)
    shelf.accept(trained, _line(trained, 1))

    assert shelf.accepted(case).sha256 == trained.sha256
    assert [path.name for path in home.parent.iterdir()] == [home.name]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_bundle_that_was_replaced_since_it_was_read_is_not_accepted(
    shelf: Shelf, trained: Bundle, worse: Bundle, tmp_path: Path, *, damaged: bool
) -> None:
    place = tmp_path / "published"
    shutil.copytree(worse.root, place)
    if damaged:
        (place / "model.onnx").write_bytes(b"")

    with pytest.raises(IntegrityError, match="replaced or changed meanwhile") as raised:
        shelf.accept(replace(trained, root=place), _line(trained, 1))

    assert raised.value.got == ("a bundle that is not what its manifest says" if damaged else worse.sha256)
    assert raised.value.expected == trained.sha256
    assert shelf.history(case_of(trained)) is None
    assert list((shelf.root / case_of(trained) / "bundles").iterdir()) == []


@pytest.mark.parametrize("write", ["copying.shutil.copy2", "store.write_and_fsync"])  # the bundle, and its line
def test_a_baseline_on_a_full_disk_ends_with_7_and_what_was_accepted_before_still_is(
    shelf: Shelf, trained: Bundle, worse: Bundle, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    case = shelf.accept(trained, _line(trained, 1))
    monkeypatch.setattr(f"pipeline.{write}", full)
    with pytest.raises(ResourceError) as raised:
        shelf.accept(worse, _line(worse, 0))

    told, code = ending(raised.value)
    assert code == 7
    assert re.fullmatch(
        rf"{re.escape(str(shelf.root / case))}: the disk is full: there is no room for the baseline\n"
        r"  got: \d+\.\d\d MiB free\n  expected: about 0\.\d\d MiB\n"
        r"  fix: free some space, or choose another --baselines",
        told,
    )
    assert shelf.accepted(case).sha256 == trained.sha256
    assert list(shelf.root.rglob(".*")) == []


def test_waivers_that_cannot_be_read_are_an_error_before_the_work(shelf: Shelf, trained: Bundle, judged: Judge) -> None:
    shelf.accept(trained, _line(trained, 1))
    (shelf.root / "waivers.yaml").write_text("- {case: all}\n")

    with pytest.raises(RecipeError, match="metric: Field required"):
        judged(shelf, trained)


# Small losses


def _ten_small_losses(shelf: Shelf, first: Bundle, last: Bundle) -> None:
    shelf.accept(first, _line(first, 20))
    for number in range(1, 10):
        append_line(shelf.root / case_of(first), _line(f"{number:064x}", 20 - number, 0.018))
    shelf.accept(last, _line(last, 1, 0.018))


_FOUR_PROCESSES = Effort(processes=4, looks=1, alpha=0.2, memory_processes=1)


def test_ten_accepted_small_losses_are_caught_by_the_best_accepted_one(
    shelf: Shelf, trained: Bundle, remake: Remake, colours: Dataset, given: Given
) -> None:
    """Beside the tenth nothing is lost; beside the first much is."""
    slower = remake({"README.md": b"the same model"})
    _ten_small_losses(shelf, trained, slower)
    options = replace(given(slower={slower.sha256: 0.18}), effort=_FOUR_PROCESSES)

    judgement = judge(shelf, slower, colours, options, SilentProgress())

    assert judgement.best is not None
    assert [(row.name, row.verdict) for row in judgement.comparison.metrics if row.verdict is Verdict.REGRESSED] == []
    latency = judgement.best.metric("latency p50")
    assert latency is not None
    assert (latency.verdict, latency.limit) == (Verdict.REGRESSED, 0.04)
    assert latency.change == pytest.approx(0.18)
    assert judgement.deciding is judgement.best
    assert judgement.best.exit_code == 1
    assert judgement.best.sentence.startswith(
        "against the best accepted lately: REGRESSED net.py:tiny for ort-cpu: latency p50 +18"
    )


@pytest.mark.slow
def test_a_heavier_network_is_measured_to_be_slower_than_the_best_accepted_one(
    shelf: Shelf, trained: Bundle, heavier: Bundle, colours: Dataset, cheap: GateOptions
) -> None:
    _ten_small_losses(shelf, trained, heavier)
    options = replace(cheap, margins=Margins(latency_p50=0.02, latency_p90=5.0), effort=_FOUR_PROCESSES)

    judgement = judge(shelf, heavier, colours, options, SilentProgress())

    assert judgement.best is not None
    assert (judgement.comparison.baseline, judgement.best.baseline) == (heavier.sha256, trained.sha256)
    size = judgement.comparison.metric("size")
    assert size is not None
    assert (size.verdict, size.change) == (Verdict.OK, 0)
    latency = judgement.best.metric("latency p50")
    assert latency is not None
    assert latency.limit == 0.04
    assert (latency.change or 0) > 0.04
    assert latency.verdict is (Verdict.UNFIT if judgement.best.unfit else Verdict.REGRESSED)
    assert judgement.deciding is judgement.best
    assert judgement.best.exit_code == 1
    assert judgement.best.sentence.startswith("against the best accepted lately: REGRESSED net.py:tiny for ort-cpu: ")


@pytest.mark.parametrize(("days_ago", "found"), [(80, True), (120, False)])
def test_a_fast_one_of_long_ago_is_no_yardstick(
    shelf: Shelf, trained: Bundle, bigger: Bundle, days_ago: int, *, found: bool
) -> None:
    shelf.accept(trained, _line(trained, days_ago))
    shelf.accept(bigger, _line(bigger, 1, 0.05))

    assert (shelf.best(case_of(trained)) is not None) is found


def test_the_fastest_is_found_by_changes_and_not_by_figures_of_other_days(
    shelf: Shelf, trained: Bundle, bigger: Bundle
) -> None:
    """The second was faster beside the first, though its own figure was made on a slower machine."""
    shelf.accept(trained, _line(trained, 2, latency_p50_s=1e-9))
    shelf.accept(bigger, _line(bigger, 1, -0.1, latency_p50_s=1.0, machine_class="another"))

    assert shelf.best(case_of(trained)) is None


def test_where_the_best_one_answers_something_else_the_best_of_the_others_counts(
    shelf: Shelf, trained: Bundle, bigger: Bundle, worse: Bundle
) -> None:
    shelf.accept(trained, _line(trained, 4))
    shelf.accept(bigger, _line(bigger, 3, 0.1))
    shelf.accept(worse, _line(worse, 2, 0.05))

    assert _best(shelf, trained) == trained.sha256
    assert _best(shelf, trained, without=trained) == bigger.sha256
    assert _best(shelf, trained, without=bigger) == trained.sha256


def _best(shelf: Shelf, of: Bundle, without: Bundle | None = None) -> str | None:
    best = shelf.best(case_of(of), among=lambda one: without is None or one.sha256 != without.sha256)
    return best.sha256 if best else None


def test_what_the_machine_was_too_noisy_for_is_not_added_up() -> None:
    rows = [
        MetricRow(name=name, unit="s", baseline=1, candidate=1, change=0.1, limit=0.02, method="", verdict=verdict)
        for name, verdict in (("latency p50", Verdict.UNFIT), ("size", Verdict.REGRESSED))
    ]
    found = Comparison(
        baseline="a", candidate="b", verdict=Verdict.REGRESSED, sentence="", exit_code=1, metrics=tuple(rows)
    )

    assert _changes(found) == {"size": 0.1}


@pytest.mark.parametrize(
    ("metric", "loss"), [("accuracy", 0.009), ("memory", 0.015), ("size", 0.015), ("latency p50", 0.015)]
)
def test_small_losses_of_any_metric_lead_back_to_the_best_one(
    shelf: Shelf, trained: Bundle, bigger: Bundle, metric: str, loss: float
) -> None:
    shelf.accept(trained, _line(trained, 20))
    for days_ago in range(10, 0, -1):
        line = _line(bigger, days_ago)
        shelf.accept(bigger, line.model_copy(update={"changes": {metric: loss}}))

    best = shelf.best(case_of(trained))

    assert best is not None
    assert best.sha256 == trained.sha256


def test_a_best_one_that_is_accepted_again_is_no_other_one(shelf: Shelf, trained: Bundle, bigger: Bundle) -> None:
    shelf.accept(trained, _line(trained, 3))
    shelf.accept(bigger, _line(bigger, 2, 0.1))
    shelf.accept(trained, _line(trained, 1, -0.05))

    assert shelf.best(case_of(trained)) is None


# Waivers


def _waive(shelf: Shelf, bundle: Bundle, *, most: float, expires: date) -> None:
    shelf.root.mkdir(exist_ok=True)
    waiver = {"case": case_of(bundle), "metric": "size", "max_change": most, "reason": "agreed"}
    waiver["expires"] = expires.isoformat()
    (shelf.root / "waivers.yaml").write_text(json.dumps([waiver]))


def test_a_waived_regression_passes_and_is_still_told(
    shelf: Shelf, trained: Bundle, bigger: Bundle, judged: Judge
) -> None:
    shelf.accept(trained, _line(trained, 1))
    _waive(shelf, trained, most=5.0, expires=NOW.date() + timedelta(days=2))

    found = judged(shelf, bigger).comparison
    size = found.metric("size")

    assert size is not None
    assert (size.verdict, size.waived) == (Verdict.REGRESSED, f"agreed, until {NOW.date() + timedelta(days=2)}")
    assert found.verdict is not Verdict.REGRESSED
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("most", "days", "note"), [(5.0, -2, "a waiver expired on"), (1.0, 2, "worse than the waiver allows, 1")]
)
def test_a_waiver_that_expired_or_is_exceeded_lets_nothing_through(  # noqa: PLR0917 - fixtures are arguments
    shelf: Shelf, trained: Bundle, bigger: Bundle, judged: Judge, most: float, days: int, note: str
) -> None:
    shelf.accept(trained, _line(trained, 1))
    _waive(shelf, trained, most=most, expires=NOW.date() + timedelta(days=days))

    found = judged(shelf, bigger).comparison
    size = found.metric("size")

    assert (found.verdict, found.exit_code) == (Verdict.REGRESSED, 1)
    assert size is not None
    assert size.note.startswith(note)


def test_what_is_waived_is_waived_beside_the_best_one_too(
    shelf: Shelf, trained: Bundle, bigger: Bundle, remake: Remake, judged: Judge
) -> None:
    """Else a waiver would let nothing through as soon as the accepted one is not the best.

    And what is waived for all devices is waived for each class of them.
    """
    shelf = Shelf(shelf.root / "devices" / "0123456789abcdef", above=shelf.root)
    second = remake({"README.md": b"the same model"})
    shelf.accept(trained, _line(trained, 2))
    shelf.accept(second, _line(second, 1, 0.01))
    assert shelf.above is not None
    _waive(Shelf(shelf.above), trained, most=5.0, expires=NOW.date() + timedelta(days=2))

    judgement = judged(shelf, bigger)

    assert judgement.best is not None
    sizes = [found.metric("size") for found in (judgement.comparison, judgement.best)]
    assert [row.waived is not None for row in sizes if row] == [True, True]
    assert Verdict.REGRESSED not in {judgement.comparison.verdict, judgement.best.verdict}


# What is not compared


def test_figures_of_another_machine_are_never_compared(shelf: Shelf, trained: Bundle, judged: Judge) -> None:
    """Whatever the history says of that day: what counts is what the accepted bundle does here and now."""
    impossible = {"latency_p50_s": 1e-12, "latency_p90_s": 1e-12, "memory_bytes": 1, "size_bytes": 1, "accuracy": 2.0}
    shelf.accept(trained, _line(trained, 1, machine_class="another", **impossible))

    found = judged(shelf, trained).comparison

    assert [row for row in found.metrics if row.verdict is Verdict.REGRESSED and row.gating] == []
    assert all((row.baseline or 0) > 1e-9 for row in found.metrics)
    accuracy = found.metric("accuracy")
    assert accuracy is not None
    assert (accuracy.baseline or 0) <= 1


def test_a_metric_that_disappeared_is_a_regression(shelf: Shelf, trained: Bundle) -> None:
    shelf.accept(trained, _line(trained, 1))
    history = shelf.history(case_of(trained))
    assert history is not None
    rows = tuple(
        MetricRow(
            name=name, unit="s", baseline=1, candidate=candidate, change=None, limit=0.1, method="", verdict=Verdict.OK
        )
        for name, candidate in (("latency p50", 1.0), ("memory", None))
    )
    found = Comparison(
        baseline="a", candidate="b", verdict=Verdict.OK, sentence="", exit_code=0, metrics=rows,
        missing=_missing(history, rows),
    )  # fmt: skip

    assert found.missing == ("memory", "latency p90")
    assert decided(found, trained).exit_code == 1
    assert "memory, latency p90 no longer measured" in decided(found, trained).sentence


def test_a_metric_that_the_accepted_one_did_not_have_is_not_missed(shelf: Shelf, trained: Bundle) -> None:
    shelf.accept(trained, _line(trained, 1, memory_bytes=None, latency_p90_s=None))
    history = shelf.history(case_of(trained))
    assert history is not None

    assert _missing(history, ()) == ("latency p50",)


# The comparison that counts


@pytest.mark.parametrize(
    ("accepted", "best", "counts"),
    [(0, 0, "accepted"), (0, 3, "best accepted"), (4, 3, "accepted"), (3, 1, "best accepted"), (1, 8, "best accepted")],
)
def test_the_worse_of_the_two_counts(shelf: Shelf, trained: Bundle, accepted: int, best: int, counts: str) -> None:
    shelf.accept(trained, _line(trained, 1))
    history = shelf.history(case_of(trained))
    assert history is not None
    known = {"baseline": "a", "candidate": "b", "verdict": Verdict.OK, "sentence": "", "metrics": ()}
    first, second = (
        Comparison.model_validate({**known, "against": against, "exit_code": code})
        for against, code in (("accepted", accepted), ("best accepted", best))
    )

    assert Judgement(comparison=first, best=second, history=history).deciding.against == counts


# Accepting


@pytest.fixture(scope="session")
def measured(trained: Bundle, colours: Dataset, tmp_path_factory: pytest.TempPathFactory) -> _Measured:
    """The trained one accepted as ever, with what was measured for it."""
    found = []

    def measure(*args: Any, **options: Any) -> BundleMeasurement:  # noqa: ANN401 - as it is called
        found.append(measure_bundle(*args, **options))
        return found[-1]

    shelf = Shelf(tmp_path_factory.mktemp("measured") / "baselines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(against_baselines, "measure_bundle", measure)
        case, line = accept(shelf, trained, colours, SilentProgress(), reason="the first", now=NOW)
    return _Measured(shelf, case, line, found[0])


def test_accepting_measures_here_and_keeps_the_bundle(measured: _Measured, trained: Bundle, colours: Dataset) -> None:
    shelf, case, line = measured.shelf, measured.case, measured.line
    history = shelf.history(case)

    assert history is not None
    assert history.lines == (line,)
    assert shelf.accepted(case).sha256 == trained.sha256 == line.bundle
    assert (line.reason, line.time, line.changes, line.verdict) == ("the first", NOW, {}, None)
    assert line.figures.machine_class == this_machine().machine_class
    assert (line.figures.accuracy, line.figures.test_images) == (1.0, colours.split_identity("test"))
    assert line.figures.latency_p50_s > 0
    assert (line.figures.memory_bytes or 0) > 1 << 20


def test_a_bundle_for_other_classes_is_a_new_beginning(
    measured: _Measured, trained: Bundle, colours: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no change of the accepted one, and is accepted in its place all the same."""
    other = tmp_path / "other"
    shutil.copytree(trained.root, other)
    names = (other / "classes.txt").read_text(encoding="utf-8").replace("red", "scarlet")
    (other / "classes.txt").write_text(names, encoding="utf-8")
    manifest = json.loads((other / "manifest.json").read_text(encoding="utf-8"))
    (entry,) = (one for one in manifest["files"] if one["path"] == "classes.txt")
    entry.update(size_bytes=len(names.encode()), sha256=hashlib.sha256(names.encode()).hexdigest())
    (other / "manifest.json").write_text(verify.spelled(verify.sealed(manifest)) + "\n", encoding="utf-8")
    renamed = read_bundle(other)
    shelf = Shelf(tmp_path / "baselines")
    shelf.accept(trained, _line(trained, 1))

    with pytest.raises(ParityError, match="do not know the same classes") as raised:
        judge(shelf, renamed, colours, GateOptions(), SilentProgress())
    assert "baseline accept" in str(raised.value.fix)
    monkeypatch.setattr(against_baselines, "measure_bundle", lambda *_, **__: measured.measurement)
    case, line = accept(shelf, renamed, colours, SilentProgress(), reason="another name")
    assert (line.changes, line.verdict) == ({}, None)
    assert shelf.accepted(case).sha256 == renamed.sha256


def test_what_was_measured_beside_another_bundle_than_the_accepted_one_is_not_accepted(
    shelf: Shelf, trained: Bundle, worse: Bundle, colours: Dataset, measured: _Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def while_somebody_accepts(*_: object, **__: object) -> BundleMeasurement:
        shelf.accept(worse, _line(worse, 1))
        return measured.measurement

    monkeypatch.setattr(against_baselines, "measure_bundle", while_somebody_accepts)
    with pytest.raises(BaselineError, match="somebody accepted another bundle meanwhile") as raised:
        accept(shelf, trained, colours, SilentProgress(), reason="at once")

    assert raised.value.fix == "run it again"
    history = shelf.history(case_of(trained))
    assert history is not None
    assert [line.bundle for line in history.lines] == [worse.sha256]
    assert [path.name for path in (shelf.root / case_of(trained) / "bundles").iterdir()] == [worse.sha256[:16]]


def test_nothing_is_accepted_onto_a_damaged_history(shelf: Shelf, trained: Bundle, colours: Dataset) -> None:
    shelf.accept(trained, _line(trained, 1))
    (shelf.root / case_of(trained) / "history.jsonl").unlink()

    with pytest.raises(IntegrityError, match="damaged"):
        accept(shelf, trained, colours, SilentProgress(), reason="again")
