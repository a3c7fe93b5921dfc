"""The answer to "ensemble or student?": each of its sentences, and the figures that it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.solo import QUICK, SoloRecord
from pipeline.chain.engine_measurement import Measured
from pipeline.runner.ensemble_or_student import Compared, Way, ensemble_entry, sentence
from pipeline.runner.measured_ensemble import Ensemble
from pipeline.runner.students import Student, Students
from pipeline.tasks import Accuracy
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tasks import Task

_WAY = Way(untaught=0.70, distilled=0.75, ensemble=0.80, p_value=1e-6)
_GAINED = Compared(
    untaught=0.70,
    distilled=0.75,
    p_value=0.003,
    seeds=1,
    distilled_p50_s=0.000146,
    way=_WAY,
    ensemble_p50_s=0.00237,
)
_MEMBERS: dict[str, Any] = {"way": None, "ensemble_p50_s": None, "why_not": "of a only answers are known"}
_CHEAP = "at about 1/16 of its latency (0.146 ms against 2.37 ms, each timed alone)"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            _GAINED,
            (
                f"the student keeps 50 % of what the ensemble gains {_CHEAP}; 5.0 more images in a hundred right than "
                "without teachers (p = 0.003)"
            ),
        ),
        (
            replace(_GAINED, p_value=1e-9, seeds=3, distilled_p50_s=0.00158),
            (
                "the student keeps 50 % of what the ensemble gains at about 0.67 of its latency (1.58 ms against "
                "2.37 ms, each timed alone); 5.0 more images in a hundred right than without teachers (mean of 3 "
                "seeds; p below 0.001 over all of them)"
            ),
        ),
        (
            replace(_GAINED, distilled=0.81),
            (
                f"the student is 1 point above the ensemble (not tested for chance), {_CHEAP}; "
                "11.0 more images in a hundred right than "
                "without teachers (p = 0.003)"
            ),
        ),
        (
            replace(_GAINED, way=replace(_WAY, ensemble=0.69)),
            (
                f"the student is 6 points above the ensemble (not tested for chance), {_CHEAP}; "
                "5.0 more images in a hundred right than "
                "without teachers (p = 0.003)"
            ),
        ),
        (
            replace(_GAINED, way=replace(_WAY, ensemble=0.76, p_value=0.06)),
            (
                "the student has 5.0 more images in a hundred right than without teachers (p = 0.003), at about 1/16 "
                "of the ensemble's latency (0.146 ms against 2.37 ms, each timed alone); the ensemble is 6 points "
                "above the student without teachers, which is not shown to be more than chance (p = 0.06)"
            ),
        ),
        (
            replace(_GAINED, **_MEMBERS),
            (
                "the student has 5.0 more images in a hundred right than without teachers (p = 0.003); the ensemble "
                "was not measured: of a only answers are known"
            ),
        ),
        (
            replace(_GAINED, p_value=0.2),
            (
                "no difference between the student with and without teachers can be shown (+5.0 points, p = 0.2); the "
                "ensemble is 10 points above the student without teachers"
            ),
        ),
        (
            replace(_GAINED, p_value=0.2, way=replace(_WAY, ensemble=0.702, p_value=0.7)),
            (
                "no difference between the student with and without teachers can be shown (+5.0 points, p = 0.2); the "
                "ensemble is 0.20 points above the student without teachers, which is not shown to be more than "
                "chance (p = 0.7)"
            ),
        ),
        (
            replace(_GAINED, p_value=0.2, way=replace(_WAY, ensemble=0.7)),
            (
                "no difference between the student with and without teachers can be shown (+5.0 points, p = 0.2); the "
                "ensemble is no better than the student without teachers"
            ),
        ),
        (
            replace(_GAINED, p_value=0.2, seeds=2, **_MEMBERS),
            (
                "no difference between the student with and without teachers can be shown (+5.0 points, mean of 2 "
                "seeds; p = 0.2 over all of them); the ensemble was not measured: of a only answers are known"
            ),
        ),
        (
            replace(_GAINED, distilled=0.68),
            "the teachers did harm: 2.0 more images in a hundred wrong than without them (p = 0.003)",
        ),
    ],
)
def test_each_sentence(found: Compared, told: str) -> None:
    assert sentence(Classification(), found) == told


@pytest.mark.parametrize(
    ("way", "share", "why"),
    [
        (_WAY, 0.5, None),
        (replace(_WAY, distilled=0.70), 0.0, None),
        (replace(_WAY, distilled=0.82), 1.2, None),
        (replace(_WAY, distilled=0.69), None, "the student that learned from the teachers is below the one without"),
        (replace(_WAY, ensemble=0.70), None, "the ensemble is no better than the student without teachers"),
        (replace(_WAY, ensemble=0.65), None, "the ensemble is no better than the student without teachers"),
        (
            replace(_WAY, ensemble=0.704, distilled=0.689, p_value=0.42),  # -275 % of a way that is chance
            None,
            "the ensemble is not shown to be better than the student without teachers (+0.40 points, p = 0.42)",
        ),
    ],
)
def test_a_share_of_the_way_is_told_where_there_is_a_way(way: Way, share: float | None, why: str | None) -> None:
    assert way.share == (None if share is None else pytest.approx(share))
    assert (way.why_none or "").startswith(why or "")
    assert (way.why_none is None) == (why is None)


def test_of_detectors_the_metric_is_told() -> None:
    assert "5.0 points of AP more than" in sentence(Detection(), _GAINED)
    assert "2.0 points of AP less than" in sentence(Detection(), replace(_GAINED, distilled=0.68))


def _accuracy(hits: Sequence[int]) -> Accuracy:
    value = sum(hits) / len(hits)
    per_image = tuple(map(float, hits))
    return Accuracy(metric="top1", value=value, n=len(hits), per_image=per_image, decisions=tuple(hits))


def _student(hits: Sequence[int]) -> Student:
    process = {"samples_ns": [10**6] * 20, "memory_bytes": dict.fromkeys(("import", "load", "run", "peak"), 5)}
    return Student(
        measured=Measured(
            engine_sha256="a" * 64,
            solo=SoloRecord(processes=(process,), states=(), profile=QUICK, affinity=()),
            accuracy=_accuracy(hits),
            size_bytes=1,
            cached=False,
        ),
        params=2,
        wall_s=3.0,
    )


_N = 200
_CLASSIFICATION = Classification()


def _right(*blocks: tuple[int, int]) -> list[int]:
    """1 for the images from the one number to the other."""
    return [int(any(low <= image < high for low, high in blocks)) for image in range(_N)]


def test_an_ensemble_that_is_hardly_better_makes_no_share_of_what_a_worse_student_lost() -> None:
    found = _entry((_right((0, 178)), _right((0, 172))), (_right((0, 100)), _right((0, 140))))
    first, second = found.seeds
    assert (first.way, second.way, found.way) == (None, pytest.approx(0.5), pytest.approx(17 / 41))
    alone = _entry((_right((0, 178)), _right((0, 172))))
    assert alone.way is None
    assert alone.why_no_way == (
        "the ensemble is not shown to be better than the student without teachers (+1.00 points, p = 0.5)"
    )


def test_what_single_seeds_cannot_show_all_together_can() -> None:
    students = [*[_right((4, 180))] * 2, *[_right((0, 172))] * 2]
    found = _entry(*((one, one) for one in students))
    assert [one.way for one in found.seeds] == [None, None, 0.0, 0.0]
    assert found.way == 0.0


def _entry(*pairs: tuple[list[int], list[int]], task: Task = _CLASSIFICATION) -> Any:  # noqa: ANN401 - the entry
    students = [Students(seed=seed, untaught=_student(a), distilled=_student(b)) for seed, (a, b) in enumerate(pairs)]
    whole = Ensemble(
        accuracy=_accuracy(_right((0, 180))), p50_s=0.02, size_bytes=3, memory_bytes=7, params=4, summed=True
    )
    return ensemble_entry(task, whole, students, members=2, trained_again=False, why_not=None)


def test_the_draws_of_a_metric_that_is_no_share_of_images_are_done_once_for_seed_and_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand draws with two evaluations each: of COCO's AP they take seconds."""
    pairs: list[tuple[object, object]] = []

    def drops(_: object, first: Sequence[float], second: Sequence[float]) -> list[float]:
        pairs.append((first, second))
        return [sum(first) - sum(second)] * 999

    monkeypatch.setattr("benchmarks.statistics.paired_metric._drops", drops)
    monkeypatch.setattr("pipeline.runner.ensemble_or_student.interval", lambda *_, **__: (0.0, 1.0))
    monkeypatch.setattr("pipeline.runner.ensemble_or_student.agreement", lambda *_: 1.0)
    found = _entry(*[(_right((0, 100)), _right((0, 140)))] * 3, task=Detection())

    assert [one.way for one in found.seeds] == [pytest.approx(0.5)] * 3
    assert len(pairs) == 2 * 3  # with and without teachers, ensemble and without


