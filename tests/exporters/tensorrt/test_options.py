"""What a builder can be told, and what it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.options import TensorRtOptions
from pipeline.errors import UsageError


@pytest.mark.parametrize(
    ("values", "got", "expected"),
    [
        ({"workspace_bytes": 1000}, "1000", "at least 1048576 (1 MiB)"),
        ({"optimization_level": 6}, "6", "0 to 5"),
        ({"optimization_level": -1}, "-1", "0 to 5"),
        ({"batches": (2, 1, 4)}, "(2, 1, 4)", "least, usual and largest batch, from 1, in this order"),
        ({"batches": (0, 1, 4)}, "(0, 1, 4)", "least, usual and largest batch, from 1, in this order"),
        ({"capabilities": ("8.6",)}, "8.6", "compute capabilities such as sm86"),
        ({"capabilities": ("sm86", "sm86")}, "sm86, sm86", "each capability once"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_no_builder_takes_is_refused_with_what_it_does(values: dict[str, Any], got: str, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        TensorRtOptions(**values)
    (name,) = values
    assert str(raised.value) == (f"TensorRT options: {name} cannot be that\n  got: {got}\n  expected: {expected}")


@pytest.mark.parametrize("values", [{"version_compatible": True}, {"hardware_compatible": True}], ids=str)
def test_an_option_that_only_tensorrt_has_is_refused_by_the_one_for_rtx(values: dict[str, Any]) -> None:
    options = TensorRtOptions(**values)
    options.check(FLAVOURS["tensorrt"])
    with pytest.raises(UsageError, match=f"tensorrt-rtx has no option {next(iter(values))}"):
        options.check(FLAVOURS["tensorrt-rtx"])


def test_compute_capabilities_are_only_the_one_for_rtxs() -> None:
    options = TensorRtOptions(capabilities=("sm86",))
    options.check(FLAVOURS["tensorrt-rtx"])
    with pytest.raises(UsageError, match="tensorrt has no option capabilities"):
        options.check(FLAVOURS["tensorrt"])


def test_options_come_back_from_json_the_same() -> None:
    options = TensorRtOptions(workspace_bytes=1 << 30, batches=(1, 2, 4), capabilities=("sm86", "sm120"))
    assert TensorRtOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
