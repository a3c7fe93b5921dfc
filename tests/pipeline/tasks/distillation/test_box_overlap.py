"""BCKD's boxes against the generalised overlap written out, and their slope against finite differences."""

from __future__ import annotations

import pytest
import torch

from pipeline.tasks.distillation.box_overlap import box_overlap


def _boxes(seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    corner = 30 * torch.rand(6, 2, dtype=torch.float64, generator=draw)
    return torch.cat([corner, corner + 5 + 20 * torch.rand(6, 2, dtype=torch.float64, generator=draw)], dim=1)


def _apart(box: list[float], other: list[float]) -> float:
    """One minus the generalised intersection over union."""
    area, other_area = ((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    low, high = ([pick(a, b) for a, b in zip(box, other, strict=True)] for pick in (min, max))
    common = max(0.0, low[2] - high[0]) * max(0.0, low[3] - high[1])
    union, around = area + other_area - common, (high[2] - low[0]) * (high[3] - low[1])
    return 1 - (common / union - (around - union) / around)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_overlap_lacks_weighed_by_the_difference_of_the_scores(seed: int) -> None:
    student, teacher = _boxes(seed), _boxes(seed + 100)
    weights = torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    pairs = zip(student.tolist(), teacher.tolist(), weights.tolist(), strict=True)
    wanted = [weight * _apart(box, other) for box, other, weight in pairs]

    assert box_overlap(student, teacher, weights).tolist() == pytest.approx(wanted, abs=1e-6)


def test_its_slope_is_that_of_finite_differences_and_none_leads_through_the_weights() -> None:
    student, weights = _boxes(0).requires_grad_(), torch.rand(6, dtype=torch.float64).requires_grad_()

    assert torch.autograd.gradcheck(lambda boxes: box_overlap(boxes, _boxes(1), weights.detach()), (student,))
    box_overlap(student, _boxes(1), weights).sum().backward()
    assert weights.grad is None


def test_the_same_box_has_nothing_to_learn_and_one_far_away_still_has() -> None:
    one, far = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[100.0, 0.0, 110.0, 10.0]], requires_grad=True)
    box_overlap(far, one, torch.ones(1)).sum().backward()

    assert float(box_overlap(one, one, torch.ones(1))) == pytest.approx(0, abs=1e-6)
    assert far.grad is not None
    assert float(far.grad.abs().sum()) > 0
