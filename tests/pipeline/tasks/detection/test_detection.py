"""What a detector's outputs say, how far two detectors are from each other, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from benchmarks.statistics.paired_metric import interval, metric_drop, p_of_no_difference
from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.errors import DataError, UsageError
from pipeline.models.build import build_network
from pipeline.models.resolve import resolve_model
from pipeline.preprocess import PreprocessSpec
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.detection.distillation.kept_detections import kept_detections
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.tasks.reading.detection import boxes_found
from pipeline.training.images import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.artifact import Json
    from pipeline.session import Outputs
    from pipeline.tasks.accuracy import Accuracy

TASK = Detection().reading({"score": 0.1, "iou": 0.5, "most": 10})


def _outputs(*rows: tuple[float, float, float, float, float, int]) -> Outputs:
    """Left, top, right, bottom, score and class index of each candidate; labels count from 1."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return table[:, :4], table[:, 4], table[:, 5].astype(np.int64) + 1


ONE = _outputs((10, 10, 40, 50, 0.9, 2), (12, 10, 41, 50, 0.8, 2), (60, 10, 90, 50, 0.7, 0), (0, 0, 9, 9, 0.05, 1))
SHIFTED = _outputs((11, 10, 41, 50, 0.85, 2), (60, 11, 90, 50, 0.75, 0))
OTHER = _outputs((10, 10, 40, 50, 0.9, 1), (60, 10, 90, 50, 0.7, 0))


def _samples(*labels: Objects) -> list[Sample]:
    return [
        Sample(path=Path("x"), name=str(number), label=label, sha256=str(number)) for number, label in enumerate(labels)
    ]


def _scored(outputs: list[Outputs], samples: list[Sample]) -> Accuracy:
    """Of images that are fed as they are."""
    return TASK.score(TASK.in_images(outputs, samples, PreprocessSpec(size=(100, 100))), samples)


TRUTH = Objects(size=(100, 100), boxes=(Box(2, 10, 10, 40, 50), Box(0, 60, 10, 90, 50)))


def test_detections_are_what_is_left_of_the_candidates() -> None:
    (said,) = TASK.decide([ONE])

    assert [row[0] for row in said] == [2, 0]
    assert said[0][1] == pytest.approx(0.9)
    assert said[0][2:] == [10.0, 10.0, 40.0, 50.0]


def test_two_models_agree_on_the_same_objects_in_about_the_same_places() -> None:
    one, shifted, other, nothing = TASK.decide([ONE, SHIFTED, OTHER, _outputs()])

    assert TASK.alike([one, one, one, nothing], [shifted, other, nothing, nothing]) == (True, False, False, True)


@pytest.mark.parametrize(("score", "alike"), [(0.49, True), (0.41, True), (0.39, False)])
def test_a_score_that_hardly_falls_below_the_threshold_makes_no_other_answer(score: float, alike: bool) -> None:  # noqa: FBT001
    both = TASK.decide([_outputs((10, 10, 40, 50, 0.51, 2)), _outputs((10, 10, 40, 50, score, 2))])
    assert TASK.alike(both[:1], both[1:]) == TASK.alike(both[1:], both[:1]) == (alike,)


