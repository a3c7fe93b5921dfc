"""What leaves the other candidates of target auto in, and what ends the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import AccuracyError, DeviceError, EdgewrightError, ResourceError
from pipeline.progress import SilentProgress
from pipeline.runner.deploy import _able


def _candidates(*ends: EdgewrightError | str) -> list[Any]:
    targets = tuple(SimpleNamespace(name=str(number), end=end) for number, end in enumerate(ends))
    chain: Any = SimpleNamespace(plan=SimpleNamespace(targets=targets), progress=SilentProgress())

    def for_target(target: Any) -> Any:  # noqa: ANN401 - a made-up one
        if isinstance(target.end, EdgewrightError):
            raise target.end
        return target.end

    return _able(chain, targets, for_target)


def test_one_that_its_runtime_refuses_leaves_the_others_in() -> None:
    assert _candidates(AccuracyError("too low"), "engine") == ["engine"]
    with pytest.raises(AccuracyError):
        _candidates(AccuracyError("too low"))


@pytest.mark.parametrize("error", [DeviceError("the connection was lost"), ResourceError("the disk is full")])
def test_a_lost_device_or_a_full_disk_says_nothing_of_a_candidate(error: EdgewrightError) -> None:
    with pytest.raises(type(error)):
        _candidates("engine", error)
