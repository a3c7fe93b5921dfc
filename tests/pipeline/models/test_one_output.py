"""Which of several outputs is the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.one_output import answer_with_one_tensor, described, split_outputs

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
        ({"features": FEATURES, "cls": LOGITS}, "cls", 0),
        (Answer(loss=None, hidden=FEATURES, logits=LOGITS), None, 0),
    ],
)
def test_the_named_the_customary_or_the_first_tensor_is_the_answer(
    outputs: object, name: str | None, auxiliary: int
) -> None:
    main, others = split_outputs(outputs, name)

    assert main is LOGITS
    assert len(others) == auxiliary


def test_an_output_that_is_not_there_is_an_error_that_lists_what_came() -> None:
    with pytest.raises(UsageError) as raised:
        split_outputs({"logits": LOGITS, "features": FEATURES}, "scores")

    assert str(raised.value).splitlines()[:2] == [
        "the network has no output 'scores'",
        "  got: dict with logits (2, 3), features (2, 64)",
    ]


@pytest.mark.parametrize("outputs", [None, "text", (), {"a": 1}])
def test_no_tensor_at_all_is_an_error(outputs: object) -> None:
    with pytest.raises(UsageError, match="the network answers no tensor"):
        split_outputs(outputs, None)


class _Two(nn.Module):
    """Answers more than one tensor in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.side = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:  # noqa: ANN401
        return (self.head(x), self.side(x)) if self.training else self.head(x)


def test_auxiliary_outputs_come_in_training_alone_and_weights_keep_their_names() -> None:
    network = answer_with_one_tensor(_Two(), None)

    assert [type(answer) for answer in network.train()(torch.zeros(2, 4))] == [torch.Tensor, torch.Tensor]
    assert network.eval()(torch.zeros(2, 4)).shape == (2, 3)
    assert set(network.state_dict()) == {"head.weight", "head.bias", "side.weight", "side.bias"}


def test_a_description_says_kind_names_and_shapes() -> None:
    assert described((LOGITS, FEATURES)) == "tuple with 0 (2, 3), 1 (2, 64)"
    assert described(LOGITS) == "(2, 3)"
    assert described(3) == "int with no tensor"
