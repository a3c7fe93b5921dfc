"""What a device's state and its lacks are told as."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.machine.disturbance import slowed
from pipeline.catalog import target_named
from pipeline.devices.checkup import checkup
from pipeline.devices.device import Device
from pipeline.devices.entries import DeviceEntry
from pipeline.devices.facts import DeviceFacts, doubts_of, how_to_install, missing_anyway, missing_for
from pipeline.devices.fitness import target_lacks
from pipeline.devices.there import clocks, examination
from pipeline.devices.there.clocks import ClockWatch
from pipeline.devices.there.examination import examine
from pipeline.progress import SilentProgress


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(examine(tmp_path)))
    return found


def test_governor_and_heat_are_doubts_and_a_steady_cool_device_has_none() -> None:
    assert doubts_of(["performance"], 60.0) == []
    assert "follow the load (governor ondemand, schedutil)" in doubts_of(["ondemand", "schedutil"], 60.0)[0]
    assert doubts_of([], 84.6) == ["it was 85 °C hot: its clocks may have been held back"]


_LOWEST = "its clocks are held at their lowest (governor powersave)"
_FOLLOW = "its clocks follow the load (governor powersave)"


@pytest.mark.parametrize(
    ("governors", "driver", "told"),
    [
        (["powersave"], "cpufreq-dt", [_LOWEST]),
        (["powersave"], "intel_cpufreq", [_LOWEST]),
        (["powersave"], None, [_LOWEST]),
        (["powersave"], "intel_pstate", [_FOLLOW]),
        (["powersave"], "amd-pstate-epp", [_FOLLOW]),
        (["userspace"], "cpufreq-dt", ["its clocks are where somebody set them (governor userspace)"]),
        (
            ["ondemand", "performance", "powersave"],
            "cpufreq-dt",
            [
                "its clocks follow the load (governor ondemand)",
                _LOWEST,
            ],
        ),
    ],
)
def test_what_a_governor_does_with_the_clocks_is_told(
    governors: list[str], driver: str | None, told: list[str]
) -> None:
    doubts = doubts_of(governors, clock_driver=driver)
    assert [doubt.partition(";")[0] for doubt in doubts] == told
    assert all("echo performance | sudo tee" in doubt for doubt in doubts)


def test_what_was_measured_under_powersave_is_kept_by_the_driver_too(told: dict[str, Any]) -> None:
    def identity(governor: str, driver: str | None) -> str:
        device = Device("pi", DeviceEntry(address="ssh://pi"), SilentProgress())
        device.facts = DeviceFacts.of({**told, "governors": [governor], "clock_driver": driver})
        return device.identity

    assert (
        identity("powersave", "intel_pstate") != identity("powersave", "intel_cpufreq") != identity("powersave", None)
    )
    assert identity("ondemand", "acpi-cpufreq") == identity("ondemand", None)


def test_heat_is_told_once_by_what_was_measured_and_else_by_whoever_looks_the_device_over(told: dict[str, Any]) -> None:
    hot: Any = SimpleNamespace(
        facts=DeviceFacts.of({**told, "celsius": 84.6, "governors": ["performance"]}),
        entry=DeviceEntry(address="ssh://pi"), name="pi",
    )  # fmt: skip
    assert slowed([{"celsius": [80.0, 84.6]}]) == ["the device was 85 °C hot: its clocks may have been held back"]
    assert Device.doubts(hot) == []
    assert checkup(hot).doubts == ("it was 85 °C hot: its clocks may have been held back",)


def test_either_wheel_of_onnxruntime_will_do(told: dict[str, Any]) -> None:
    versions = {"numpy": "2.0.2", "pillow": None, "onnxruntime": None, "onnxruntime-gpu": "1.20.0", "openvino": None}
    facts = DeviceFacts.of({**told, "versions": versions})

    assert missing_for(facts, ("onnxruntime", "numpy", "pillow", "openvino")) == ["pillow", "openvino"]
    assert missing_anyway(facts) == ["pillow"]
    assert missing_anyway(DeviceFacts.of({**told, "versions": {}})) == ["numpy", "pillow", "onnxruntime"]


def test_a_runtime_that_is_too_old_is_missing(told: dict[str, Any]) -> None:
    versions = {"numpy": "2.0.2", "pillow": "11.0", "onnxruntime": "1.9.0", "openvino": "2025.4.1"}
    facts = DeviceFacts.of({**told, "versions": versions})

    assert missing_for(facts, ("onnxruntime", "numpy", "openvino")) == ["onnxruntime>=1.18"]
    assert missing_anyway(facts) == []  # OpenVINO is a runtime too
    assert missing_anyway(DeviceFacts.of({**told, "versions": {**versions, "openvino": None}})) == ["onnxruntime>=1.18"]


@pytest.mark.parametrize(
    ("no_gpu", "name", "told_fix"),
    [
        (None, "box", "edgewright device check box --install --target ort-cuda"),
        ("it has none", "box", "edgewright device check box --install"),
        (
            "it has none",
            "ssh://box",
            (
                "ssh ssh://pi '~/edgewright/bin/python -m pip uninstall -y onnxruntime onnxruntime-gpu && "
                "~/edgewright/bin/python -m pip install onnxruntime'"
            ),
        ),
    ],
)
def test_both_wheels_of_onnxruntime_are_to_be_mended(
    told: dict[str, Any], no_gpu: str | None, name: str, told_fix: str
) -> None:
    versions = {"numpy": "2.0.2", "pillow": "11.0", "onnxruntime": "1.20.0", "onnxruntime-gpu": "1.20.1"}
    box = _device(told, name, versions=versions, no_gpu=no_gpu)
    box.entry.least_free_mib, box.entry.cores = 0, None
    both = "onnxruntime 1.20.0 and onnxruntime-gpu 1.20.1"
    assert checkup(box).missing == (f"{both} are both installed and overwrite each other's files: {told_fix}",)
    box.facts = DeviceFacts.of({**told, "versions": {**versions, "onnxruntime": None}, "no_gpu": no_gpu})
    assert checkup(box).missing == ()


@pytest.mark.parametrize(("found", "missing"), [("8.4.0", ["pillow>=9.1"]), ("9.0.1", ["pillow>=9.1"]), ("9.1.0", [])])
def test_a_pillow_that_lacks_what_bundles_call_is_missing(told: dict[str, Any], found: str, missing: list[str]) -> None:
    versions = {"numpy": "2.0.2", "pillow": found, "onnxruntime": "1.20.0"}
    facts = DeviceFacts.of({**told, "versions": versions})
    assert missing_anyway(facts) == missing_for(facts, target_named("ort-cpu").runtime) == missing


def _device(told: dict[str, Any], name: str, **facts: object) -> Any:  # noqa: ANN401 - as much of a device as is asked
    entry = SimpleNamespace(address="ssh://pi", python="~/edgewright/bin/python")
    return SimpleNamespace(name=name, entry=entry, facts=DeviceFacts.of({**told, **facts}))


def test_what_installs_is_one_command_for_this_machine(told: dict[str, Any]) -> None:
    missing = ["numpy", "onnxruntime>=1.18"]
    assert how_to_install(_device(told, "pi"), missing) == "edgewright device check pi --install"
    openvino = how_to_install(_device(told, "pi"), missing, "openvino")
    assert openvino == "edgewright device check pi --install --target openvino"
    found = how_to_install(_device(told, "ssh://pi"), ["numpy", "pillow"])
    assert found == "ssh ssh://pi '~/edgewright/bin/python -m pip install numpy pillow'"
    assert "64-bit system" in how_to_install(_device(told, "pi", bits=32), missing)


def test_a_target_of_a_gpu_lacks_it_where_there_is_none(told: dict[str, Any]) -> None:
    versions = {"numpy": "2.0.2", "pillow": "11.0", "onnxruntime-gpu": "1.20.0"}
    without = _device(told, "pi", versions=versions, no_gpu="no NVIDIA GPU: none")

    assert target_lacks(target_named("ort-cuda"), without) == "no NVIDIA GPU: none"
    assert target_lacks(target_named("ort-cpu"), without) is None
    assert target_lacks(target_named("ort-cuda"), _device(told, "pi", versions=versions, no_gpu=None)) is None


_LOWERED = "the highest clock that the kernel allows was lowered meanwhile"


@pytest.mark.parametrize(
    ("now_khz", "ceilings_khz", "firmware", "reasons"),
    [
        (1_500_000, (1_500_000, 1_500_000), ("0x0", "0x0"), []),
        (900_000, (1_500_000, 1_500_000), ("0x0", "0x0"), ["its clocks came to 60 % of what they may"]),
        (1_000_000, (1_500_000, 1_000_000), ("0x0", "0x0"), [_LOWERED]),
        (1_500_000, (1_500_000, 1_500_000), ("0x50000", "0x50000"), []),  # before, not meanwhile
        (1_500_000, (1_500_000, 1_500_000), ("0x0", "0x40000"), ["it was throttled"]),
        (1_500_000, (1_500_000, 1_500_000), ("0x50005", "0x50000"), ["its supply was too weak", "it was throttled"]),
    ],
)  # fmt: skip
def test_clocks_that_were_held_back_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now_khz: int, ceilings_khz: tuple[int, int],
    firmware: tuple[str, str], reasons: list[str],
) -> None:  # fmt: skip
    folder = tmp_path / "cpu" / "cpu3" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("ondemand\n")
    (folder / "scaling_cur_freq").write_text(f"{now_khz}\n")
    (folder / "scaling_max_freq").write_text(f"{ceilings_khz[0]}\n")
    (tmp_path / "throttled").write_text(f"{firmware[0]}\n")
    monkeypatch.setattr(clocks, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(clocks, "_FIRMWARE", tmp_path / "throttled")
    monkeypatch.setattr(clocks, "_EVERY_S", 0.001)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    with ClockWatch([3]) as watch:
        until = time.monotonic() + 60
        while len(watch._seen) < clocks._LEAST_LOOKS and time.monotonic() < until:
            time.sleep(0.001)
        (folder / "scaling_max_freq").write_text(f"{ceilings_khz[1]}\n")
        (tmp_path / "throttled").write_text(f"{firmware[1]}\n")

    assert watch.reasons == reasons


@pytest.mark.parametrize("governor", ["powersave", "userspace"])
def test_clocks_that_somebody_set_below_the_highest_are_not_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, governor: str
) -> None:
    folder = tmp_path / "cpu" / "cpu3" / "cpufreq"
    folder.mkdir(parents=True)
    for name, text in (("governor", governor), ("cur_freq", "600000"), ("max_freq", "1500000")):
        (folder / f"scaling_{name}").write_text(f"{text}\n")
    monkeypatch.setattr(clocks, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(clocks, "_FIRMWARE", tmp_path / "none")
    monkeypatch.setattr(clocks, "_EVERY_S", 0.001)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    with ClockWatch([3]) as watch:
        time.sleep(0.05)

    assert watch.reasons == []


@pytest.mark.parametrize(("cores", "reasons"), [([3], []), ([2, 3], [_LOWERED]), ([], [_LOWERED])])
def test_a_core_on_which_nothing_was_timed_may_be_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: list[int], reasons: list[str]
) -> None:
    for core in (2, 3):
        (tmp_path / f"cpu{core}" / "cpufreq").mkdir(parents=True)
        (tmp_path / f"cpu{core}" / "cpufreq" / "scaling_max_freq").write_text("1500000\n")
    monkeypatch.setattr(clocks, "_CPUS", tmp_path)
    monkeypatch.setattr(clocks, "_FIRMWARE", tmp_path / "none")

    with ClockWatch(cores) as watch:
        (tmp_path / "cpu2" / "cpufreq" / "scaling_max_freq").write_text("1000000\n")

    assert watch.reasons == reasons


def test_governors_and_the_hottest_zone_are_read_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for core, name in ((0, "ondemand"), (1, "ondemand"), (10, "performance")):
        folder = tmp_path / "cpu" / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
        (folder / "scaling_driver").write_text("cpufreq-dt\n")
    for zone, text in ((0, "48312\n"), (1, "61000\n")):
        (tmp_path / "thermal" / f"thermal_zone{zone}").mkdir(parents=True)
        (tmp_path / "thermal" / f"thermal_zone{zone}" / "temp").write_text(text)
    monkeypatch.setattr(examination, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(examination, "_ZONES", tmp_path / "thermal")

    assert (examination.governors(), examination.celsius()) == (["ondemand", "performance"], 61.0)
    assert examination.clock_driver() == "cpufreq-dt"

    monkeypatch.setattr(examination, "_CPUS", tmp_path / "none")
    assert examination.clock_driver() is None

    monkeypatch.setattr(examination, "_ZONES", tmp_path / "none")
    assert examination.celsius() is None
