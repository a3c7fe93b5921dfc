"""What is kept of a classifier's logits gives its probabilities back."""

from __future__ import annotations

import pytest
import torch

from pipeline.tasks.distillation.kept_logits import kept_logits, logits_of


def _logits(classes: int) -> torch.Tensor:
    return 3 * torch.randn(8, classes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("classes", [3, 100])
def test_of_few_classes_each_is_kept(classes: int) -> None:
    said = logits_of(kept_logits(_logits(classes)), classes)
    assert said.dtype == torch.float32
    assert float(said.max(dim=1).values.abs().max()) == 0
    torch.testing.assert_close(said.softmax(dim=1), _logits(classes).softmax(dim=1), atol=2e-3, rtol=2e-2)


@pytest.mark.parametrize(("classes", "bits"), [(101, 16), (32_768, 16), (32_769, 32)])
def test_the_number_of_a_class_takes_as_few_bits_as_it_can(classes: int, bits: int) -> None:
    logits = torch.zeros(2, classes)
    logits[0, 0], logits[1, classes - 1] = 9.0, 9.0
    kept = kept_logits(logits)
    assert torch.iinfo(kept["places"].dtype).bits == bits
    assert logits_of(kept, classes).argmax(dim=1).tolist() == [0, classes - 1]


def test_of_many_classes_the_likeliest_are_kept_and_the_rest_shares_what_is_left() -> None:
    logits = _logits(1000)
    said = logits_of(kept_logits(logits), 1000).softmax(dim=1)
    wanted = logits.softmax(dim=1)
    top = wanted.topk(100, dim=1).indices
    torch.testing.assert_close(said.gather(1, top), wanted.gather(1, top), atol=1e-3, rtol=2e-2)
    rest = said.scatter(1, top, torch.nan)
    for row, whole in zip(rest, wanted.scatter(1, top, 0.0), strict=True):
        left = row[~row.isnan()]
        assert left.unique().numel() == 1
        assert float(left.sum()) == pytest.approx(float(whole.sum()), rel=2e-2)


@pytest.mark.parametrize("classes", [3, 1000])
@pytest.mark.parametrize("ruled_out", [-torch.inf, -1e9, torch.finfo(torch.float32).min])
def test_classes_that_a_network_rules_out_are_kept_as_numbers(classes: int, ruled_out: float) -> None:
    logits = _logits(classes)
    logits[:, 2:] = ruled_out
    kept = kept_logits(logits)
    assert all(bool(one.isfinite().all()) for one in kept.values())  # or a file of them would count as damaged
    torch.testing.assert_close(
        logits_of(kept, classes).softmax(dim=1), logits.softmax(dim=1), atol=2e-3, rtol=2e-2, check_dtype=False
    )
