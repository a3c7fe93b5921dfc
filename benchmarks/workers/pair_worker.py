"""``python -m benchmarks.workers.pair_worker REQUEST.json RESULT.json``: two engines in one process, in turn.

Both meet the same moments of the machine: whatever slows one slows the other, and the ratio of a pair stays. Which is
loaded first, and which runs first in each pair, is drawn by the seed.
"""

from __future__ import annotations

import random
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pairs.interleaving import Instances, LoadedSide, in_turn, load_order
from benchmarks.workers.patience import FEWEST_PAIRS
from benchmarks.workers.timed_inference import answer
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.session import Array

_MOST_INSTANCES, _ROOM_BYTES = 8, 128 << 20
"""Each side is loaded so often as there is room for, and once where the models are large: their time depends little on
where they lie."""
_SLOW_S = 0.25
"""Of an inference of both; what takes longer is loaded once. Boards on which it does have little memory."""


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Load both in random order, small ones several times, then time them in turn."""
    generator = random.Random(request["seed"])
    first, second = load_order(generator)
    count = instances_for(_size(request))
    instances: dict[str, list[LoadedSide]] = {"a": [], "b": []}
    expected: dict[str, dict[int, list[Array]]] = {"a": {}, "b": {}}
    with ExitStack() as opened:
        for number in range(count):
            for name in (first, second) if number % 2 == 0 else (second, first):
                instances[name].append(LoadedSide(request[name], opened, expected[name]))
            if count > 1 and number == 0 and _are_slow(instances):
                count = 1
                break
        sides = {name: Instances(loaded) for name, loaded in instances.items()}
        found = in_turn(sides, generator, request, fewest=max(FEWEST_PAIRS, count))
    return {**found, "loaded_first": first, "instances": count}


def _are_slow(instances: Mapping[str, Sequence[LoadedSide]]) -> bool:
    """Whether an inference of each takes longer than instances are worth; the very first ones do not count."""
    for _ in range(2):
        took_ns = sum(loaded[0].warm(0) for loaded in instances.values())
    return took_ns > _SLOW_S * 1e9


def instances_for(size_bytes: int) -> int:
    """How often each side is loaded: an even number of times, or once.

    Args:
        size_bytes: Of both models together.
    """
    return max(1, min(_MOST_INSTANCES, _ROOM_BYTES // size_bytes // 2 * 2))


def _size(request: dict[str, Any]) -> int:
    """Bytes of both models."""
    return sum(
        Path(request[name]["folder"], file).stat().st_size
        for name in ("a", "b")
        for file in EngineSpec.from_json(request[name]["spec"]).loaded
    )


if __name__ == "__main__":
    answer(measure, *sys.argv[1:])
