"""Trainings in processes of their own: killed at any time, or several processes for one training."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.training.tensor_file import read_tensors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_PROGRAM = Path(__file__).with_name("one_training.py")


def _job(folder: Path, name: str, schedule: dict[str, Any], **fields: Any) -> Path:  # noqa: ANN401 - JSON
    folder.mkdir(exist_ok=True)
    value = {
        "out": str(folder / name),
        "kept": None,
        "every_s": None,
        "images": 512,
        "dies": None,
        "diverges": None,
        **fields,
    }
    value["schedule"] = schedule
    path = folder / f"{name}.job"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def _alone(job: Path) -> subprocess.Popen[str]:
    # One thread: how sums are split among threads must not depend on what else runs on the machine.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(_PROGRAM), str(job)], stdout=subprocess.PIPE, text=True, env=environment
    )


def _steps_left(kept: Path) -> int:
    """How many steps the checkpoint knows of, 0 where there is none yet."""
    states = [json.loads(read_tensors(file)[1]["state"]) for file in kept.glob("*.safetensors")]
    return int(states[0]["steps"]) if states else 0


def _run_alone(job: Path) -> None:
    with _alone(job) as process:
        assert process.wait() == 0


def _together(job: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", str(_PROGRAM), str(job)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _left(job: Path, rank: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job.with_suffix(f".{rank}.json").read_text(encoding="utf-8"))
    return found


def _drawn(job: Path, rank: int) -> float:
    return float(job.with_suffix(f".{rank}.drawn").read_text(encoding="utf-8"))


@pytest.mark.parametrize("fields", [{"ema": 0.99}, {"optimizer": "sgd", "augment": ["flip", "shift", "mixup"]}])
def test_a_training_killed_ten_times_ends_with_the_same_bits(tmp_path: Path, fields: dict[str, Any]) -> None:
    schedule = {"epochs": 24, "batch_size": 16, **fields}
    whole = _job(tmp_path, "whole", schedule)
    start = time.perf_counter()
    _run_alone(whole)
    lasts = time.perf_counter() - start
    kept = tmp_path / "kept"
    kept.mkdir()
    killed = _job(tmp_path, "killed", schedule, kept=str(kept), every_s=0.02)
    moments, found = random.Random(0), []
    for _ in range(10):
        with _alone(killed) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it trains
            time.sleep(moments.uniform(0, lasts / 10))
            process.send_signal(signal.SIGKILL)
        found.append(_steps_left(kept))
    assert found == sorted(found)  # what was done is not lost
    assert any(steps % 32 for steps in found)  # an epoch has 32: some were killed within one
    _run_alone(killed)
    assert _left(killed) == _left(whole)


def test_two_processes_learn_as_one_with_steps_twice_as_large(tmp_path: Path) -> None:
    schedule = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3}
    double = _job(tmp_path, "double", {**schedule, "batch_size": 32})
    _run_alone(double)
    both = _job(tmp_path, "both", schedule)
    done = _together(both)
    assert done.returncode == 0, done.stderr
    first, second = _left(both, 0), _left(both, 1)
    assert first["epochs"][-1]["steps"] == _left(double)["epochs"][-1]["steps"]
    for one, other in zip(first["epochs"], _left(double)["epochs"], strict=True):
        assert one["learning_rate"] == pytest.approx(other["learning_rate"])
        assert one["loss"] == pytest.approx(other["loss"], abs=0.12)
    assert first["epochs"][-1]["loss"] < 0.5 * first["epochs"][0]["loss"]
    assert second["weights"] == first["weights"]  # both hold the same network


def test_when_one_of_two_is_killed_the_other_says_so_and_resumed_they_go_on(tmp_path: Path) -> None:
    schedule = {"epochs": 6, "batch_size": 16}
    kept = tmp_path / "kept"
    kept.mkdir()
    dying = _job(tmp_path, "dying", schedule, kept=str(kept), dies=[1, 40])
    done = _together(dying)
    assert done.returncode != 0
    assert done.stdout.count("another of the processes that train together has ended") == 1
    assert "Traceback" not in done.stdout
    (checkpoint,) = kept.iterdir()
    assert checkpoint.stat().st_size > 0
    resumed = _job(tmp_path, "resumed", schedule, kept=str(kept))
    done = _together(resumed)
    assert done.returncode == 0, done.stderr
    whole = _job(tmp_path, "whole", schedule)
    assert _together(whole).returncode == 0
    wanted, found = (_left(job)["epochs"] for job in (whole, resumed))
    assert [epoch["steps"] for epoch in found] == [epoch["steps"] for epoch in wanted]
    assert found[:2] == wanted[:2]  # what was done before
    assert found[-1]["loss"] == pytest.approx(wanted[-1]["loss"], abs=0.1)
    first, second = (_drawn(resumed, rank) for rank in (0, 1))
    assert first != second  # each drops something else, also after it went on
    assert (first, second) == (_drawn(whole, 0), _drawn(whole, 1))


def test_a_loss_that_is_no_number_in_one_process_ends_all_in_the_same_step(tmp_path: Path) -> None:
    job = _job(tmp_path, "diverging", {"epochs": 2, "batch_size": 16}, diverges=[1, 5])
    start = time.perf_counter()
    done = _together(job)
    assert done.returncode != 0
    assert done.stdout.count("training diverged: the loss is no longer finite") == 2
    assert done.stdout.count("a training, step 4") == 2
    assert time.perf_counter() - start < 300  # nobody waits for those that have ended
