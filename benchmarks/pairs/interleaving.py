"""Two engines, inference by inference: the same whether both live in one process or each in its own."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.workers.patience import FEWEST_PAIRS
from benchmarks.workers.timed_inference import (
    WINDOW,
    ExtraWork,
    Inputs,
    open_engine,
    same_outputs,
    timed,
    uncollected,
    warm_up,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack

    from pipeline.session import Array, Session

__all__ = ["Instances", "LoadedSide", "Side", "in_turn", "load_order"]

_CHECKED_SHARE = 0.05


class Side(Protocol):
    """One of the two engines, loaded somewhere.

    Attributes:
        count: How many inputs it has.
    """

    @property
    def count(self) -> int: ...  # noqa: D102 - told above

    def warm(self, row: int) -> int:
        """An inference of the warm-up on input ``row``, nanoseconds."""
        ...

    def step(self, row: int, *, check: bool) -> int:
        """A timed inference, nanoseconds; ``check`` compares its outputs with the warm-up's for the same input."""
        ...

    def slow(self, share: float, inference_ns: int) -> None:
        """Make every further inference slower by work, see :class:`~benchmarks.workers.timed_inference.ExtraWork`."""
        ...

    def told(self) -> dict[str, Any]:
        """``checked`` and ``mismatched`` outputs, and the session's ``facts``."""
        ...


class LoadedSide:
    """An engine in this process.

    Args:
        request: The engine as :meth:`benchmarks.engine.Engine.to_json` tells it.
        opened: Keeps the session until it closes.
        expected: What the warm-up gave for each input; shared by instances of the same engine.
    """

    def __init__(
        self, request: Mapping[str, Any], opened: ExitStack, expected: dict[int, list[Array]] | None = None
    ) -> None:
        self._session: Session = opened.enter_context(open_engine(request))
        self._inputs = Inputs(Path(request["inputs"]), self._session.spec)
        self._run: Callable[[Array], tuple[Array, ...]] = self._session.run
        self._expected = {} if expected is None else expected
        self._checked = self._mismatched = 0

    @property
    def count(self) -> int:
        """How many inputs it has."""
        return self._inputs.count

    def warm(self, row: int) -> int:
        """An inference of the warm-up; what it gives is what the same input has to give later."""
        elapsed, outputs = timed(self._run, self._inputs.read(row))
        self._expected.setdefault(row, [output.copy() for output in outputs])
        return elapsed

    def step(self, row: int, *, check: bool) -> int:
        """A timed inference."""
        elapsed, outputs = timed(self._run, self._inputs.read(row))
        if check and row in self._expected:
            self._checked += 1
            self._mismatched += not same_outputs(outputs, self._expected[row])
        return elapsed

    def slow(self, share: float, inference_ns: int) -> None:
        """Work of its own behind every inference."""
        self._run = ExtraWork(share, inference_ns).slowed(self._run)

    def told(self) -> dict[str, Any]:
        """What was checked, and what is in force."""
        return {"checked": self._checked, "mismatched": self._mismatched, "facts": self._session.facts()}


class Instances:
    """An engine that is loaded several times, each instance in its turn.

    An engine of a millisecond keeps, as long as it lives, an offset of some 3 % by where its memory lies, and of two in
    a process the one that was loaded first is mostly the slower. So both are loaded several times, in turn first and
    second: what the place and the order do to one pair of instances they do not do to the next.
    """

    def __init__(self, instances: Sequence[LoadedSide]) -> None:
        self._instances = itertools.cycle(instances)
        self._all = instances

    @property
    def count(self) -> int:
        """How many inputs it has."""
        return self._all[0].count

    def warm(self, row: int) -> int:
        """An inference of the warm-up."""
        return next(self._instances).warm(row)

    def step(self, row: int, *, check: bool) -> int:
        """A timed inference."""
        return next(self._instances).step(row, check=check)

    def slow(self, share: float, inference_ns: int) -> None:
        """Work of its own behind every inference."""
        for instance in self._all:
            instance.slow(share, inference_ns)

    def told(self) -> dict[str, Any]:
        """What was checked, and what is in force."""
        told = [instance.told() for instance in self._all]
        return {**told[0], **{name: sum(one[name] for one in told) for name in ("checked", "mismatched")}}


def load_order(generator: random.Random) -> tuple[str, str]:
    """Which side is loaded first: drawn."""
    first = generator.choice(("a", "b"))
    return first, "b" if first == "a" else "a"


def in_turn(
    sides: Mapping[str, Side], generator: random.Random, request: Mapping[str, Any], *, fewest: int = FEWEST_PAIRS
) -> dict[str, Any]:
    """Warm both up, then time them in turn; who runs first in each pair is drawn. Nothing is dropped.

    Args:
        sides: ``a``, the baseline, and ``b``.
        generator: Draws.
        request: The fields of :class:`benchmarks.pairs.paired_processes.PairProtocol`.
        fewest: Pairs that are timed however long they take.

    Returns:
        ``a_ns`` and ``b_ns``, ``a_first`` (1 where the baseline ran first), ``warmup``, ``checked``, ``mismatched``
        and ``facts``.
    """
    count = min(side.count for side in sides.values())
    warm = _warm_up(sides, count, request)
    if request["slow_b"]:
        sides["b"].slow(request["slow_b"], warm["b"]["median_ns"])
    samples: dict[str, list[int]] = {name: [] for name in sides}
    pairs = _pairs(request, warm)
    order = _timed_pairs(sides, samples, pairs, generator, max_s=request["max_s"], fewest=fewest)
    told = {name: side.told() for name, side in sides.items()}
    return {
        "a_ns": samples["a"],
        "b_ns": samples["b"],
        "a_first": order,
        "warmup": warm,
        "checked": sum(one["checked"] for one in told.values()),
        "mismatched": {name: one["mismatched"] for name, one in told.items()},
        "facts": {name: one["facts"] for name, one in told.items()},
    }


def _warm_up(sides: Mapping[str, Side], count: int, request: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Both in turn, as they will be timed; settled when a turn of both is."""
    times: dict[str, list[int]] = {name: [] for name in sides}

    def turn(number: int) -> int:
        for name, side in sides.items():
            times[name].append(side.warm(number % count))
        return sum(values[-1] for values in times.values())

    told = warm_up(turn, least_s=request["warmup_s"], limit=request["warmup_limit"])
    return {name: {**told, "median_ns": int(median(values[-WINDOW:]))} for name, values in times.items()}


def _pairs(request: Mapping[str, Any], warm: Mapping[str, Mapping[str, Any]]) -> int:
    """As many as fill the wanted time, within bounds."""
    pair_s = (warm["a"]["median_ns"] + warm["b"]["median_ns"]) / 1e9
    wanted = round(request["target_s"] / max(pair_s, 1e-9))
    return int(min(max(wanted, request["min_pairs"]), request["max_pairs"]))


def _timed_pairs(
    sides: Mapping[str, Side],
    samples: Mapping[str, list[int]],
    pairs: int,
    generator: random.Random,
    *,
    max_s: float,
    fewest: int,
) -> list[int]:
    count = min(side.count for side in sides.values())
    order: list[int] = []
    rows: list[int] = []
    with uncollected():
        began = time.perf_counter()
        while len(order) < pairs and (len(order) < fewest or time.perf_counter() - began < max_s):
            if not rows:
                rows = generator.sample(range(count), count)
            row = rows.pop()
            check = generator.random() < _CHECKED_SHARE
            a_first = generator.random() < 0.5
            for name in ("a", "b") if a_first else ("b", "a"):
                samples[name].append(sides[name].step(row, check=check))
            order.append(int(a_first))
    return order
