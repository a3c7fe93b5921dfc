"""A graph that would take days is given up in one sentence, and the clock and its signal are as they were."""

from __future__ import annotations

import gc
import signal
import threading
import time

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import EdgewrightError
from pipeline.pruning import dependency_graph
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.time_limit import limited_time


def _compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_too_long_is_one_sentence_and_the_clock_stops() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(EdgewrightError, match="cannot be pruned") as raised, limited_time(0.05):
        _compute(5)
    assert raised.value.got == "following which of them depend on each other takes more than 0.05 s"
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_what_is_quick_is_left_alone() -> None:
    with limited_time(0.05):
        pass
    _compute(0.1)  # the clock that was set has been stopped


def test_elsewhere_than_in_the_main_thread_nothing_is_limited() -> None:
    ended: list[bool] = []

    def work() -> None:
        with limited_time(0.01):
            _compute(0.05)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


class _Bilinear(nn.Module):
    """Maps multiplied with each other, place by place: Lin, RoyChowdhury and Maji, 2015."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 64, 3, 2, 1), nn.ReLU())
        self.answer = nn.Linear(64 * 64, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images).flatten(2)
        answered: Tensor = self.answer(torch.bmm(maps, maps.transpose(1, 2)).flatten(1))
        return answered


def test_of_a_network_that_takes_too_long_the_parts_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependency_graph, "limited_time", lambda: limited_time(2.0))
    network = _Bilinear().eval()
    cutter = ChannelGroups(network, input_shape=(1, 3, 32, 32), outputs=5, importance="l2")

    start = time.process_time()
    gc.disable()  # callbacks of the tests' own tools are run by it, and what is raised there is lost
    try:
        found = cutter.groups()
    finally:
        gc.enable()

    assert time.process_time() - start < 20  # it would be minutes
    assert [group.root for group in found] == ["features.0"]
    assert cutter.by_parts
