"""What a builder can be told, and what it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.options import TensorRtOptions
from pipeline.errors import UsageError


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"workspace_bytes": 1000}, "greater than or equal to 1048576"),
        ({"optimization_level": 6}, "less than or equal to 5"),
        ({"optimization_level": -1}, "greater than or equal to 0"),
        ({"largest_batch": 0}, "greater than 0"),
        ({"capabilities": ("8.6",)}, "should match pattern"),
        ({"capabilities": ("sm86", "sm86")}, "a capability stands twice"),
        ({"workspace": 1 << 30}, "Extra inputs are not permitted"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_no_builder_takes_is_refused_with_what_it_does(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TensorRtOptions(**values)


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
    options = TensorRtOptions(workspace_bytes=1 << 30, largest_batch=4, capabilities=("sm86", "sm120"))
    assert TensorRtOptions.model_validate(json.loads(json.dumps(options.to_json()))) == options
