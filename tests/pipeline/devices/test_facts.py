"""What a device's state and its lacks are told as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.devices.facts import DeviceFacts, doubts_of, install_command, missing_anyway, missing_for
from pipeline.devices.there import examination
from pipeline.devices.there.examination import examine


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(examine(tmp_path)))
    return found


def test_governor_and_heat_are_doubts_and_a_steady_cool_device_has_none() -> None:
    assert doubts_of(["performance"], 60.0) == []
    assert "(governor ondemand, powersave)" in doubts_of(["ondemand", "powersave"], 60.0)[0]
    assert doubts_of([], 84.6) == ["it was 85 °C hot: its clocks may have been held back"]


def test_either_wheel_of_onnxruntime_will_do(told: dict[str, Any]) -> None:
    versions = {"numpy": "2.0.2", "pillow": None, "onnxruntime": None, "onnxruntime-gpu": "1.20.0", "openvino": None}
    facts = DeviceFacts.of({**told, "versions": versions})

    assert missing_for(facts, ("onnxruntime", "numpy", "pillow", "openvino")) == ["pillow", "openvino"]
    assert missing_anyway(facts) == ["pillow"]
    assert missing_anyway(DeviceFacts.of({**told, "versions": {}})) == ["numpy", "pillow", "onnxruntime"]


def test_what_installs_is_one_command_for_this_machine() -> None:
    found = install_command("ssh://pi", "~/edgewright/bin/python", ["numpy", "pillow"])
    assert found == "ssh ssh://pi '~/edgewright/bin/python -m pip install numpy pillow'"


def test_governors_and_the_hottest_zone_are_read_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for core, name in ((0, "ondemand"), (1, "ondemand"), (10, "performance")):
        folder = tmp_path / "cpu" / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    for zone, text in ((0, "48312\n"), (1, "61000\n")):
        (tmp_path / "thermal" / f"thermal_zone{zone}").mkdir(parents=True)
        (tmp_path / "thermal" / f"thermal_zone{zone}" / "temp").write_text(text)
    monkeypatch.setattr(examination, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(examination, "_ZONES", tmp_path / "thermal")

    assert (examination.governors(), examination.celsius()) == (["ondemand", "performance"], 61.0)

    monkeypatch.setattr(examination, "_ZONES", tmp_path / "none")
    assert examination.celsius() is None
