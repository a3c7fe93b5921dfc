"""Attention heads: torchvision's and ours answer alike, the least go, and the network can lose more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import IntegrityError
from pipeline.models.fewer_heads import let_heads_go
from pipeline.models.form_names import FEWER_HEADS
from pipeline.models.recorded_forms import forms_of, set_forms
from pipeline.pruning.attention_heads import AttentionHeads, attentions
from pipeline.pruning.importance.criteria import CRITERIA

Transformer = tuple[nn.Module, torch.Tensor]


def _answers(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answers: torch.Tensor = network(batch)
    return answers


def _make_idle(network: nn.Module, head: int) -> None:
    """Let one head of every attention do nothing: what it saw is not used, and its weights are small."""
    for attention in attentions(network).values():
        parts: Any = attention
        if isinstance(attention, nn.MultiheadAttention):
            makes, takes, number = parts.in_proj_weight, parts.out_proj.weight, parts.num_heads
        elif hasattr(attention, "to_qkv"):
            makes, takes, number = parts.to_qkv.weight, parts.merge.weight, parts.n_heads
        else:
            makes, takes, number = parts.qkv.weight, parts.proj.weight, parts.num_heads
        with torch.no_grad():
            makes.view(3, number, -1, makes.shape[1])[:, head] *= 0.1
            takes.view(len(takes), number, -1)[:, head] = 0


def _all_but_one(heads: AttentionHeads) -> dict[str, int]:
    return {group.root: group.channels - group.copies for group in heads.groups()}


def test_our_attentions_answer_as_torchvisions_do(transformer: Transformer) -> None:
    network, batch = transformer
    before = _answers(network, batch)

    assert attentions(network)
    assert all(let_heads_go(module) for module in attentions(network).values())

    assert set(forms_of(network).values()) == {FEWER_HEADS}
    torch.testing.assert_close(_answers(network, batch), before, rtol=1e-5, atol=1e-6)


def test_a_head_that_does_nothing_goes_without_changing_the_answers(transformer: Transformer) -> None:
    network, batch = transformer
    _make_idle(network, head=1)
    before = _answers(network, batch)
    heads = AttentionHeads(network, importance="l2")
    size = sum(parameter.numel() for parameter in network.parameters())

    heads.cut(_all_but_one(heads))

    torch.testing.assert_close(_answers(network, batch), before, rtol=1e-5, atol=1e-6)
    assert sum(parameter.numel() for parameter in network.parameters()) < size


def test_heads_go_until_one_is_left(transformer: Transformer) -> None:
    network, batch = transformer
    heads = AttentionHeads(network, importance="l1")

    heads.cut(_all_but_one(heads))
    heads.cut(dict.fromkeys(attentions(network), 1))  # less than a head is wide

    assert {group.channels // group.copies for group in heads.groups()} == {1}
    assert _answers(network, batch).shape == (2, 3)


def test_a_head_is_a_step_of_its_width_and_names_its_layers(transformer: Transformer) -> None:
    network, _ = transformer
    modules = dict(network.named_modules())

    groups = AttentionHeads(network, importance="l2").groups()

    assert [group.root for group in groups] == list(attentions(network))
    for group in groups:
        assert len(group.scores) * group.copies == group.channels
        assert float(group.scores.mean()) == pytest.approx(1)
        assert modules[next(iter(group.takes))].in_features == group.channels
        assert set(group.makes) <= set(modules)


@pytest.mark.parametrize("importance", sorted(CRITERIA))
def test_by_every_importance_that_sees_weights_the_idle_head_matters_least(
    transformer: Transformer, importance: str
) -> None:
    network, batch = transformer
    _make_idle(network, head=0)
    nn.functional.cross_entropy(network(batch), torch.tensor([0, 2])).backward()

    groups = AttentionHeads(network, importance=importance).groups()

    if importance == "bn-scale":
        assert groups == []
    elif importance == "random":
        assert all(0 <= float(group.scores.min()) <= float(group.scores.max()) <= 1 for group in groups)
    else:
        assert all(int(group.scores.argmin()) == 0 for group in groups)


def test_heads_that_the_loss_does_not_reach_matter_alike_and_not_at_all(transformer: Transformer) -> None:
    groups = AttentionHeads(transformer[0], importance="taylor").groups()
    assert all(group.scores.tolist() == [0.0] * len(group.scores) for group in groups)


def test_heads_of_an_attention_that_is_to_stay_stay(transformer: Transformer) -> None:
    network, _ = transformer
    first, *others = attentions(network)
    heads = AttentionHeads(network, importance="l2", keep=[network.get_submodule(first)])
    assert [group.root for group in heads.groups()] == others


def test_an_attention_that_may_be_asked_otherwise_is_left_alone() -> None:
    network = nn.TransformerEncoderLayer(16, 2, 32)
    assert attentions(network) == {}


def test_a_form_that_a_module_cannot_have_is_one_error() -> None:
    with pytest.raises(IntegrityError, match="cannot have the form") as raised:
        set_forms(nn.Sequential(nn.Conv2d(3, 8, 3)), {"0": FEWER_HEADS}, "there")
    assert raised.value.got == "'fewer heads' for Conv2d"
    with pytest.raises(IntegrityError, match="the builder makes no module 'deep'"):
        set_forms(nn.Sequential(), {"deep": FEWER_HEADS}, "there")
