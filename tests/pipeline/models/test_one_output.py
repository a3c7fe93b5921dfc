"""Which of several outputs is the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.one_output import answer_with_one_tensor, described, kind_of_one_number, split_outputs

LOGITS, OTHER, FEATURES = torch.zeros(2, 3), torch.ones(2, 3), torch.ones(2, 64)


@dataclass
class Answer:
    """What libraries for many tasks return."""

    loss: None
    hidden: torch.Tensor
    logits: torch.Tensor


@pytest.mark.parametrize(
    ("outputs", "name", "auxiliary"),
    [
        (LOGITS, None, 0),
        ((LOGITS, OTHER), None, 1),
        ([LOGITS, FEATURES], None, 0),
        ((FEATURES, LOGITS), "1", 0),
        ({"features": FEATURES, "logits": LOGITS}, None, 0),
        ({"out": LOGITS, "aux": OTHER}, None, 1),
        ({"first": LOGITS, "second": FEATURES}, None, 0),
        ({"features": FEATURES, "scores": LOGITS}, None, 0),
        ((FEATURES, LOGITS, OTHER), None, 1),
        ({"out": FEATURES, "scores": LOGITS}, None, 0),
        ({"features": FEATURES, "cls": LOGITS}, "cls", 0),
        (Answer(loss=None, hidden=FEATURES, logits=LOGITS), None, 0),
    ],
)
def test_the_named_the_customary_or_the_first_tensor_that_fits_is_the_answer(
    outputs: object, name: str | None, auxiliary: int
) -> None:
    main, others = split_outputs(outputs, name, classes=3)

    assert main is LOGITS
    assert len(others) == auxiliary


def test_an_output_that_is_not_there_is_an_error_that_lists_what_came() -> None:
    with pytest.raises(UsageError) as raised:
        split_outputs({"logits": LOGITS, "features": FEATURES}, "scores", classes=3)

    assert str(raised.value).splitlines()[:2] == [
        "the network has no output 'scores'",
        "  got: dict with logits (2, 3), features (2, 64)",
    ]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (None, "no output of the network answers with 4 classes"),
        ("features", "output 'features' of the network does not answer with 4 classes"),
    ],
)
def test_where_none_or_not_the_named_one_fits_all_that_came_is_listed(name: str | None, what: str) -> None:
    with pytest.raises(UsageError) as raised:
        split_outputs({"features": FEATURES, "scores": LOGITS}, name, classes=4)

    assert str(raised.value).splitlines() == [
        what,
        "  got: dict with features (2, 64), scores (2, 3)",
        "  expected: one of shape (images, 4)",
        (
            "  fix: let the factory take num_classes, or name the classes the network knows in the data's classes.txt, "
            "or the output with --set network.output=NAME"
        ),
    ]


def test_of_two_classes_one_number_is_an_answer() -> None:
    score = torch.zeros(2, 1)
    main, others = split_outputs({"features": FEATURES, "score": score}, None, classes=2)
    assert main is score
    assert others == ()


@pytest.mark.parametrize("outputs", [None, "text", (), {"a": 1}])
def test_no_tensor_at_all_is_an_error(outputs: object) -> None:
    with pytest.raises(UsageError, match="the network answers no tensor"):
        split_outputs(outputs, None, classes=3)


class _Two(nn.Module):
    """Answers more than one tensor in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.side = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:  # noqa: ANN401
        return (self.head(x), self.side(x)) if self.training else self.head(x)


def test_auxiliary_outputs_come_in_training_alone_and_weights_keep_their_names() -> None:
    network = answer_with_one_tensor(_Two(), None, classes=3)

    assert [type(answer) for answer in network.train()(torch.zeros(2, 4))] == [torch.Tensor, torch.Tensor]
    assert network.eval()(torch.zeros(2, 4)).shape == (2, 3)
    assert set(network.state_dict()) == {"head.weight", "head.bias", "side.weight", "side.bias"}


def test_a_description_says_kind_names_and_shapes() -> None:
    assert described((LOGITS, FEATURES)) == "tuple with 0 (2, 3), 1 (2, 64)"
    assert described(LOGITS) == "(2, 3)"
    assert described(3) == "int with no tensor"


class _One(nn.Module):
    """One number an image, in the way that is asked for."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.head, self.way = nn.Linear(4, 3 if way == "three" else 1), way

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        numbers: torch.Tensor = self.head(inputs)
        match self.way:
            case "sigmoid":
                return numbers.sigmoid()
            case "sigmoid squeezed":
                return numbers.sigmoid().squeeze(1)
            case "squeezed":
                return numbers.squeeze(1)
            case "sigmoid in between":
                return 4 * numbers.sigmoid() - 2
            case _:
                return numbers


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("plain", "logit"),
        ("squeezed", "logit"),
        ("sigmoid", "probability"),
        ("sigmoid squeezed", "probability"),
        ("sigmoid in between", "logit"),
        ("three", None),
    ],
)
def test_what_one_number_is(way: str, kind: str | None) -> None:
    network = _One(way).eval()
    for frozen in (False, True):
        network.requires_grad_(not frozen)
        assert kind_of_one_number(network, torch.randn(4, 4)) == kind


@pytest.mark.parametrize("way", ["plain", "squeezed", "sigmoid", "sigmoid squeezed"])
def test_one_number_becomes_one_for_each_class_that_mean_the_same(way: str) -> None:
    inputs, network = torch.randn(5, 4), _One(way).eval()
    alone = network(inputs).reshape(-1)
    kind = kind_of_one_number(network, inputs)

    both = answer_with_one_tensor(network, None, kind, classes=2)(inputs)

    assert both.shape == (5, 2)
    shares = both if kind == "probability" else both.softmax(dim=1)
    torch.testing.assert_close(shares[:, 1], alone if kind == "probability" else alone.sigmoid())
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(5))
