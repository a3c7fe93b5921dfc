"""``python -m benchmarks.pair_worker REQUEST.json RESULT.json``: two engines in one process, inference by inference.

Both meet the same moments of the machine: whatever slows one slows the other, and the ratio of a pair stays. Which is
loaded first, and which runs first in each pair, is drawn by the seed.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.process import own_status
from benchmarks.timing import WINDOW, ExtraWork, Inputs, answer, open_engine, same_outputs, timed, warm_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array, Session

_CHECKED_SHARE = 0.05


class _Side:
    """One of the two engines, loaded."""

    def __init__(self, session: Session, inputs: Inputs) -> None:
        self.session, self.inputs = session, inputs
        self.run: Callable[[Array], tuple[Array, ...]] = session.run
        self.samples: list[int] = []
        self.expected: dict[int, list[Array]] = {}
        self.checked = self.mismatched = 0

    def warm(self, row: int) -> int:
        """An inference of the warm-up, nanoseconds; what it gives is what the same input has to give later."""
        elapsed, outputs = timed(self.run, self.inputs.read(row))
        self.expected.setdefault(row, [output.copy() for output in outputs])
        return elapsed

    def step(self, row: int, *, check: bool) -> None:
        elapsed, outputs = timed(self.run, self.inputs.read(row))
        self.samples.append(elapsed)
        if check and row in self.expected:
            self.checked += 1
            self.mismatched += not same_outputs(outputs, self.expected[row])


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Load both in random order, warm both up, then time them in turn."""
    generator = random.Random(request["seed"])
    first = generator.choice(("a", "b"))
    with ExitStack() as stack:
        sides: dict[str, _Side] = {}
        for name in (first, "b" if first == "a" else "a"):
            session = stack.enter_context(open_engine(request[name]))
            sides[name] = _Side(session, Inputs(Path(request[name]["inputs"]), session.spec))
        count = min(side.inputs.count for side in sides.values())
        warm = _warm_up(sides, count, request)
        if request["slow_b"]:
            extra = ExtraWork(request["slow_b"], warm["b"]["median_ns"])
            sides["b"].run = extra.slowed(sides["b"].run)
        pairs = _pairs(request, warm)
        before = own_status()
        order = _timed_pairs(sides, count, pairs, generator, request["max_s"])
        switches = own_status() - before
        facts = {name: side.session.facts() for name, side in sides.items()}
    return {
        "a_ns": sides["a"].samples,
        "b_ns": sides["b"].samples,
        "a_first": order,
        "loaded_first": first,
        "warmup": warm,
        "checked": sum(side.checked for side in sides.values()),
        "mismatched": {name: side.mismatched for name, side in sides.items()},
        "involuntary_switches": switches,
        "facts": facts,
    }


def _warm_up(sides: dict[str, _Side], count: int, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Both in turn, as they will be timed; settled when a turn of both is."""
    times: dict[str, list[int]] = {name: [] for name in sides}

    def turn(number: int) -> int:
        for name, side in sides.items():
            times[name].append(side.warm(number % count))
        return sum(values[-1] for values in times.values())

    told = warm_up(turn, least_s=request["warmup_s"], limit=request["warmup_limit"])
    return {name: {**told, "median_ns": int(median(values[-WINDOW:]))} for name, values in times.items()}


def _pairs(request: dict[str, Any], warm: dict[str, dict[str, Any]]) -> int:
    """As many as fill the wanted time, within bounds."""
    pair_s = (warm["a"]["median_ns"] + warm["b"]["median_ns"]) / 1e9
    wanted = round(request["target_s"] / max(pair_s, 1e-9))
    return int(min(max(wanted, request["min_pairs"]), request["max_pairs"]))


def _timed_pairs(sides: dict[str, _Side], count: int, pairs: int, generator: random.Random, max_s: float) -> list[int]:
    """Time the pairs; returns 1 where the baseline ran first. Nothing is dropped."""
    order: list[int] = []
    rows: list[int] = []
    gc.collect()
    gc.freeze()
    gc.disable()
    began = time.perf_counter()
    while len(order) < pairs and time.perf_counter() - began < max_s:
        if not rows:
            rows = generator.sample(range(count), count)
        row = rows.pop()
        check = generator.random() < _CHECKED_SHARE
        a_first = generator.random() < 0.5
        for name in ("a", "b") if a_first else ("b", "a"):
            sides[name].step(row, check=check)
        order.append(int(a_first))
    gc.enable()
    return order


if __name__ == "__main__":
    answer(measure, *sys.argv[1:])
