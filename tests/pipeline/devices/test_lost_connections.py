"""A connection lost at any moment of a measurement: told, nothing left running, and the next one gives the same."""

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

from benchmarks.loopback import running_from
from benchmarks.solo import Profile
from pipeline.catalog import OPENERS
from pipeline.devices.device import Device
from pipeline.errors import DeviceError
from pipeline.measuring.bundle_measurement import measure_bundle
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.data import Dataset

MakeDevice = Callable[..., Device]

_MOMENTS, _LATEST_S, _GONE_S = 30, 3.0, 5.0
_PROFILE = Profile(processes=1, iterations=10**9, min_iterations=1, max_s=2.0, warmup_s=0.0, warmup_limit=40)


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
            assert running_from(there / "code") == {}, f"moment {number}: {moment_s:.2f} s"
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
