"""Classification's formulas, each against another way to write it down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from pipeline.data.dataset import Sample
from pipeline.tasks import Accuracy, agreement
from pipeline.tasks.classification import Classification
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.images import Batch
from pipeline.training.mixing import Mixed

if TYPE_CHECKING:
    from collections.abc import Iterable

_TASK = Classification()
_SHAPES = st.tuples(st.integers(1, 6), st.integers(2, 5))
_LOGIT = st.floats(-20, 20, width=32)
_TEMPERATURE = st.floats(0.5, 10)
_quick = settings(max_examples=50, deadline=None)


def _logits(shape: tuple[int, int]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, shape, elements=_LOGIT)


@st.composite
def _labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(_SHAPES)
    return draw(_logits(shape)), draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))


@st.composite
def _taught(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    shape = draw(_SHAPES)
    return draw(_logits(shape)), draw(st.lists(_logits(shape), min_size=1, max_size=3))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _batch(labels: np.ndarray, mixed: Mixed | None = None) -> Batch:
    """Images are not looked at."""
    told = torch.from_numpy(labels)
    return Batch(indices=torch.arange(len(told)), inputs=torch.zeros(0), labels=told, view=0, mixed=mixed)


_NOT_LOOKED_AT = _batch(np.zeros(0, dtype=np.int64))


def _teaching(temperature: float) -> Teaching:
    return Teaching(temperature=temperature)


def _distilled(student: np.ndarray, teachers: list[np.ndarray], temperature: float) -> float:
    tensors = [{"logits": torch.from_numpy(logits)} for logits in teachers]
    return float(_TASK.distillation_loss(torch.from_numpy(student), tensors, _NOT_LOOKED_AT, _teaching(temperature)))


@_quick
@given(_labelled())
def test_the_loss_is_the_mean_of_minus_log_the_probability_of_the_label(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    wanted = -np.mean(np.log(_softmax(logits)[np.arange(len(labels)), labels]))
    found = float(_TASK.loss(torch.from_numpy(logits), _batch(labels)))
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_the_loss_of_mixed_images_is_mixed_as_they_are() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3))
    own, other, share = np.array([0, 1, 2, 0, 1]), np.array([2, 1, 0, 1, 1]), np.array([1.0, 0.5, 0.7, 0.9, 0.6])
    mixed = Mixed(labels=torch.from_numpy(other), share=torch.from_numpy(share))
    targets = np.eye(3)[own] * share[:, None] + np.eye(3)[other] * (1 - share)[:, None]
    wanted = -np.mean(np.sum(targets * np.log(_softmax(logits)), axis=1))
    assert float(_TASK.loss(torch.from_numpy(logits), _batch(own, mixed))) == pytest.approx(wanted, rel=1e-9)


@_quick
@given(_taught(), _TEMPERATURE)
def test_distillation_is_the_divergence_from_the_softened_mean_of_the_probabilities(
    case: tuple[np.ndarray, list[np.ndarray]], temperature: float
) -> None:
    student, teachers = case
    mean = sum(_softmax(logits) for logits in teachers) / len(teachers)
    target = _softmax(np.log(mean) / temperature)
    predicted = _softmax(student / temperature)
    # Kullback-Leibler is the cross-entropy less the target's own entropy, in the mean over the batch.
    cross, own = (-np.sum(target * np.log(other), axis=1).mean() for other in (predicted, target))
    wanted = temperature**2 * (cross - own)
    assert _distilled(student, teachers, temperature) == pytest.approx(wanted, rel=1e-7, abs=1e-7)


@_quick
@given(_taught(), _TEMPERATURE)
def test_a_student_that_says_what_its_one_teacher_says_has_nothing_to_learn(
    case: tuple[np.ndarray, list[np.ndarray]], temperature: float
) -> None:
    student, _ = case
    assert _distilled(student, [student], temperature) == pytest.approx(0, abs=1e-9)
    assert _distilled(student + 3.0, [student], temperature) == pytest.approx(0, abs=1e-7)  # softmax knows no offset


@_quick
@given(_taught(), _TEMPERATURE)
def test_distillation_is_never_negative(case: tuple[np.ndarray, list[np.ndarray]], temperature: float) -> None:
    assert _distilled(*case, temperature) >= -1e-9


@_quick
@given(_taught(), _TEMPERATURE)
def test_an_ensemble_counts_by_its_mean_probabilities_whatever_the_order(
    case: tuple[np.ndarray, list[np.ndarray]], temperature: float
) -> None:
    student, teachers = case
    mean = sum(_softmax(logits) for logits in teachers) / len(teachers)
    one = [np.log(mean)]  # logits of a single teacher that says the same
    found = _distilled(student, teachers, temperature)
    assert found == pytest.approx(_distilled(student, one, temperature), rel=1e-7, abs=1e-7)
    assert found == pytest.approx(_distilled(student, teachers[::-1], temperature), rel=1e-7, abs=1e-7)


def test_an_ensemble_is_not_the_mean_of_its_logits() -> None:
    teachers = [np.array([[9.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])]
    student = np.zeros((1, 3))
    assert _distilled(student, teachers, 1.0) != pytest.approx(_distilled(student, [sum(teachers) / 2], 1.0), rel=0.05)


def test_the_gradients_size_does_not_depend_on_a_high_temperature() -> None:
    # Hinton et al., section 2: far above the logits the gradient tends to (student - teacher) / classes.
    teacher = torch.tensor([[1.0, -1.0, 0.0]], dtype=torch.float64)
    for temperature in (100.0, 1000.0):
        student = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
        _TASK.distillation_loss(student, [{"logits": teacher}], _NOT_LOOKED_AT, _teaching(temperature)).backward()
        torch.testing.assert_close(student.grad, -teacher / 3, rtol=0.02, atol=5e-3)


def _samples(labels: list[int]) -> list[Sample]:
    return [Sample(path=Path("x"), name=str(i), label=label, sha256=str(i)) for i, label in enumerate(labels)]


def _alone(outputs: Iterable[np.ndarray]) -> list[tuple[np.ndarray]]:
    """Each image's one output."""
    return [(output,) for output in outputs]