def test_one_object_is_not_two(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = [(10, 10, 40, 50, 0.9, 2), (12, 10, 42, 50, 0.8, 2)]
    monkeypatch.setattr(TASK, "post", replace(TASK.post, iou=0.95))
    both = TASK.decide([_outputs(*beside), _outputs(beside[0])])
    assert TASK.alike(both[:1], both[1:]) == (False,)


def test_noise_is_none_of_the_same_and_all_of_nothing() -> None:
    assert TASK.noise([ONE], [ONE]) == 0.0
    assert TASK.noise([_outputs()], [ONE]) == pytest.approx(1.0)
    assert 0 < TASK.noise([SHIFTED], [ONE]) < 0.1 < TASK.noise([OTHER], [ONE])


def test_an_empty_box_makes_a_model_no_other_one_than_itself() -> None:
    """Cut at the border, or in a letterbox's fill."""
    found = _outputs((10, 10, 50, 50, 0.9, 1), (60, 5, 60, 20, 0.6, 1))
    assert TASK.noise([found], [found]) == 0.0
    assert TASK.alike(TASK.decide([found]), TASK.decide([found])) == (True,)


def test_the_order_of_the_candidates_is_no_noise() -> None:
    boxes, scores, labels = ONE

    assert TASK.noise([(boxes[::-1], scores[::-1], labels[::-1])], [ONE]) == 0.0


def test_the_score_has_what_each_image_contributed() -> None:
    samples = _samples(TRUTH, TRUTH)
    found = _scored([ONE, OTHER], samples)

    assert (found.metric, found.n, len(found.per_image)) == ("AP", 2, 2)
    assert {"AP50", "AP75"} <= found.beside.keys()
    assert TASK.metric_of(found.per_image)([1, 1]) == pytest.approx(found.value, abs=1e-6)
    assert TASK.metric_of(found.per_image)([1, 0]) == pytest.approx(1.0)


def test_a_drop_has_an_interval_over_the_images() -> None:
    samples = _samples(*[TRUTH] * 30)
    whole = _scored([ONE] * 30, samples)
    worse = _scored([ONE] * 20 + [_outputs()] * 10, samples)

    drop, none = metric_drop(TASK, whole, worse, alpha=0.025), metric_drop(TASK, whole, whole, alpha=0.025)

    assert drop.estimate == pytest.approx(whole.value - worse.value)
    assert drop.low < drop.estimate < drop.high
    assert drop.low > 0.05
    assert (none.estimate, none.low, none.high, none.nothing_lost) == (0.0, 0.0, 0.0, True)


def test_the_draws_of_a_model_are_made_once_whatever_is_asked_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, asked = _samples(*[TRUTH] * 31), list[int]()
    whole, worse = _scored([ONE] * 31, samples), _scored([ONE] * 20 + [_outputs()] * 11, samples)
    counted = TASK.metric_of

    def metric_of(per_image: Sequence[Json]) -> Callable[[Sequence[int]], float]:
        asked.append(len(per_image))
        return counted(per_image)

    monkeypatch.setattr(TASK, "metric_of", metric_of)
    drop = metric_drop(TASK, whole, worse, alpha=0.05)
    low, high = interval(TASK, worse, alpha=0.05)
    assert metric_drop(TASK, worse, whole, alpha=0.05).low == pytest.approx(-drop.high)
    assert low < worse.value < high
    assert len(asked) == 2


def test_a_detector_has_hardly_learned_where_it_finds_little_and_not_where_its_boxes_are_inexact() -> None:
    samples = _samples(*[TRUTH] * 4)
    inexact = _outputs((10, 10, 40, 63, 0.9, 2), (60, 10, 90, 63, 0.7, 0))
    near, blind = _scored([inexact] * 4, samples), _scored([_outputs()] * 4, samples)

    assert near.value < 0.7
    assert TASK.hardly_learned(near, samples) is None
    assert TASK.hardly_learned(blind, samples) == "has an AP50 of 0.00 %"


def test_boxes_are_scored_in_pixels_of_the_image() -> None:
    placed = TASK.in_images([ONE], _samples(Objects(size=(200, 100), boxes=())), PreprocessSpec(size=(100, 100)))

    assert placed[0][0][0].tolist() == [20.0, 10.0, 80.0, 50.0]


def test_what_is_scored_is_what_the_runner_finds_where_boxes_reach_into_the_fill() -> None:
    candidates = _outputs((100, 80, 150, 240, 0.9, 0), (100, 80, 150, 140, 0.8, 0))
    samples = _samples(Objects(size=(640, 360), boxes=(Box(0, 200, 160, 300, 280),)))
    spec = PreprocessSpec(size=(320, 320), resize="letterbox", fill=114, place="corner")
    answers = {"score": 0.1, "iou": 0.5, "most": 10}
    told = boxes_found(candidates, answers, ["a"], spec.model_dump(mode="json"), (640, 360), 0.0)

    (scored,) = TASK.score(TASK.in_images([candidates], samples, spec), samples).decisions

    assert [one["box"] for one in told] == [row[2:] for row in scored] == [[200, 160, 300, 360], [200, 160, 300, 280]]


def test_classes_in_another_order_are_the_same_classes() -> None:
    ((_, _, labels),) = TASK.in_order([ONE], ["a", "b", "c"], ["c", "a", "b"])

    assert labels.tolist() == [1, 1, 2, 3]
    with pytest.raises(DataError, match="do not know the same classes: 'c'"):
        TASK.in_order([ONE], ["a", "b", "c"], ["a", "b", "d"])


def test_two_models_of_the_same_detections_cannot_be_told_apart_and_a_blind_one_can() -> None:
    samples = _samples(*[TRUTH] * 30)
    whole = _scored([ONE] * 30, samples)
    worse = _scored([ONE] * 20 + [_outputs()] * 10, samples)

    assert p_of_no_difference(TASK, [whole], [whole]) == 1.0
    assert p_of_no_difference(TASK, [worse], [whole]) < 0.01


def test_teachers_are_remembered_by_their_detections() -> None:
    class Says(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> list[dict[str, torch.Tensor]]:
            boxes, scores, labels = map(torch.from_numpy, ONE)
            return [{"boxes": boxes, "scores": scores, "labels": labels} for _ in inputs]

    kept = TASK.remembered(Says(), torch.zeros(2, 3, 100, 100), lambda outputs: outputs)

    assert {name: len(tensor) for name, tensor in kept.items()} == {"boxes": 2, "scores": 2, "classes": 2}
    assert kept["classes"][0, :3].tolist() == [2, 2, 0]


def test_a_detector_learns_what_its_teachers_are_sure_of() -> None:
    class Asked:
        def about(self, truth: BoxLabels) -> dict[str, torch.Tensor]:
            self.truth = truth
            return {"classes": torch.tensor(2.0), "boxes": torch.tensor(1.0)}

    batch = Batch(indices=torch.arange(1), inputs=torch.zeros(1, 3, 100, 100), labels=torch.zeros(1), view=0)
    said = [kept_detections([one], (100, 100)) for one in (ONE, SHIFTED)]
    student = Asked()
    value = TASK.distillation_loss(student, said, batch, Teaching(losses={"boxes": 0.5, "pkd": 1.0}))

    assert float(value) == pytest.approx(1.5)
    assert student.truth.classes[0].tolist() == [2, 0]
    assert float(TASK.distillation_loss(student, said, batch, Teaching(losses={"pkd": 1.0}))) == 0.0


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_a_detector_by_name_learns_from_boxes_and_says_how_it_is_read(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(resolve_model(name), classes=3)
        inputs = torch.randn(2, 3, 64, 64)
    TASK.check(network, (1, 3, 64, 64), classes=3, trained=True)
    boxes = (torch.tensor([[8.0, 8.0, 40.0, 48.0]]), torch.zeros(0, 4))
    labels = BoxLabels(boxes, (torch.tensor([2]), torch.zeros(0, dtype=torch.int64)))
    batch = Batch(indices=torch.arange(2), inputs=inputs, labels=labels, view=0)

    loss = TASK.loss(TASK.answers(network.train(), batch), batch)
    loss.backward()

    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    reading = TASK.read_from(network)
    assert reading["most"] == (300 if name.startswith("ssd") else 100)
    assert TASK.reading(reading).identity()["iou"] == reading["iou"]


def test_losses_of_a_network_that_does_not_train_leave_it_as_it_is() -> None:
    network = build_network(resolve_model("ssdlite320_mobilenet_v3_large"), classes=3).eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    labels = BoxLabels((torch.tensor([[8.0, 8.0, 40.0, 48.0]]),), (torch.tensor([2]),))
    batch = Batch(indices=torch.arange(1), inputs=torch.randn(1, 3, 64, 64), labels=labels, view=0)

    assert TASK.answers(network, batch).about(labels).keys() == {"bbox_regression", "classification"}
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


@pytest.mark.parametrize("kind", ["faster-rcnn", "ssd", "retinanet", "fcos", "yolo/x-nano"])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_detector_for_other_classes_is_refused_before_it_is_trained(
    kind: str, classes: int, tiny_detector: Callable[[str], torch.nn.Module]
) -> None:
    network = tiny_detector(kind).train()

    with pytest.raises(UsageError, match=f"answers for 3 classes, the data has {classes}") as raised:
        TASK.check(network, (1, 3, 64, 64), classes=classes, trained=False)
    assert f"labels 1 to {classes}: the label of a class is its rank" in str(raised.value.expected)
    assert network.training
    TASK.check(network, (1, 3, 64, 64), classes=3, trained=True)


def test_a_detector_whose_parts_are_asked_otherwise_is_refused(
    tiny_detector: Callable[[str], torch.nn.Module],
) -> None:
    network = tiny_detector("retinanet")
    del network.topk_candidates  # says the eager one in words of its own
    network.forward = lambda images: [{name: torch.zeros(0) for name in ("boxes", "scores", "labels")} for _ in images]

    with pytest.raises(UsageError, match="cannot be brought into the form that is deployed"):
        TASK.check(network, (1, 3, 64, 64), classes=3, trained=False)


def test_a_classifier_is_no_detector() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))

    with pytest.raises(UsageError, match="the network does not answer as a detector"):
        TASK.check(network, (1, 3, 2, 2), classes=3, trained=False)
