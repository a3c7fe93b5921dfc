"""What teachers together are sure of."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.tasks.detection.distillation.kept_detections import kept_detections
from pipeline.tasks.detection.distillation.pseudo_truth import pseudo_truth

SIZE = (64, 64)
OBJECT, OTHER = (8.0, 8.0, 40.0, 40.0), (44.0, 44.0, 60.0, 60.0)


def _said(*rows: tuple[tuple[float, ...], float, int]) -> tuple[np.ndarray, ...]:
    boxes, scores, classes = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64) + 1


def test_what_most_are_sure_of_is_the_truth_and_what_one_says_alone_is_not() -> None:
    first = kept_detections([_said((OBJECT, 0.9, 3), (OTHER, 0.8, 1)), _said()], SIZE)
    second = kept_detections([_said((OBJECT, 0.7, 3)), _said((OBJECT, 0.4, 0))], SIZE)
    found = pseudo_truth([first, second], SIZE)

    assert [classes.tolist() for classes in found.classes] == [[3], []]
    torch.testing.assert_close(found.boxes[0], torch.tensor([OBJECT]), atol=0.05, rtol=0)


def test_a_teacher_that_counts_more_decides() -> None:
    knows, does_not = kept_detections([_said((OBJECT, 0.8, 3))], SIZE), kept_detections([_said()], SIZE)

    assert len(pseudo_truth([knows, does_not], SIZE).boxes[0]) == 0
    assert len(pseudo_truth([knows, does_not], SIZE, (3.0, 1.0)).boxes[0]) == 1


def test_it_is_within_the_input() -> None:
    beyond = kept_detections([_said(((-10.0, 8.0, 40.0, 80.0), 0.9, 0))], SIZE)
    (boxes,) = pseudo_truth([beyond], SIZE).boxes

    assert boxes[0].tolist() == [0.0, 8.0, 40.0, 64.0]