def test_a_weak_first_seed_does_not_hide_what_all_of_them_show() -> None:
    weak = (_right((0, 100)), _right((0, 101)))
    strong = (_right((0, 100)), _right((0, 120)))
    assert _entry(weak).sentence.startswith("no difference")
    assert _entry(weak, strong, strong).sentence.startswith("the student keeps 17 % of what the ensemble gains")


def test_a_good_first_seed_does_not_speak_for_the_others() -> None:
    good, bad = (_right((0, 100)), _right((0, 110))), (_right((0, 110)), _right((0, 100), (150, 152)))
    assert _entry(good).sentence.startswith("the student keeps")
    found = _entry(good, bad)
    assert found.way is not None
    assert found.sentence.startswith("no difference between the student with and without teachers can be shown (+0.5")
    assert found.p_value > 0.4


def test_the_same_pair_three_times_is_no_more_than_once() -> None:
    pair = (_right((0, 100)), _right((3, 112)))
    assert _entry(pair, pair, pair).p_value == pytest.approx(_entry(pair).p_value)


def test_every_network_has_its_interval_and_both_students_their_agreement() -> None:
    found = _entry((_right((0, 100)), _right((0, 140))))
    assert found.interval == pytest.approx((0.8506, 0.9344), abs=1e-4)  # Wilson, 180 of 200
    assert found.untaught.interval == pytest.approx((0.4313, 0.5687), abs=1e-4)
    assert (found.untaught.agreement, found.distilled.agreement) == (0.6, 0.8)
    assert (found.way, found.times_faster, found.distilled.wall_s) == (pytest.approx(0.5), pytest.approx(20), 3.0)


def test_without_an_ensemble_the_students_are_told_with_the_reason() -> None:
    pair = Students(seed=0, untaught=_student(_right((0, 100))), distilled=_student(_right((0, 140))))
    found = ensemble_entry(Classification(), None, [pair], members=1, trained_again=False, why_not="it is far away")
    assert (found.accuracy, found.p50_s, found.agreement, found.way, found.times_faster) == (None,) * 5
    assert found.p_value < 1e-6
    assert (found.untaught.accuracy, found.distilled.accuracy) == (0.5, 0.7)
    assert found.sentence.endswith("the ensemble was not measured: it is far away")
