"""Suppression by a mask keeps the boxes that greedy suppression keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from pipeline.tasks.detection.deployable.suppression import ROUNDS, stays


def _crowd(seed: int, count: int = 200) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 100, (count, 2))
    return torch.from_numpy(
        np.concatenate([corners, corners + generator.uniform(2, 50, (count, 2))], axis=1).astype(np.float32)
    )


def _chain(count: int) -> torch.Tensor:
    """Boxes of which each overlaps the next one by more than a half, and no other."""
    left = torch.arange(count, dtype=torch.float32) * 3
    return torch.stack([left, torch.zeros(count), left + 10, torch.full((count,), 10.0)], dim=1)


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
def test_the_same_boxes_stay_as_in_torchvision(iou: float) -> None:
    gone = 0
    for seed in range(50):
        boxes = _crowd(seed)
        wanted = nms(boxes, torch.arange(len(boxes), 0, -1, dtype=torch.float32), iou).sort().values
        found = stays(boxes, iou, torch.ones(len(boxes))).nonzero()[:, 0]
        assert torch.equal(found, wanted)
        gone += len(boxes) - len(found)
    assert gone > 100


def test_boxes_that_do_not_count_go_and_remove_nothing() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    assert stays(boxes, 0.5, torch.tensor([0.0, 1, 1])).tolist() == [0, 1, 0]


def test_boxes_without_an_area_do_not_overlap() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]])
    assert stays(boxes, 0.5, torch.ones(3)).tolist() == [1, 1, 1]


def test_a_chain_is_decided_as_far_as_there_are_rounds() -> None:
    boxes = _chain(40)
    exact = [1.0, 0.0] * 20
    assert stays(boxes, 0.5, torch.ones(40), rounds=40).tolist() == exact
    assert stays(boxes, 0.5, torch.ones(40)).tolist()[:ROUNDS] == exact[:ROUNDS]
