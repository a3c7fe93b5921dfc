"""Every loss against its paper's formula written down another way, and its slope against finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.tasks.classification import Classification
from pipeline.tasks.distillation.decoupled import decoupled
from pipeline.tasks.distillation.kept_logits import kept_logits, logits_of
from pipeline.tasks.distillation.losses import LOSSES
from pipeline.tasks.distillation.soft_targets import ensemble_logits, standardised
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.images import Batch

_quick = settings(max_examples=40, deadline=None)
_T = st.floats(1, 8)
"""With those logits no class is so improbable in every image that its correlation is lost in rounding."""


@st.composite
def _cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a student and of a teacher, no two alike, and labels."""
    images, classes = draw(st.integers(2, 5)), draw(st.integers(3, 6))
    seed = draw(st.integers(0, 10_000))
    generator = np.random.default_rng(seed)
    labels = draw(hnp.arrays(np.int64, images, elements=st.integers(0, classes - 1)))
    return generator.normal(0, 1.5, (images, classes)), generator.normal(0, 1.5, (images, classes)), labels


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _kd(student: np.ndarray, targets: np.ndarray, _labels: np.ndarray, temperature: float) -> float:
    mine = _softmax(student / temperature)
    return temperature**2 * sum(
        targets[i, c] * math.log(targets[i, c] / mine[i, c]) for i, c in np.ndindex(*mine.shape)
    ) / len(mine)  # fmt: skip


def _dist(student: np.ndarray, targets: np.ndarray, _labels: np.ndarray, temperature: float) -> float:
    mine = _softmax(student / temperature)
    rows = [1 - np.corrcoef(a, b)[0, 1] for a, b in zip(mine, targets, strict=True)]
    columns = [1 - np.corrcoef(a, b)[0, 1] for a, b in zip(mine.T, targets.T, strict=True)]
    return temperature**2 * (np.mean(rows) + np.mean(columns))