def _agreement(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray]) -> float:
    return agreement(_TASK, *(_TASK.decide(_alone(one)) for one in (ours, theirs)))


def _calibration_error(logits: np.ndarray, labels: list[int]) -> float:
    """Guo et al., 2017, equation 3, bin by bin."""
    shares = _softmax(logits)
    confidence, hits = shares.max(axis=1), shares.argmax(axis=1) == labels
    total = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            total += inside.sum() / len(labels) * abs(hits[inside].mean() - confidence[inside].mean())
    return total


@_quick
@given(_labelled())
def test_the_calibration_error_is_the_papers(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case[0].round(3), case[1]  # differences that softmax would round away are ties in one of the two
    assume(not _TASK.gives_probabilities(_alone(logits)))
    found = _TASK.score(_alone(logits), _samples(labels.tolist())).calibration_error
    assert found == pytest.approx(_calibration_error(logits, labels.tolist()), abs=1e-9)


def test_the_score_is_the_fraction_of_images_whose_largest_logit_is_the_labels() -> None:
    outputs = [
        np.array([0.1, 2.0, -1.0]),
        np.array([5.0, 4.9, 4.8]),
        np.array([-3.0, -2.0, -1.0]),
        np.array([1.0, 0, 0]),
    ]
    assert _TASK.score(_alone(outputs), _samples([1, 1, 2, 0])) == Accuracy(
        metric="top1",
        value=0.75,
        n=4,
        per_image=(1.0, 0.0, 1.0, 1.0),
        decisions=(1, 0, 2, 0),
        calibration_error=pytest.approx(_calibration_error(np.stack(outputs), [1, 1, 2, 0])),
    )


@_quick
@given(_labelled())
def test_the_score_is_the_mean_of_what_the_images_contribute(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    found = _TASK.score(_alone(logits), _samples(labels.tolist()))
    assert found.decisions == tuple(logits.argmax(axis=1))
    assert found.n == len(labels) == len(found.per_image)
    assert found.value == pytest.approx(np.mean(logits.argmax(axis=1) == labels))
    assert found.value == pytest.approx(np.mean(found.per_image))


def test_outputs_and_samples_of_different_number_are_never_scored() -> None:
    with pytest.raises(ValueError, match="argument"):
        _TASK.score(_alone([np.zeros(3)]), _samples([0, 1]))


def test_agreement_is_the_fraction_of_images_on_which_both_decide_the_same() -> None:
    ours = [np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 0.0])]
    theirs = [np.array([9.0, 8.0]), np.array([0.2, 0.1]), np.array([-1.0, -2.0])]
    assert _TASK.alike(*(_TASK.decide(_alone(one)) for one in (ours, theirs))) == (True, False, True)
    assert _agreement(ours, theirs) == pytest.approx(2 / 3)


@_quick
@given(_taught())
def test_agreement_is_symmetric_and_complete_with_oneself(case: tuple[np.ndarray, list[np.ndarray]]) -> None:
    ours, (theirs, *_) = case
    assert _agreement(ours, theirs) == _agreement(theirs, ours)
    assert _agreement(ours, ours) == 1.0


def test_answers_of_a_sigmoid_for_several_classes_are_remarked_on() -> None:
    sigmoids = _alone([np.array([0.4, 0.6, 0.3]), np.array([0.5, 0.2, 0.9])])
    (told,) = _TASK.remarks(sigmoids, "abc", None, trained=True)
    assert "as after a sigmoid" in told
    assert _TASK.remarks(_alone([np.array([0.4, -0.6, 0.3])]), "abc", None, trained=True) == ()


def test_the_deployable_form_is_the_network_itself() -> None:
    network = nn.Linear(2, 3)
    assert _TASK.deployable(network, (1, 1, 2, 2)) is network


@pytest.mark.parametrize(
    ("right", "told"), [(3, "is right on 60.00 %, guessing the commonest class on 50.00 %"), (4, None)]
)
def test_without_looking_the_commonest_class_is_the_best_answer(right: int, told: str | None) -> None:
    found = Accuracy(metric="top1", value=right / 5, n=5, per_image=(), decisions=())

    assert _TASK.hardly_learned(found, _samples([2, 0, 2, 1])) == told


@_quick
@given(_labelled())
def test_the_mean_loss_is_that_of_training(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    trained_on = _TASK.loss(torch.from_numpy(logits).double(), _batch(labels))
    assert _TASK.mean_loss(_alone(logits), _samples(labels.tolist())) == pytest.approx(float(trained_on), abs=1e-6)


def test_what_was_scored_survives_json() -> None:
    found = _TASK.score(_alone([np.zeros(3), np.ones(3)]), _samples([0, 1]))
    assert Accuracy.from_json(json.loads(json.dumps(found.to_json()))) == found
