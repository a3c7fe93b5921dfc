"""Two engines in processes of their own, each stopped while the other has its turn."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pairs.paired_processes import PairProtocol, measure_pairs
from benchmarks.pairs.stopped_sides import _StoppedSide, measure_apart, of_two_runtimes, resting
from benchmarks.workers.launch import run_worker
from pipeline.errors import EdgewrightError, ResourceError
from pipeline.progress import SilentProgress
from pipeline.session import WITHIN_A_RUN

if TYPE_CHECKING:
    from benchmarks.engine import Engine
    from benchmarks.pairs.paired_processes import Kind, PairProcess

Opened = Callable[[str], "Engine"]

PAIRS = 32
SHORT = PairProtocol(min_pairs=PAIRS, max_pairs=PAIRS, target_s=0.01, warmup_s=0.0, warmup_limit=40)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not list processes")


def _spinning(engine: Engine) -> Engine:
    spec = engine.spec
    return replace(engine, spec=replace(spec, options={**spec.options, "spinning": True, "threads": 2}))


def _request(engine: Engine) -> dict[str, Any]:
    return {**engine.to_json(), "affinity": []}


def _measured(a: Engine, b: Engine, kinds: list[Kind], protocol: PairProtocol = SHORT) -> list[PairProcess]:
    with SilentProgress().track("pairs", len(kinds)) as ticker:
        return measure_pairs(a, b, protocol, kinds, ticker, seed=0)


def _state(pid: int) -> str:
    """Letter of the process's state; X when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _ticks(pid: int) -> int:
    """Processor time of the whole process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _reached(pid: int, state: str) -> bool:
    """Whether the process comes into that state: a signal takes a moment."""
    deadline = time.monotonic() + 10
    while _state(pid) != state and time.monotonic() < deadline:
        time.sleep(0.005)
    return _state(pid) == state


def test_engines_of_one_runtime_share_a_process_and_their_threads_rest_between_runs(engine: Engine) -> None:
    for process in _measured(_spinning(engine), engine, ["pair", "control"]):
        assert not process.apart
        wanted = [WITHIN_A_RUN, False if process.kind == "pair" else WITHIN_A_RUN]
        assert [process.raw["facts"][side]["spinning"] for side in ("a", "b")] == wanted


def test_an_engine_whose_threads_sleep_anyway_is_opened_as_it_is(engine: Engine) -> None:
    assert resting(engine) is engine


def test_engines_of_two_runtimes_do_not_share_a_process(engine: Engine) -> None:
    other = replace(engine, spec=replace(engine.spec, target="openvino"))
    assert of_two_runtimes(engine, other)
    assert not of_two_runtimes(engine, _spinning(engine))


def test_either_way_the_same_is_told(engine: Engine) -> None:
    request = {"a": engine.to_json(), "b": engine.to_json(), "seed": 5, **SHORT.to_json()}
    together = run_worker("benchmarks.workers.pair_worker", request)
    apart = measure_apart({**request, "a": _spinning(engine).to_json()})
    assert set(apart) | {"instances"} == set(together)
    assert len(apart["a_ns"]) == len(apart["b_ns"]) == PAIRS
    assert [apart["facts"][side]["spinning"] for side in ("a", "b")] == [True, False]
    assert apart["checked"] > 0


def test_a_side_is_stopped_except_in_its_turn_and_its_threads_spin_nowhere(engine: Engine) -> None:
    with _StoppedSide(_request(_spinning(engine))) as side:
        pid = side._process.pid
        assert _reached(pid, "T")
        assert side.count == 8
        assert side.warm(0) > 0
        assert side.step(0, check=True) > 0
        assert _reached(pid, "T")
        before = _ticks(pid)
        time.sleep(0.2)
        assert _ticks(pid) == before
        assert side.told()["checked"] == 1
    assert _state(pid) == "X"


def _apart(a: Engine, b: Engine, **protocol: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the protocol
    request = {**replace(SHORT, **protocol).to_json(), "seed": 5}
    return measure_apart({"a": a.to_json(), "b": b.to_json(), **request})


def test_extra_work_slows_the_candidate_here_too(engine: Engine) -> None:
    slowed = _apart(_spinning(engine), engine, slow_b=1.0)
    assert statistics.median(slowed["b_ns"]) > 1.3 * statistics.median(slowed["a_ns"])


def test_outputs_that_change_are_told_here_too(opened: Opened) -> None:
    drifting = _spinning(opened("drifting"))
    assert _apart(drifting, drifting)["mismatched"]["a"] > 0


def test_the_last_words_of_a_side_are_told(opened: Opened) -> None:
    with pytest.raises(EdgewrightError) as raised:
        _apart(_spinning(opened("failing")), opened("failing"))
    assert raised.value.got == "this runtime has no such operator"


def test_a_side_that_was_killed_is_a_lack_of_memory(opened: Opened) -> None:
    with pytest.raises(ResourceError, match="a measuring process was killed"):
        _apart(_spinning(opened("killed")), opened("killed"))


def test_a_side_that_is_killed_between_two_questions_is_told_too(engine: Engine) -> None:
    with _StoppedSide(_request(engine)) as side:
        side.warm(0)
        side._process.kill()
        side._process.wait()
        with pytest.raises(ResourceError, match="a measuring process was killed"):
            side.step(0, check=False)


def test_what_a_session_prints_is_no_answer(opened: Opened) -> None:
    with _StoppedSide(_request(opened("chatty"))) as side:
        assert side.count == 8
        assert side.warm(0) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_stopped_side_ends_with_a_parent_that_was_killed(engine: Engine, tmp_path: Path) -> None:
    script = """
import json, os, signal, sys
from benchmarks.pairs.stopped_sides import _StoppedSide

with _StoppedSide(json.loads(sys.argv[1])) as side:
    print(side._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    import json

    command = [sys.executable, "-c", script, json.dumps(_request(engine))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while _state(pid) not in {"X", "Z"} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _state(pid) in {"X", "Z"}
