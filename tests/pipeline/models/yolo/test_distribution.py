"""Boxes as distributions of distances."""

from __future__ import annotations

import torch

from pipeline.models.yolo.distribution import BINS, DistributionCoder, distribution_loss

ANCHORS = torch.tensor([[-4.0, -4, 4, 4], [8, 24, 24, 40]])  # strides 8 and 16, middles (4, 4) and (24, 40)
SURE = 50.0


def _codes(distances: list[list[int]]) -> torch.Tensor:
    """That are sure of whole distances."""
    return torch.nn.functional.one_hot(torch.tensor(distances), BINS).float().flatten(1) * SURE


def test_a_sure_distribution_means_its_distance_in_strides() -> None:
    boxes = DistributionCoder().decode_single(_codes([[1, 2, 3, 4], [0, 1, 1, 0]]), ANCHORS)
    torch.testing.assert_close(boxes, torch.tensor([[4.0 - 8, 4 - 16, 4 + 24, 4 + 32], [24, 40 - 16, 24 + 16, 40]]))


def test_an_even_distribution_means_the_middle_of_all_distances() -> None:
    boxes = DistributionCoder().decode_single(torch.zeros(2, 4 * BINS), ANCHORS)
    reach = (BINS - 1) / 2 * 8
    torch.testing.assert_close(boxes[0], torch.tensor([4 - reach, 4 - reach, 4 + reach, 4 + reach]))


def test_the_loss_vanishes_at_the_wanted_box_and_only_there() -> None:
    codes = _codes([[1, 2, 3, 4], [0, 1, 1, 0]])
    wanted = DistributionCoder().decode_single(codes, ANCHORS)
    torch.testing.assert_close(distribution_loss(codes, ANCHORS, wanted), torch.zeros(2), atol=1e-4, rtol=0)
    assert bool((distribution_loss(codes, ANCHORS, wanted + 8) > 1).all())


def test_following_the_loss_leads_to_a_box_between_the_bins() -> None:
    wanted = torch.tensor([[-3.0, 1, 17, 30], [10, 20, 61, 55]])
    codes = torch.zeros(2, 4 * BINS, requires_grad=True)
    optimizer = torch.optim.Adam([codes], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        distribution_loss(codes, ANCHORS, wanted).sum().backward()
        optimizer.step()
    found = DistributionCoder().decode_single(codes.detach(), ANCHORS)
    torch.testing.assert_close(found, wanted, atol=0.5, rtol=0)
