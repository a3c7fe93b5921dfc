"""Weighted box fusion against the paper's steps written down another way."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tasks.detection.distillation.fusion import weighted_box_fusion

Boxes = list[tuple[float, float, float, float]]


def _member(boxes: Boxes, scores: list[float], classes: list[int]) -> tuple[np.ndarray, ...]:
    return np.array(boxes, np.float64).reshape(-1, 4), np.array(scores), np.array(classes, np.int64)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = wide * high
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _each_once(member: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Without boxes that overlap a likelier one of their class by more than the paper fuses from."""
    stays: list[int] = []
    for place in np.argsort(-member[1], kind="stable"):
        alike = [other for other in stays if member[2][other] == member[2][place]]
        if all(_iou(member[0][place], member[0][other]) <= 0.55 for other in alike):
            stays.append(place)
    return tuple(one[stays] for one in member)


def _by_the_paper(members: list[tuple[np.ndarray, ...]], weights: list[float]) -> list[tuple[float, int, np.ndarray]]:
    """Section 3.1, step by step: lists L of clusters and F of fused boxes, the whole cluster averaged each time."""
    weights = [one / (sum(weights) / len(weights)) for one in weights]
    members = [_each_once(one) for one in members]
    listed = [
        (score * weight, int(label), box)
        for (boxes, scores, classes), weight in zip(members, weights, strict=True)
        for box, score, label in zip(boxes, scores, classes, strict=True)
    ]
    clusters: list[list[tuple[float, int, np.ndarray]]] = []
    fused: list[np.ndarray] = []
    for entry in sorted(listed, key=lambda one: -one[0]):
        matches = [
            (_iou(entry[2], box), number)
            for number, box in enumerate(fused)
            if clusters[number][0][1] == entry[1] and _iou(entry[2], box) > 0.55
        ]
        if not matches:
            clusters.append([entry])
            fused.append(entry[2])
            continue
        _, number = max(matches)
        clusters[number].append(entry)
        total = sum(score for score, _, _ in clusters[number])
        fused[number] = sum(score * box for score, _, box in clusters[number]) / total
    found = [
        (
            np.mean([score for score, _, _ in cluster]) * min(len(cluster), len(members)) / len(members),
            cluster[0][1],
            box,
        )
        for cluster, box in zip(clusters, fused, strict=True)
    ]
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_papers_procedure(seed: int) -> None:
    draw = np.random.default_rng(seed)
    corners = draw.uniform(0, 80, (4, 2))
    objects = np.concatenate([corners, corners + draw.uniform(15, 60, (4, 2))], axis=1)
    members = []
    for _ in range(3):
        seen = draw.integers(0, 4, size=6)
        jittered = objects[seen] + draw.normal(0, 3, (6, 4))
        members.append((jittered, draw.uniform(0.05, 1, 6), draw.integers(0, 2, size=6)))
    weights = draw.uniform(0.5, 2, 3).tolist()

    boxes, scores, classes = weighted_box_fusion(members, weights)
    wanted = _by_the_paper(members, weights)

    np.testing.assert_allclose(scores, [score for score, _, _ in wanted])
    assert classes.tolist() == [label for _, label, _ in wanted]
    np.testing.assert_allclose(boxes, [box for _, _, box in wanted])


def test_what_all_find_stays_and_what_one_of_three_finds_has_a_third_of_its_score() -> None:
    both = _member([(10, 10, 30, 40), (60, 60, 90, 90)], [0.9, 0.6], [1, 2])
    one = _member([(10, 10, 30, 40)], [0.9], [1])
    boxes, scores, classes = weighted_box_fusion([both, one, one])

    np.testing.assert_allclose(boxes, [[10, 10, 30, 40], [60, 60, 90, 90]])
    np.testing.assert_allclose(scores, [0.9, 0.2])
    assert classes.tolist() == [1, 2]


def test_a_member_that_says_an_object_twice_found_it_once() -> None:
    """A detector's own suppression leaves boxes that overlap by more than those of several members are fused from."""
    twice = _member([(100, 100, 200, 200), (100, 100, 200, 160)], [0.9, 0.06], [1, 1])
    nothing = _member([], [], [])
    boxes, scores, _ = weighted_box_fusion([twice])
    np.testing.assert_allclose(boxes, [[100, 100, 200, 200]])
    np.testing.assert_allclose(scores, [0.9])
    np.testing.assert_allclose(weighted_box_fusion([twice, nothing])[1], [0.45])


def test_a_box_is_nearer_to_the_surer_member() -> None:
    sure, unsure = _member([(0, 0, 40, 40)], [0.9], [0]), _member([(4, 0, 44, 40)], [0.3], [0])
    boxes, scores, _ = weighted_box_fusion([sure, unsure])

    np.testing.assert_allclose(boxes, [[1.0, 0, 41.0, 40]])
    np.testing.assert_allclose(scores, [0.6])


def test_objects_of_two_classes_in_one_place_are_two() -> None:
    members = [_member([(0, 0, 40, 40)], [0.9], [0]), _member([(0, 0, 40, 40)], [0.8], [1])]

    assert weighted_box_fusion(members)[2].tolist() == [0, 1]


def test_one_member_alone_says_what_it_says() -> None:
    alone = _member([(0, 0, 40, 40), (30, 30, 50, 50)], [0.4, 0.9], [0, 0])
    boxes, scores, _ = weighted_box_fusion([alone])

    np.testing.assert_allclose(boxes, [[30, 30, 50, 50], [0, 0, 40, 40]])
    np.testing.assert_allclose(scores, [0.9, 0.4])


def test_members_that_find_nothing_find_nothing_together() -> None:
    nothing = _member([], [], [])
    boxes, scores, classes = weighted_box_fusion([nothing, nothing])

    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))
