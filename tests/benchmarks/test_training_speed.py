"""The comparison of training loops times training alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import training_speed

if TYPE_CHECKING:
    import pytest


def test_images_are_read_into_memory_once_for_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = list[object]()
    monkeypatch.setattr(training_speed, "_ours", lambda *_, **__: 2.0)
    monkeypatch.setattr(training_speed, "_bare", lambda data, _schedule: trained.append(data) or 1.0)
    in_memory, from_files, _ = training_speed.compare_training(rounds=3, side=8, images=2)

    assert [len(set(map(id, part))) for part in (trained[:3], trained[3:])] == [1, 3]
    assert in_memory.value == from_files.value == 2.0
