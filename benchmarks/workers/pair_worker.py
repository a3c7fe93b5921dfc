"""``python -m benchmarks.workers.pair_worker REQUEST.json RESULT.json``: two engines in one process, in turn.

Both meet the same moments of the machine: whatever slows one slows the other, and the ratio of a pair stays. Which is
loaded first, and which runs first in each pair, is drawn by the seed.
"""

from __future__ import annotations

import random
import sys
from contextlib import ExitStack
from typing import Any

from benchmarks.pairs.interleaving import LoadedSide, in_turn, load_order
from benchmarks.workers.timed_inference import answer


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Load both in random order, then time them in turn."""
    generator = random.Random(request["seed"])
    order = load_order(generator)
    with ExitStack() as opened:
        loaded = {name: LoadedSide(request[name], opened) for name in order}
        found = in_turn({name: loaded[name] for name in ("a", "b")}, generator, request)
    return {**found, "loaded_first": order[0]}


if __name__ == "__main__":
    answer(measure, *sys.argv[1:])
