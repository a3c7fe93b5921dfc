"""BCKD's classes against the formula written out, and their slope against finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.tasks.distillation.binary_scores import binary_scores


def _likelihoods(seed: int) -> torch.Tensor:
    logits = 3 * torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return logits.sigmoid()


@pytest.mark.parametrize("seed", range(5))
def test_it_is_each_class_entropy_weighed_by_the_difference(seed: int) -> None:
    student, teacher = _likelihoods(seed), _likelihoods(seed + 100)
    wanted = [
        sum(abs(t - s) * -(t * math.log(s) + (1 - t) * math.log(1 - s)) for s, t in zip(mine, theirs, strict=True))
        for mine, theirs in zip(student.tolist(), teacher.tolist(), strict=True)
    ]

    assert binary_scores(student, teacher).tolist() == pytest.approx(wanted)


def test_its_slope_is_that_of_finite_differences() -> None:
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    assert torch.autograd.gradcheck(lambda said: binary_scores(said.sigmoid(), _likelihoods(1)), (logits,))


def test_where_both_agree_nothing_is_counted() -> None:
    same = _likelihoods(0)

    assert binary_scores(same, same).tolist() == [0.0] * 4


def test_certainty_gives_no_infinite_slope() -> None:
    student = torch.tensor([[0.0, 1.0, 0.0, 1.0]], requires_grad=True)
    binary_scores(student, torch.tensor([[1.0, 0.0, 0.0, 1.0]])).sum().backward()

    assert torch.isfinite(student.grad).all()
