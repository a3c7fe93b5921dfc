"""PKD against numpy's correlation, and its slope against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.tasks.distillation.pkd import uncorrelated


def _features(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_one_minus_the_correlation_channel_by_channel(seed: int) -> None:
    student, teacher = _features(seed), 0.3 * _features(seed) + _features(seed + 100)
    channels = range(student.shape[1])
    rows = [np.corrcoef(student[:, one].numpy().ravel(), teacher[:, one].numpy().ravel())[0, 1] for one in channels]

    assert float(uncorrelated(student, teacher)) == pytest.approx(1 - np.mean(rows), abs=1e-5)


def test_its_slope_is_that_of_finite_differences() -> None:
    student, teacher = _features(0).requires_grad_(), _features(1)

    assert torch.autograd.gradcheck(lambda features: uncorrelated(features, teacher), (student,))


def test_scale_and_offset_of_a_channel_do_not_matter() -> None:
    student, teacher = _features(0), _features(1)
    scale = torch.tensor([1.0, 2.0, 10.0, 0.5], dtype=torch.float64)[:, None, None]

    torch.testing.assert_close(
        uncorrelated(student * scale + 3, teacher), uncorrelated(student, teacher), rtol=1e-5, atol=1e-5
    )
    assert float(uncorrelated(teacher * scale - 1, teacher)) == pytest.approx(0, abs=1e-5)
    assert float(uncorrelated(-teacher, teacher)) == pytest.approx(2, abs=1e-4)


def test_channels_that_say_nothing_give_no_infinite_slope() -> None:
    flat = torch.zeros(2, 3, 4, 4, requires_grad=True)
    uncorrelated(flat, torch.randn(2, 3, 4, 4)).backward()

    assert torch.isfinite(flat.grad).all()
