"""Fresh processes: what they are given, and how they end badly."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine import Engine
from benchmarks.workers.launch import lost, one_at_a_time, run_worker
from pipeline.errors import EdgewrightError, ResourceError

Opened = Callable[[str], Engine]

PROFILE: dict[str, Any] = {
    "iterations": 4, "min_iterations": 4, "max_s": 1.0, "warmup_s": 0.0, "warmup_limit": 4, "affinity": [], "seed": 0,
}  # fmt: skip


def _run(engine: Engine, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
    return run_worker("benchmarks.workers.solo_worker", {**engine.to_json(), **PROFILE}, **options)


def test_a_worker_that_fails_is_one_error_with_its_last_words(opened: Opened) -> None:
    with pytest.raises(EdgewrightError) as raised:
        _run(opened("failing"))

    assert str(raised.value) == (
        "a fresh process on the target's runtime: the model could not be measured\n"
        "  got: this runtime has no such operator"
    )
    assert type(raised.value) is EdgewrightError


def test_a_worker_that_says_nothing_is_told_by_its_exit_code(opened: Opened) -> None:
    with pytest.raises(EdgewrightError, match="could not be measured") as raised:
        _run(opened("silent"))

    assert raised.value.got == "exit code 3"


def test_a_worker_that_is_killed_is_a_lack_of_memory(opened: Opened) -> None:
    with pytest.raises(ResourceError, match="was killed, as happens when memory runs out") as raised:
        _run(opened("killed"))

    assert raised.value.exit_code == 7


def test_what_a_worker_says_of_memory_is_a_lack_of_it() -> None:
    error = lost("a.worker", 1, "loading\nMemoryError: Unable to allocate 3 GiB\n")
    assert isinstance(error, ResourceError)
    assert (error.exit_code, error.got) == (7, "MemoryError: Unable to allocate 3 GiB")


def test_an_engine_that_is_not_there_is_one_error(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EdgewrightError, match="could not be measured"):
        run_worker("benchmarks.workers.solo_worker", {**engine.to_json(), "folder": str(tmp_path), **PROFILE})


def test_a_worker_is_a_process_of_its_own_with_a_fixed_environment(opened: Opened, tmp_path: Path) -> None:
    _run(opened("watched"), environment={"TOLD_BY_THE_TEST": "yes"})
    seen = json.loads((tmp_path / "watched.json").read_text())

    assert seen["pid"] != os.getpid()
    assert seen["environment"] == {
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
        "TOLD_BY_THE_TEST": "yes",
    }  # fmt: skip


def test_a_folder_where_the_user_stands_is_not_imported_in_place_of_ours(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("benchmarks", "numpy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert len(_run(engine)["samples_ns"]) == 4


def test_one_measurement_at_a_time_holds_between_processes_and_threads() -> None:
    entered = threading.Event()

    def measure() -> None:
        with one_at_a_time():
            entered.set()

    thread = threading.Thread(target=measure)
    with one_at_a_time():
        thread.start()
        assert not entered.wait(0.3)

    assert entered.wait(120)
    thread.join()


def test_a_measurement_that_failed_lets_the_next_one_in() -> None:
    with pytest.raises(RuntimeError), one_at_a_time():
        raise RuntimeError

    with one_at_a_time():
        pass
