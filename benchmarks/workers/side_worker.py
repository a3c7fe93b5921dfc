"""``python -m benchmarks.workers.side_worker REQUEST.json``: one engine in a process of its own, asked line by line.

Its parent stops the whole process while the other engine has its turn (see :mod:`benchmarks.pairs.stopped_sides`).
Lines on standard input: ``warm ROW``, ``step ROW CHECK``, ``slow SHARE NS``, ``told``; each is answered with a
line of JSON. It ends with its input, and with its parent.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from typing import Any, TextIO

from benchmarks.pairs.interleaving import LoadedSide
from benchmarks.workers.timed_inference import read_request, uncollected
from pipeline.parent import end_with_parent


def _answers() -> TextIO:
    """Standard output for answers alone: what runtimes and the user's own network print goes to standard error."""
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return kept


def _answered(side: LoadedSide, line: str) -> Any:  # noqa: ANN401 - what becomes JSON
    command, *words = line.split()
    if command == "warm":
        return side.warm(int(words[0]))
    if command == "step":
        row, check = words
        side.warm(int(row))  # untimed: its caches held the other engine, its threads slept
        return side.step(int(row), check=check == "1")
    if command == "slow":
        share, inference_ns = words
        side.slow(float(share), int(inference_ns))
        return None
    if command == "told":
        return side.told()
    message = f"not a command: {line!r}"
    raise ValueError(message)


def main(request_path: str) -> None:
    """Load, then answer until the input ends."""
    end_with_parent()
    answers = _answers()
    request = read_request(request_path)
    with ExitStack() as opened:
        side = LoadedSide(request, opened)
        print(json.dumps(side.count), file=answers, flush=True)
        with uncollected():
            for line in sys.stdin:
                print(json.dumps(_answered(side, line)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
