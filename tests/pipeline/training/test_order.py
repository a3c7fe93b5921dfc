"""Which images each step sees: all of them, alike often where asked, each process its part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.order import Order
from pipeline.training.ranks import Ranks


def _order(labels: torch.Tensor, **fields: Any) -> Order:  # noqa: ANN401 - fields of all kinds
    return Order(
        classes=[(label,) for label in labels.tolist()],
        **{"batch_size": 4, "seed": 3, "balanced": False, "ranks": Ranks(), **fields},
    )


@settings(deadline=None)
@given(images=st.integers(2, 60), batch_size=st.integers(2, 9), processes=st.integers(1, 4))
def test_processes_share_an_epoch_in_steps_of_the_same_size(images: int, batch_size: int, processes: int) -> None:
    labels = torch.zeros(images, dtype=torch.int64)
    parts = [
        _order(labels, batch_size=batch_size, ranks=Ranks(number, processes, processes)) for number in range(processes)
    ]
    epochs = [part.epoch(2) for part in parts]
    seen = torch.cat(epochs).tolist()
    assert len(set(seen)) == len(seen)  # nobody sees what another one does
    assert len({len(epoch) for epoch in epochs}) == 1
    rest = images - len(seen)
    assert rest < 2 * processes  # what is left out would leave a process one image or none
    assert len(torch.split(epochs[0], batch_size)) == parts[0].steps or not seen


@settings(deadline=None)
@given(images=st.integers(9, 60), processes=st.integers(1, 3), data=st.data())
def test_what_is_done_of_an_epoch_is_left_out_and_nothing_else(
    images: int, processes: int, data: st.DataObject
) -> None:
    order = _order(torch.zeros(images, dtype=torch.int64), ranks=Ranks(processes - 1, processes, processes))
    after = data.draw(st.integers(0, order.steps))
    assert torch.equal(order.epoch(1, after=after), order.epoch(1)[4 * after :])


def test_balanced_classes_come_alike_often() -> None:
    labels = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    order = _order(labels, balanced=True)
    seen = torch.cat([order.epoch(number) for number in range(5)])
    counts = torch.bincount(labels[seen], minlength=3)
    assert counts.min() > 1500
    assert counts.max() < 1850


@pytest.mark.parametrize("balanced", [False, True])
def test_every_epoch_has_an_order_of_its_own_that_the_seed_decides(balanced: bool) -> None:  # noqa: FBT001
    labels = torch.arange(40) % 3
    first, again, other = (_order(labels, balanced=balanced, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.epoch(0), again.epoch(0))
    assert not torch.equal(first.epoch(0), first.epoch(1))
    assert not torch.equal(first.epoch(0), other.epoch(0))
