"""The runner's suppression against torchvision's, class by class."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import nms

from pipeline.tasks.reading.detection import detections, suppressed


def _candidates(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0 to 80 boxes that crowd together, some the same, some empty, of 1 to 5 classes; scores with ties."""
    count = int(generator.integers(0, 81))
    corners = generator.uniform(0, 60, (count, 2))
    sides = generator.uniform(0, 40, (count, 2)) * (generator.uniform(size=(count, 1)) > 0.05)
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    if count > 4:
        boxes[1] = boxes[0]
    scores = np.round(generator.uniform(0, 1, count), int(generator.integers(1, 7))).astype(np.float32)
    return boxes, scores, generator.integers(0, int(generator.integers(1, 6)), count)


def _by_torchvision(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, score: float, iou: float, most: int
) -> np.ndarray:
    """Places of the detections: one suppression for each class, without adding anything to the coordinates."""
    places = np.flatnonzero(scores > score)
    left = [
        own[nms(torch.from_numpy(boxes[own]), torch.from_numpy(scores[own]), iou).numpy()]
        for own in (places[labels[places] == label] for label in np.unique(labels[places]))
    ]
    stays = np.sort(np.concatenate([*left, np.empty(0, int)]).astype(int))
    return stays[np.argsort(-scores[stays], kind="stable")][:most]


def test_it_is_torchvisions_on_a_thousand_random_sets() -> None:
    generator = np.random.default_rng(0)
    dropped = 0
    for _ in range(1000):
        boxes, scores, labels = _candidates(generator)
        score, iou = generator.uniform(0, 0.5), generator.uniform(0.1, 0.9)
        most = int(generator.integers(1, 60))
        wanted = _by_torchvision(boxes, scores, labels, score, iou, most)
        found = detections(boxes, scores, labels, score, iou, most)
        for array, source in zip(found, (boxes, scores, labels), strict=True):
            np.testing.assert_array_equal(array, source[wanted])
        dropped += int((scores > score).sum()) - len(wanted)
    assert dropped > 10_000


def test_no_candidate_gives_no_detection() -> None:
    boxes, scores, labels = detections(
        np.zeros((3, 4), np.float32), np.zeros(3, np.float32), np.zeros(3, int), 0, 0.5, 9
    )
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


def test_boxes_of_other_classes_do_not_matter() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.float32)
    found = detections(boxes, np.array([0.5, 0.9, 0.7], np.float32), np.array([1, 2, 1]), 0.1, 0.5, 10)
    assert found[2].tolist() == [2, 1]
    np.testing.assert_allclose(found[1], [0.9, 0.7])


def test_overlap_of_exactly_the_limit_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    assert suppressed(boxes, 0.5).tolist() == [0, 1]
    assert suppressed(boxes, 0.49).tolist() == [0]
