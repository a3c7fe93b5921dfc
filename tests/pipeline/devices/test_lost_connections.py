"""A connection lost at any moment of a measurement or a run: told, nothing left running, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.solo import Profile
from pipeline.catalog import OPENERS
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.devices.device import Device
from pipeline.errors import DeviceError
from pipeline.measuring.bundle_measurement import measure_bundle
from pipeline.progress import SilentProgress
from pipeline.runner.deploy import deploy
from pipeline.store import Store

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.recipe import Recipe

MakeDevice = Callable[..., Device]

_MOMENTS, _LATEST_S, _GONE_S = 30, 3.0, 5.0
_RUNS = 10
_PROFILE = Profile(processes=1, iterations=10**9, min_iterations=1, max_s=2.0, warmup_s=0.0, warmup_limit=40)


def _running(there: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            command = path.read_bytes().decode(errors="replace")
            if any(word.startswith(f"{there}/code") for word in command.split("\0")):
                found.append(command)
    return found


@pytest.mark.slow
def test_thirty_lost_connections_are_thirty_resumed_measurements(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test, trained.preprocess)
    there, generator = tmp_path / "there", random.Random(0)
    with device() as connected:
        undisturbed = connected.collect_outputs(*what, SilentProgress())
        assert connected.clean() > 0
    lost = 0
    for number in range(_MOMENTS):
        blow = generator.choice((signal.SIGKILL, signal.SIGSTOP))
        moment_s = generator.uniform(0.0, _LATEST_S)
        failed: list[DeviceError] = []
        with device() as connected:
            work = threading.Thread(target=_measured, args=(connected, trained, colours, failed))
            work.start()
            time.sleep(moment_s)
            with suppress(ProcessLookupError):
                os.kill(connected.connection.master_pid, blow)
            time.sleep(_GONE_S)
            assert _running(there) == [], f"moment {number}: {moment_s:.2f} s"
            with suppress(ProcessLookupError):  # what stands still says nothing for longer than a test should wait
                os.kill(connected.connection.master_pid, signal.SIGKILL)
            work.join(timeout=30)
        lost += len(failed)
        assert all(error.what == "the connection was lost" for error in failed)
        with device() as connected:
            found = connected.collect_outputs(*what, SilentProgress())
            assert not list((there / "cache").glob("*.part"))
        assert all(np.array_equal(a, b) for one, two in zip(found, undisturbed, strict=True) for a, b in zip(one, two))  # noqa: B905
        assert list((there / "jobs").iterdir()) == []
    assert lost > _MOMENTS // 2  # most of the moments fell into the work


def _measured(connected: Device, bundle: Bundle, colours: Dataset, failed: list[DeviceError]) -> None:
    try:
        measure_bundle(bundle, colours, _PROFILE, SilentProgress(), threads=1, device=connected)
    except DeviceError as error:
        failed.append(error)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_deploys_that_lose_the_device_make_the_same_bundle_in_the_end(
    device: MakeDevice, short: Recipe, tmp_path: Path
) -> None:
    """A link lost between two measurements is made again; one lost within a measurement ends the run, which goes on."""
    start = time.monotonic()
    with device(lasting=True) as connected:
        undisturbed = _deployed(connected, short, tmp_path / "undisturbed")
    whole_s, generator, lost = time.monotonic() - start, random.Random(1), 0
    for number in range(_RUNS):
        home, moment_s, failed = tmp_path / str(number), generator.uniform(0.0, whole_s), list[DeviceError]()
        with device(lasting=True) as connected:
            work = threading.Thread(target=_tried, args=(connected, short, home, failed))
            work.start()
            work.join(moment_s)
            with suppress(ProcessLookupError):
                os.kill(connected.connection.master_pid, signal.SIGKILL)
            work.join()
        deadline = time.monotonic() + _GONE_S
        while _running(tmp_path / "there") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _running(tmp_path / "there") == [], f"run {number}: {moment_s:.2f} s"
        assert all(error.what == "the connection was lost" for error in failed)
        lost += len(failed)
        with device(lasting=True) as connected:
            assert _deployed(connected, short, home) == undisturbed, f"run {number}: {moment_s:.2f} s"
    assert lost > 0


def _deployed(connected: Device, recipe: Recipe, home: Path) -> str:
    """The bundle's identity."""
    store = Store(home / "store")
    plan = make_plan(recipe, store, SilentProgress(), place=connected)
    (found,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=home / "out")
    return found.report.bundle.sha256


def _tried(connected: Device, recipe: Recipe, home: Path, failed: list[DeviceError]) -> None:
    try:
        _deployed(connected, recipe, home)
    except DeviceError as error:
        failed.append(error)
