"""LD against the divergence written out, and its slope against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.tasks.distillation.localisation import localisation


def _logits(seed: int) -> torch.Tensor:
    return 4 * torch.randn(3, 4, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_it_is_the_divergence_of_each_side(temperature: float) -> None:
    student, teacher = _logits(0), _logits(1)
    mine, theirs = (np.exp(one.numpy() / temperature) for one in (student, teacher))
    mine, theirs = mine / mine.sum(axis=2, keepdims=True), theirs / theirs.sum(axis=2, keepdims=True)
    wanted = (theirs * np.log(theirs / mine)).mean(axis=(1, 2)) * temperature**2

    assert localisation(student, teacher, temperature=temperature).tolist() == pytest.approx(wanted.tolist())


def test_its_slope_is_that_of_finite_differences() -> None:
    student, teacher = _logits(0).requires_grad_(), _logits(1)

    assert torch.autograd.gradcheck(lambda logits: localisation(logits, teacher), (student,))


def test_the_same_distributions_have_nothing_to_learn_whatever_is_added_to_their_logits() -> None:
    said = _logits(0)

    assert localisation(said + 3, said).tolist() == pytest.approx([0.0] * 3, abs=1e-9)
