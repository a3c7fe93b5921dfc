"""What the report says, the same in every rendering."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.report import texts
from pipeline.report.record import EnsembleEntry, PairedChange, SeedEntry, StudentEntry
from pipeline.report.texts import (
    STAGE_COLUMNS,
    TEACHER_COLUMNS,
    at_a_glance,
    int8_text,
    measured_where,
    notes,
    seed_rows,
    stage_cells,
    teacher_rows,
)

if TYPE_CHECKING:
    from pipeline.report.record import Report


def test_a_stage_has_a_text_for_every_column(report: Report) -> None:
    assert dict(zip(STAGE_COLUMNS, stage_cells(report.stages[0]), strict=True)) == {
        "stage": "baseline",
        "": "cached",
        "p50": "11.2 ms",
        "p90": "12.3 ms",
        "p95": "14.0 ms",
        "p99": "-",
        "size": "44.8 MB",
        "memory peak": "120 MB",
        "params": "11.7 M",
        "MACs": "1.81 G",
        "accuracy": "97.50 %",
        "took": "12 min 34 s",
    }


def test_a_skipped_stage_has_a_dash_for_every_figure(report: Report) -> None:
    assert stage_cells(report.stages[1]) == ("distill", "skipped", *["-"] * (len(STAGE_COLUMNS) - 2))


def test_the_teachers_are_told_with_the_student_they_could_not_teach(report: Report) -> None:
    # Distillation was skipped: there is no student that learned from them.
    rows = [dict(zip(TEACHER_COLUMNS, row, strict=True)) for row in teacher_rows(report)]
    assert rows[0] == {
        "network": "teacher resnet34",
        "accuracy": "98.00 %",
        "95 %": "-",
        "p50": "21.0 ms",
        "size": "87.3 MB",
        "memory peak": "-",
        "params": "21.8 M",
        "confidence off by": "-",
        "like the ensemble": "-",
        "of the way": "-",
        "training took": "1 min 28 s",
    }
    assert [row["network"] for row in rows[1:]] == ["student without teachers"]


def test_the_student_stands_below_its_teachers_before_and_after_it_learned_from_them(report: Report) -> None:
    learned = report.stages[2].model_copy(update={"name": "distill"})
    taught = report.model_copy(update={"stages": (report.stages[0], learned)})
    rows = [dict(zip(TEACHER_COLUMNS, row, strict=True)) for row in teacher_rows(taught)]
    assert [(row["network"], row["accuracy"]) for row in rows] == [
        ("teacher resnet34", "98.00 %"),
        ("student without teachers", "97.50 %"),
        ("student that learned from them", "97.78 %"),
    ]


def _together(*seeds: tuple[float, float]) -> EnsembleEntry:
    return EnsembleEntry(
        members=2,
        accuracy=0.99,
        interval=(0.975, 0.996),
        p50_s=0.042,
        size_bytes=180_000_000,
        memory_bytes=300_000_000,
        params=43_600_000,
        agreement=0.97,
        way=0.5,
        times_faster=14.0,
        p_value=0.003,
        calibration_error=(0.05, 0.02, 0.01),
        sentence="the student keeps 50 % of what the ensemble gains at 1/14 of its latency",
        seeds=tuple(
            SeedEntry(seed=number, untaught=a, distilled=b, way=(b - a) / (0.99 - a))
            for number, (a, b) in enumerate(seeds)
        ),
        untaught=_student(seeds[0][0], 0.05),
        distilled=_student(seeds[0][1], 0.02),
    )


def _student(accuracy: float, error: float) -> StudentEntry:
    return StudentEntry(
        params=1,
        size_bytes=44_800_000,
        p50_s=0.011,
        accuracy=accuracy,
        interval=(accuracy - 0.02, accuracy + 0.02),
        calibration_error=error,
        agreement=accuracy + 0.01,
        wall_s=30.0,
    )


def test_the_ensemble_stands_between_its_members_and_the_students(report: Report) -> None:
    whole = report.model_copy(update={"ensemble": _together((0.9, 0.95))})
    row = dict(zip(TEACHER_COLUMNS, teacher_rows(whole)[1], strict=True))
    assert row == {
        "network": "ensemble of 2",
        "accuracy": "99.00 %",
        "95 %": "97.50 to 99.60 %",
        "p50": "42.0 ms",
        "size": "180 MB",
        "memory peak": "300 MB",
        "params": "43.6 M",
        "confidence off by": "1.00 %",
        "like the ensemble": "-",
        "of the way": "-",
        "training took": "1 min 28 s",
    }
    untaught, distilled = (dict(zip(TEACHER_COLUMNS, row, strict=True)) for row in teacher_rows(whole)[2:])
    assert untaught == {
        "network": "student without teachers",
        "accuracy": "90.00 %",
        "95 %": "88.00 to 92.00 %",
        "p50": "11.0 ms",
        "size": "44.8 MB",
        "memory peak": "-",
        "params": "1",
        "confidence off by": "5.00 %",
        "like the ensemble": "91.00 %",
        "of the way": "0.00 %",
        "training took": "30 s",
    }
    assert (distilled["confidence off by"], distilled["of the way"]) == ("2.00 %", "55.56 %")
    assert at_a_glance(whole)[0] == whole.ensemble.sentence


def test_a_student_that_was_trained_for_the_comparison_is_told_as_such(report: Report) -> None:
    together = _together((0.98, 0.95)).model_copy(update={"trained_again": True})
    change = PairedChange(change=-0.03, low=-0.04, high=-0.02, n=360)
    whole = report.model_copy(update={"ensemble": together, "taught_change": change})
    assert teacher_rows(whole)[2][:2] == ("student without teachers", "98.00 %")  # not the baseline's 97.5
    (told,) = [text for text in at_a_glance(whole) if text.startswith("what the teachers brought")]
    assert "distill against the same training without them: -3.00 points" in told
    assert texts.ensemble_notes(whole) == [
        "The network came trained: the student without teachers was trained like the other, by the labels alone."
    ]


def test_a_baseline_of_another_schedule_is_told_not_to_be_the_same_training(report: Report) -> None:
    together = _together((0.9, 0.95))
    assert texts.ensemble_notes(report.model_copy(update={"ensemble": together})) == []
    (told,) = texts.ensemble_notes(
        report.model_copy(update={"ensemble": together.model_copy(update={"other_schedule": True})})
    )
    assert "trained by baseline.schedule, which is not that of distill.schedule" in told


def test_teachers_that_were_weighed_otherwise_than_the_ensemble_are_told(report: Report) -> None:
    weighed = _together((0.9, 0.95)).model_copy(update={"other_weights": True})
    assert texts.ensemble_notes(report.model_copy(update={"ensemble": weighed})) == [
        "The student learned from its teachers as distill.weighting weighs them; the ensemble is that of all alike."
    ]
    unmeasured = weighed.model_copy(update={"accuracy": None})
    assert texts.ensemble_notes(report.model_copy(update={"ensemble": unmeasured})) == []


def test_an_ensemble_that_was_not_measured_has_no_row_and_a_reason(report: Report) -> None:
    seed = SeedEntry(seed=0, untaught=0.9, distilled=0.95)
    nothing = {"accuracy": None, "why_not": "of a only answers are known", "summed": True, "seeds": (seed,)}
    whole = report.model_copy(update={"ensemble": _together((0.9, 0.95)).model_copy(update=nothing), "teachers": ()})
    assert [row[0] for row in teacher_rows(whole)] == ["student without teachers", "student that learned from them"]
    assert teacher_rows(whole)[1][9] == "-"
    assert texts.ensemble_notes(whole)[0] == "The ensemble was not measured: of a only answers are known."


def test_seeds_have_their_mean_and_spread(report: Report) -> None:
    whole = report.model_copy(update={"ensemble": _together((0.90, 0.95), (0.92, 0.95), (0.91, 0.95))})
    assert seed_rows(whole)[-2:] == [
        ("mean", "91.00 %", "95.00 %", "+4.00", "50.00 %"),
        ("standard deviation", "1.00", "0.00", "1.00", "-"),
    ]


def test_where_no_share_of_the_way_is_told_there_is_a_dash_and_the_reason(report: Report) -> None:
    together = _together((0.98, 0.96), (0.90, 0.95))
    first, second = together.seeds
    none = together.model_copy(
        update={"way": None, "why_no_way": "it is chance", "seeds": (first.model_copy(update={"way": None}), second)}
    )
    whole = report.model_copy(update={"ensemble": none})
    assert [dict(zip(TEACHER_COLUMNS, row, strict=True))["of the way"] for row in teacher_rows(whole)] == ["-"] * 4
    assert [row[-1] for row in seed_rows(whole)] == ["-", "55.56 %", "-", "-"]
    assert texts.ensemble_notes(whole) == [
        "No share of the way is told of the mean: it is chance.",
        (
            "A seed has no share of the way where it alone does not show that the ensemble is better than the student "
            "without teachers, or where the one with teachers is below that."
        ),
    ]
    alone = whole.model_copy(update={"ensemble": none.model_copy(update={"seeds": none.seeds[:1]})})
    assert texts.ensemble_notes(alone) == ["No share of the way is told: it is chance."]


def test_an_old_report_tells_the_way_as_it_was_told_then_and_that_nothing_was_tested(report: Report) -> None:
    together = _together((0.90, 0.95), (0.995, 0.95))
    written = json.loads(together.model_dump_json())
    for seed in written["seeds"]:
        del seed["way"]
    del written["why_no_way"]
    whole = report.model_copy(update={"ensemble": EnsembleEntry.model_validate_json(json.dumps(written))})

    ways = [dict(zip(TEACHER_COLUMNS, row, strict=True))["of the way"] for row in teacher_rows(whole)]
    assert ways[-2:] == ["0.00 %", "55.56 %"]
    assert [row[-1] for row in seed_rows(whole)] == ["55.56 %", "-", "50.00 %", "-"]
    (note,) = texts.ensemble_notes(whole)
    assert note.startswith("This report is from before it was tested whether the ensemble is better")


def test_one_seed_has_no_table(report: Report) -> None:
    assert seed_rows(report.model_copy(update={"ensemble": _together((0.90, 0.95))})) == []
    assert seed_rows(report) == []


def test_without_teachers_there_is_nothing_to_tell_of_them(report: Report) -> None:
    assert teacher_rows(report.model_copy(update={"teachers": ()})) == []


def test_int8_is_told_with_its_agreement_its_accuracy_and_what_stayed_float(report: Report) -> None:
    assert int8_text(report) == (
        "99.44 % of the test images get the same answer as from the float graph (97.22 % against 97.78 %); "
        "dialect ort-x86, ranges by mse. 20 of 21 convolutions and matrix products run in INT8. "
        "In float: /fc/Gemm (it gives the network's output)."
    )


def test_kernels_that_nobody_counted_are_not_told(report: Report) -> None:
    assert report.quantization is not None
    uncounted = report.quantization.model_copy(update={"int8_nodes": None, "total_nodes": None, "float_nodes": ()})
    text = int8_text(report.model_copy(update={"quantization": uncounted}))
    assert text is not None
    assert text.endswith("dialect ort-x86, ranges by mse.")


def test_without_int8_there_is_nothing_to_tell_of_it(report: Report) -> None:
    assert int8_text(report.model_copy(update={"quantization": None})) is None


def test_notes_of_the_run_come_first_and_then_every_stages_own_in_their_order(report: Report) -> None:
    withheld = "p99 withheld: 240 samples, 662 are needed"
    assert notes(report) == [
        ("", "the hypervisor took 7 % of the time"),
        ("baseline", withheld),
        ("baseline", "resnet18: no weights were given"),
        ("distill", "skipped on request"),
        ("prune", withheld),
        ("calibrate", withheld),
        ("calibrate", "runs the same bytes as after prune: measured once"),
        ("export", withheld),
        ("build", withheld),
        ("build", "int8 engine"),
    ]


def test_everything_the_figures_depend_on_is_told(report: Report) -> None:
    assert measured_where(report) == [
        (
            "machine",
            "Some CPU, 8 cores, 32 GiB, Linux on x86_64 (avx2, avx512_vnni); class 0123456789abcdef",
        ),
        ("versions", "edgewright 0.1.0, torch 2.10.0, onnxruntime 1.24.1"),
        ("in force", "threads 8, spinning False, runtime onnxruntime 1.24.1"),
        ("data", "digits"),
        ("bundle", f"bundle/, 5.65 MB, sha256 {'b' * 64}"),
    ]


def test_a_machine_whose_instruction_sets_are_unknown_has_no_empty_brackets(report: Report) -> None:
    unknown = report.model_copy(update={"machine": report.machine.model_copy(update={"isa": ()})})
    assert measured_where(unknown)[0] == (
        "machine",
        "Some CPU, 8 cores, 32 GiB, Linux on x86_64; class 0123456789abcdef",
    )


def test_changes_of_accuracy_come_with_their_intervals(report: Report) -> None:
    shipped = PairedChange(change=0.0022, low=-0.009, high=0.014, n=449)
    taught = PairedChange(change=-0.02, low=-0.03, high=-0.01, n=449)
    told = texts.at_a_glance(report.model_copy(update={"shipped_change": shipped, "taught_change": taught}))

    first, second = told
    assert first.startswith("what is shipped, against the baseline: +0.22 points of accuracy (95 %: -0.90 to +1.40, ")
    assert first.endswith("449 images; a difference is not shown)")
    assert second.startswith("what the teachers brought, distill against baseline: -2.00 points of accuracy ")
    assert second.endswith("(95 %: -3.00 to -1.00, 449 images)")
    assert texts.at_a_glance(report.model_copy(update={"shipped_change": None, "taught_change": None})) == []


def test_the_time_is_told_with_the_longest_phase_first(report: Report) -> None:
    phases = {"baseline": 120.0, "measuring": 61.0, "calibrate": 0.2}

    assert texts.time_spent(phases) == "3 min 1 s: baseline 2 min 0 s, measuring 1 min 1 s"
    assert texts.time_spent({"calibrate": 0.2}) == "0.2 s"
    assert texts.phase_rows(report.model_copy(update={"phases_s": {"calibrate": 25.0, "baseline": 75.0}})) == [
        ("baseline", "1 min 15 s", "75.00 %"),
        ("calibrate", "25 s", "25.00 %"),
        ("until this was written", "1 min 40 s", ""),
    ]
    assert texts.phase_rows(report.model_copy(update={"phases_s": {}})) == []
