"""Several detectors as one: the fused detections, in the form of the first one's candidates."""

from __future__ import annotations

import numpy as np

from pipeline.tasks.joining.detection import joined

OURS = {"score": 0.1, "iou": 0.5, "most": 10}


def _candidates(*rows: tuple[float, float, float, float, float, int], places: int = 6) -> tuple[np.ndarray, ...]:
    """Left, top, right, bottom, score, label, filled up with what is no candidate; with the batch axis."""
    table = np.zeros((places, 6), np.float32)
    table[: len(rows)] = rows
    return table[None, :, :4], table[None, :, 4], table[None, :, 5].astype(np.int64)


def test_what_both_find_is_one_and_scores_fall() -> None:
    first = _candidates((10, 10, 40, 50, 0.9, 2), (11, 10, 40, 50, 0.8, 2), (60, 10, 90, 50, 0.6, 1))
    second = _candidates((12, 10, 42, 50, 0.9, 2), places=4)
    boxes, scores, labels = joined([first, second], [OURS, OURS])

    assert (boxes.shape, scores.shape, labels.shape) == ((1, 6, 4), (1, 6), (1, 6))
    assert (boxes.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(scores[0], [0.9, 0.3, 0, 0, 0, 0])
    assert labels[0, :2].tolist() == [2, 1]
    np.testing.assert_allclose(boxes[0, 0], [11, 10, 41, 50])


def test_each_member_has_its_own_thresholds() -> None:
    rows = ((10, 10, 40, 50, 0.3, 2),)
    strict = OURS | {"score": 0.5}
    _, alike, _ = joined([_candidates(*rows)] * 2, [OURS, OURS])
    _, apart, _ = joined([_candidates(*rows)] * 2, [OURS, strict])

    np.testing.assert_allclose([alike[0, 0], apart[0, 0]], [0.3, 0.15])


def test_more_than_fit_are_cut_at_the_unlikely_end() -> None:
    spread = [(20.0 * number, 0, 20.0 * number + 10, 10, 0.9 - 0.1 * number, 1) for number in range(6)]
    _, scores, _ = joined([_candidates(*spread[:2], places=2), _candidates(*spread[2:])], [OURS, OURS])

    np.testing.assert_allclose(scores[0], [0.45, 0.4])