def _dkd(student: np.ndarray, targets: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    mine, total = _softmax(student / temperature), 0.0
    for i, label in enumerate(labels):
        others = [c for c in range(mine.shape[1]) if c != label]
        mine_binary, their_binary = ((row[label], 1 - row[label]) for row in (mine[i], targets[i]))
        target = sum(q * math.log(q / p) for p, q in zip(mine_binary, their_binary, strict=True))
        mine_rest, their_rest = (row[others] / row[others].sum() for row in (mine[i], targets[i]))
        total += target + 8 * sum(q * math.log(q / p) for p, q in zip(mine_rest, their_rest, strict=True))
    return temperature**2 * total / len(labels)


_FORMULAS: dict[str, Any] = {"kd": _kd, "dist": _dist, "dkd": _dkd}


def test_every_loss_has_its_formula_here() -> None:
    assert set(_FORMULAS) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@_quick
@given(case=_cases(), temperature=_T)
def test_it_is_its_papers_formula(
    name: str, case: tuple[np.ndarray, np.ndarray, np.ndarray], temperature: float
) -> None:
    student, teacher, labels = case
    targets = _softmax(teacher / temperature)
    found = LOSSES[name](
        torch.from_numpy(student), torch.from_numpy(targets), torch.from_numpy(labels), temperature=temperature
    )
    assert float(found) == pytest.approx(_FORMULAS[name](student, targets, labels, temperature), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_its_slope_is_that_of_finite_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    targets = torch.randn(4, 5, dtype=torch.float64, generator=generator).softmax(dim=1)
    labels = torch.tensor([0, 3, 2, 4])
    assert torch.autograd.gradcheck(lambda logits: LOSSES[name](logits, targets, labels, temperature=2.0), (student,))


@pytest.mark.parametrize("name", LOSSES)
def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn(name: str) -> None:
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = (logits.detach() / 3).softmax(dim=1)
    value = LOSSES[name](logits, targets, torch.tensor([0, 1, 2, 3, 0, 1]), temperature=3.0)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert float(logits.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_answers_of_a_sure_student_are_still_finite(name: str) -> None:
    student = torch.tensor([[90.0, -90.0, 0.0], [0.0, 80.0, -80.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    value = LOSSES[name](student, targets, torch.tensor([0, 1]), temperature=1.0)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


@_quick
@given(case=_cases())
def test_standardised_logits_have_mean_0_and_deviation_1(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    found = standardised(torch.from_numpy(case[0])).numpy()
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("ruled_out", [-torch.inf, -1e9])
def test_what_a_teacher_rules_out_does_not_make_the_rest_alike(ruled_out: float) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, ruled_out], [1.0, 0.0, -4.0, 3.0]])
    said = standardised(ensemble_logits([logits_of(kept_logits(logits), 4)] * 2))

    torch.testing.assert_close(said[0, :3], standardised(logits[:1, :3])[0], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(said[1], standardised(logits[1:])[0], atol=2e-3, rtol=2e-3)
    assert said[0].softmax(dim=0)[3] == 0


@pytest.mark.parametrize("name", LOSSES)
@_quick
@given(case=_cases(), temperature=_T)
def test_of_standardised_logits_it_is_the_same_formula(
    name: str, case: tuple[np.ndarray, np.ndarray, np.ndarray], temperature: float
) -> None:
    student, teacher, labels = case
    mine, theirs = (
        (one - one.mean(axis=1)[:, None]) / np.sqrt(((one - one.mean(axis=1)[:, None]) ** 2).mean(axis=1))[:, None]
        for one in (student, teacher)
    )
    wanted = _FORMULAS[name](mine, _softmax(theirs / temperature), labels, temperature)
    assert float(
        _loss(name, torch.from_numpy(student), teacher, labels, temperature, standardise=True)
    ) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_of_standardised_logits_the_slope_is_that_of_finite_differences(name: str) -> None:
    generator = np.random.default_rng(0)
    student = torch.from_numpy(generator.normal(0, 2, (4, 5))).requires_grad_()
    teacher, labels = generator.normal(0, 2, (4, 5)), np.array([0, 3, 2, 4])
    assert torch.autograd.gradcheck(
        lambda logits: _loss(name, logits, teacher, labels, 2.0, standardise=True), (student,)
    )


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_a_network_in_bfloat16_is_taught_in_single_precision(name: str, *, standardise: bool) -> None:
    generator = np.random.default_rng(0)
    teacher, labels = generator.normal(0, 2, (8, 5)).astype(np.float32), np.arange(8) % 5
    student = torch.from_numpy(teacher).add(0.05).mul(1.02).bfloat16()
    exact = _loss(name, student.float(), teacher, labels, 4.0, standardise=standardise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        taught = _loss(name, student, teacher, labels, 4.0, standardise=standardise)
    torch.testing.assert_close(taught, exact)


def _loss(
    name: str, student: torch.Tensor, teacher: np.ndarray, labels: np.ndarray, temperature: float, *, standardise: bool
) -> torch.Tensor:
    """As a student's training takes it: by the task, of a teacher's answers."""
    batch = Batch(
        indices=torch.arange(len(labels)), inputs=torch.zeros(len(labels), 1), labels=torch.from_numpy(labels), view=0
    )
    teaching = Teaching(losses={name: 1.0}, temperature=temperature, standardise=standardise)
    return Classification().distillation_loss(student, [{"logits": torch.from_numpy(teacher)}], batch, teaching)


def test_teachers_are_averaged_alike_by_confidence_or_by_given_weights() -> None:
    sure, unsure = torch.tensor([[8.0, 0.0]]), torch.tensor([[0.0, 0.5]])
    one, other = (logits.softmax(dim=1) for logits in (sure, unsure))
    mean = {
        weighting: ensemble_logits([sure, unsure], weighting).softmax(dim=1)
        for weighting in ("uniform", "confidence", (3.0, 1.0))
    }
    torch.testing.assert_close(mean["uniform"], (one + other) / 2)
    torch.testing.assert_close(mean[3.0, 1.0], (3 * one + other) / 4)
    shares = [float(one.max()), float(other.max())]
    torch.testing.assert_close(mean["confidence"], (shares[0] * one + shares[1] * other) / sum(shares))


def test_of_one_class_nothing_can_be_told_apart() -> None:
    student = torch.randn(4, 1, requires_grad=True)
    value = decoupled(student, torch.ones(4, 1), torch.zeros(4, dtype=torch.int64), temperature=4.0)
    value.backward()
    assert value.item() == 0.0
    assert not student.grad.any()
