"""The timing cache: one file a version and GPU."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exporters.tensorrt.parsing import quiet_logger
from exporters.tensorrt.timing import kept_timings, timings_path
from pipeline.gpu import Gpu

if TYPE_CHECKING:
    from pathlib import Path

GPU = Gpu(name="NVIDIA A2", capability="sm86", driver="570.124.06", memory_bytes=16 << 30)


def test_the_file_is_named_for_flavour_version_and_gpu(tmp_path: Path) -> None:
    path = timings_path(tmp_path, "tensorrt", "10.16.1", GPU)
    assert path == tmp_path / "tensorrt-10.16.1-nvidia-a2-sm86-570.124.06.timing"


def test_another_version_gpu_or_driver_has_another_file(tmp_path: Path) -> None:
    others = [
        timings_path(tmp_path, "tensorrt", version, gpu)
        for version, gpu in (
            ("10.16.1", GPU),
            ("11.4.0", GPU),
            ("10.16.1", replace(GPU, name="NVIDIA A10")),
            ("10.16.1", replace(GPU, driver="580.1")),
        )
    ]
    assert len(set(others)) == len(others)


def test_what_the_builder_learned_is_there_for_the_next_one(rtx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    # The one for RTX has the cache's interface, though there is nothing in it.
    path = tmp_path / "timings" / "cache.timing"
    builder = rtx.Builder(quiet_logger(rtx))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*no-ops in TensorRT-RTX", category=DeprecationWarning)
        for _ in range(2):
            with kept_timings(builder.create_builder_config(), path):
                pass
    assert path.stat().st_size > 0
    assert [found.name for found in path.parent.iterdir()] == ["cache.timing"]


def test_without_a_path_nothing_is_kept(rtx: Any) -> None:  # noqa: ANN401
    with kept_timings(None, None):
        pass
