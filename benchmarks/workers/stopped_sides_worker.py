"""``python -m benchmarks.workers.stopped_sides_worker REQUEST.json RESULT.json``: two engines in turn, each apart.

What :mod:`benchmarks.pairs.stopped_sides` does, for whoever can start no more than one worker: on a device.
"""

from __future__ import annotations

import sys

from benchmarks.pairs.stopped_sides import measure_apart
from benchmarks.workers.timed_inference import answer

if __name__ == "__main__":
    answer(measure_apart, *sys.argv[1:])
