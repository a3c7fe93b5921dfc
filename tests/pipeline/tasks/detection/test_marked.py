"""What is drawn onto an image: its objects, and of detections which are right."""

from __future__ import annotations

from pipeline.data.boxes import Box, Objects
from pipeline.tasks.detection.marked import marks_of_detections, marks_of_truth

CAT, DOG = Box(0, 10, 10, 50, 50), Box(1, 60, 10, 90, 50)
HERD = Box(1, 0, 60, 100, 100, crowd=True)
HALF_HIDDEN = Box(0, 60, 70, 90, 90, difficult=True)
IMAGE = Objects(size=(100, 100), boxes=(CAT, DOG, HERD, HALF_HIDDEN))


def test_the_truth_is_every_object_but_crowds() -> None:
    assert [(one.label, one.box, one.score, one.right) for one in marks_of_truth(IMAGE)] == [
        (0, (10, 10, 50, 50), None, None),
        (1, (60, 10, 90, 50), None, None),
        (0, (60, 70, 90, 90), None, None),
    ]


def test_a_detection_is_right_where_one_of_its_class_is() -> None:
    said = [
        [0, 0.9, 11, 11, 50, 50],  # the cat
        [0, 0.8, 12, 12, 50, 50],  # the cat again: an object is found once
        [0, 0.7, 60, 10, 90, 50],  # the dog, taken for a cat
        [1, 0.6, 80, 10, 120, 50],  # beside the dog
        [1, 0.55, 10, 70, 20, 80],  # one of the herd: counts for nothing
        [0, 0.54, 60, 70, 90, 88],  # the one that is hard to see: counts for nothing
        [0, 0.53, 70, 75, 75, 80],  # a part of it
        [1, 0.49, 60, 10, 90, 50],  # not sure enough
    ]

    assert [one.right for one in marks_of_detections(IMAGE, said)] == [True, False, False, False, None, None, False]


def test_an_image_without_anything_has_no_marks() -> None:
    nothing = Objects(size=(9, 9), boxes=())
    assert (marks_of_truth(nothing), marks_of_detections(nothing, [])) == ((), ())
    assert [one.right for one in marks_of_detections(nothing, [[0, 0.9, 0, 0, 5, 5]])] == [False]
