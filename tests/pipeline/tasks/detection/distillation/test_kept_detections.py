"""What is kept of a detector's answers is what it said, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.tasks.detection.distillation.kept_detections import detections_of, kept_detections, renumbered

SIZE = (480, 640)


def _said(count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(seed)
    corners = draw.uniform(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(10, 150, (count, 2))], axis=1).astype(np.float32)
    return boxes, np.sort(draw.uniform(0.06, 1, count))[::-1].astype(np.float32), draw.integers(1, 20, size=count)


def test_boxes_scores_and_classes_come_back() -> None:
    said = [_said(7), _said(0), _said(3, seed=1)]
    again = detections_of(kept_detections(said, SIZE), SIZE)

    for (boxes, scores, labels), (places, likely, classes) in zip(said, again, strict=True):
        np.testing.assert_allclose(places, boxes, atol=0.2)
        np.testing.assert_allclose(likely, scores, atol=5e-4)
        assert classes.tolist() == (labels - 1).tolist()


def test_only_the_likeliest_hundred_are_kept_and_nothing_below_a_twentieth() -> None:
    boxes, scores, labels = _said(150)
    faint = (boxes[:2], np.array([0.3, 0.04], np.float32), labels[:2])
    many, few = detections_of(kept_detections([(boxes, scores, labels), faint], SIZE), SIZE)

    assert len(many[0]) == 100
    np.testing.assert_allclose(many[1], scores[:100], atol=5e-4)
    assert len(few[0]) == 1


def test_an_input_of_another_size_has_the_boxes_at_the_same_places() -> None:
    kept = kept_detections([_said(5)], SIZE)
    ((small, _, _),), ((large, _, _),) = detections_of(kept, SIZE), detections_of(kept, (960, 1280))

    np.testing.assert_allclose(large, 2 * small)


def test_classes_get_the_numbers_of_the_data_and_those_nobody_asks_for_are_gone() -> None:
    kept = kept_detections([(np.zeros((3, 4)), np.array([0.9, 0.8, 0.7]), np.array([1, 2, 3]))], SIZE)
    ((_, scores, classes),) = detections_of(renumbered(kept, [5, None, 0]), SIZE)

    assert classes.tolist() == [5, 0]
    np.testing.assert_allclose(scores, [0.9, 0.7], atol=5e-4)
    assert torch.equal(kept["classes"][0, :3], torch.tensor([0, 1, 2], dtype=torch.int16))
