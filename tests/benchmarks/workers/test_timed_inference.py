"""What workers do alike: inputs, warming up, comparing outputs, slowing down."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.workers.timed_inference import WINDOW, ExtraWork, Inputs, open_engine, same_outputs, timed, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.engine import Engine

_MS = 1_000_000


@pytest.fixture
def inputs(engine: Engine) -> Iterator[Inputs]:
    """The engine's; a worker leaves its file to the end of its process."""
    found = Inputs(engine.inputs, engine.spec)
    yield found
    found._file.close()


def test_inputs_are_read_row_by_row_into_one_buffer(inputs: Inputs) -> None:
    rows = [inputs.read(row) for row in (5, 0, 7)]

    assert inputs.count == 8
    assert rows[0] is rows[1] is rows[2]
    assert rows[0].flat[0] == 7
    assert (rows[0].shape, rows[0].dtype) == ((1, 3, 16, 16), np.float32)


def test_inputs_are_those_that_were_written(engine: Engine, inputs: Inputs) -> None:
    whole = np.fromfile(engine.inputs, np.float32).reshape(8, 1, 3, 16, 16)

    assert all(np.array_equal(inputs.read(row), whole[row]) for row in (3, 1, 6))


def test_a_session_is_opened_by_its_name(engine: Engine, inputs: Inputs) -> None:
    with open_engine(engine.to_json()) as session:
        elapsed, outputs = timed(session.run, inputs.read(0))

    assert elapsed > 0
    assert outputs[0].shape == (1, 3)


def test_warm_up_ends_as_soon_as_two_windows_agree() -> None:
    told = warm_up(lambda _: _MS, least_s=0.0, limit=1000)

    assert told == {"iterations": 2 * WINDOW, "converged": True, "median_ns": _MS}


def test_warm_up_waits_until_a_slow_beginning_has_passed() -> None:
    """Each inference takes three percent less than the one before, until the 76th takes a tenth of the first."""
    told = warm_up(lambda number: max(_MS, int(10 * _MS * 0.97**number)), least_s=0.0, limit=1000)

    assert told["converged"]
    assert 76 + WINDOW <= told["iterations"] < 76 + 2 * WINDOW
    assert told["median_ns"] == _MS


def test_warm_up_lasts_at_least_as_long_as_asked() -> None:
    assert warm_up(lambda _: _MS, least_s=0.1, limit=1)["iterations"] == 100


def test_warm_up_that_never_settles_gives_up_and_says_so() -> None:
    told = warm_up(lambda number: (1 + number // WINDOW) ** 2 * _MS, least_s=0.0, limit=90)

    assert (told["iterations"], told["converged"]) == (90, False)


def test_a_few_slow_inferences_do_not_keep_the_warm_up_from_settling() -> None:
    assert warm_up(lambda number: (50 if number % 10 == 0 else 1) * _MS, least_s=0.0, limit=100)["converged"]


@pytest.mark.parametrize(
    ("change", "same"),
    [(0.0, True), (1e-6, True), (0.01, False), (float("nan"), False), (float("inf"), False)],
)
def test_outputs_are_the_same_up_to_the_order_of_additions(change: float, *, same: bool) -> None:
    expected = [np.array([[1.0, -2.0]], np.float32), np.array([3.0], np.float32)]

    assert same_outputs([expected[0] + np.float32(change), expected[1]], expected) is same


def test_outputs_that_are_no_numbers_are_never_the_same_not_even_twice() -> None:
    assert not same_outputs([np.array([np.nan])], [np.array([np.nan])])


def test_an_output_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        same_outputs([], [np.zeros(1)])


@pytest.mark.parametrize(("share", "inference_ns"), [(0.0, 1e9), (0.5, 0.0)])
def test_no_extra_work_is_none_at_all(share: float, inference_ns: float) -> None:
    assert ExtraWork(share, inference_ns).blocks == 0


def test_extra_work_costs_about_the_share_asked_for_and_changes_no_answer() -> None:
    def run(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        for _ in range(4000):
            hashlib.sha256(bytes(512)).digest()
        return (batch + 1,)

    batch = np.zeros(3)
    alone = min(timed(run, batch)[0] for _ in range(15))
    slower = ExtraWork(0.5, alone).slowed(run)
    pairs = [(timed(run, batch)[0], timed(slower, batch)[0]) for _ in range(25)]
    quickest = [min(times) for times in zip(*pairs, strict=True)]  # what other work on the machine leaves alone

    assert 0.25 <= quickest[1] / quickest[0] - 1 <= 1.0
    assert np.array_equal(slower(batch)[0], run(batch)[0])


def test_what_is_timed_is_the_inference_alone() -> None:
    def run(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        time.sleep(0.02)
        return (batch,)

    elapsed, (found,) = timed(run, np.zeros(1))

    assert elapsed >= 20 * _MS
    assert found == 0
