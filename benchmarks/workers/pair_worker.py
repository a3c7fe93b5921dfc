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
from benchmarks.workers.timed_inference import answer
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from pipeline.session import Array

_MOST_INSTANCES, _ROOM_BYTES = 8, 128 << 20
"""Each side is loaded so often as there is room for, and once where the models are large: their time depends little on
where they lie."""


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
        found = in_turn({name: Instances(sides) for name, sides in instances.items()}, generator, request)
    return {**found, "loaded_first": first, "instances": count}


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
