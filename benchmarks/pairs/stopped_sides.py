"""Two engines in processes of their own, one of which is stopped while the other has its turn.

Idle threads of some runtimes go on spinning for a while, and those of one runtime would slow the other in the same
process. A stopped process spins nowhere; when it goes on, its threads are as it left them. So each engine runs as it
does alone, and both still meet the same moments of the machine. But two processes differ for as long as they live, an
engine of a millisecond by some 5 %: engines of one runtime share a process, with threads that rest between runs.
"""

from __future__ import annotations

import json
import random
import signal
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.pairs.interleaving import in_turn, load_order
from benchmarks.workers.launch import lost, start_worker
from pipeline.session import WITHIN_A_RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.engine import Engine
    from pipeline.errors import EdgewrightError

__all__ = ["measure_apart", "of_two_runtimes", "resting"]


def of_two_runtimes(first: Engine, second: Engine) -> bool:
    """Whether each brings a pool of threads of its own, which would disturb the other in the same process."""
    return first.spec.target != second.spec.target


def resting(engine: Engine) -> Engine:
    """The engine with threads that wait actively only while it runs, so that another one can run after it."""
    if not engine.spec.options.get("spinning"):
        return engine
    return replace(engine, spec=replace(engine.spec, options={**engine.spec.options, "spinning": WITHIN_A_RUN}))


def measure_apart(request: Mapping[str, Any]) -> dict[str, Any]:
    """What ``benchmarks.workers.pair_worker`` answers to the same request, measured in two processes.

    Raises:
        EdgewrightError: with a process's last words when it failed.
    """
    generator = random.Random(request["seed"])
    order = load_order(generator)
    with ExitStack() as opened:
        started = {
            name: opened.enter_context(_StoppedSide({**request[name], "affinity": request["affinity"]}))
            for name in order
        }
        found = in_turn({name: started[name] for name in ("a", "b")}, generator, request)
    return {**found, "loaded_first": order[0]}


class _StoppedSide:
    """An engine in a process that runs only while it is asked."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start, load, stop."""
        with ExitStack() as opened:
            scratch = opened.enter_context(tempfile.TemporaryDirectory(prefix="edgewright-"))
            asked = Path(scratch, "request.json")
            asked.write_text(json.dumps(self._request), encoding="utf-8")
            self._errors = opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            self._process = start_worker("benchmarks.workers.side_worker", asked, self._errors)
            opened.callback(self._end)
            self.count: int = self._answer()
            self._process.send_signal(signal.SIGSTOP)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the process, stopped as it is."""
        self._open.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout is not None  # noqa: S101 - started with it
        line = self._process.stdout.readline()
        if not line:
            raise self._lost()
        return json.loads(line)

    def _lost(self) -> EdgewrightError:
        code = self._process.wait()
        self._errors.seek(0)
        return lost("benchmarks.workers.side_worker", code, self._errors.read())

    def _ask(self, command: str) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdin is not None  # noqa: S101 - as above
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it ended between two questions
            raise self._lost() from None
        answer = self._answer()
        self._process.send_signal(signal.SIGSTOP)
        return answer

    def warm(self, row: int) -> int:
        """An inference of the warm-up."""
        return int(self._ask(f"warm {row}"))

    def step(self, row: int, *, check: bool) -> int:
        """A timed inference; signals and lines lie outside the time, which the process takes itself."""
        return int(self._ask(f"step {row} {int(check)}"))

    def slow(self, share: float, inference_ns: int) -> None:
        """Work of its own behind every inference."""
        self._ask(f"slow {share} {inference_ns}")

    def told(self) -> dict[str, Any]:
        """What was checked, and what is in force."""
        answer: dict[str, Any] = self._ask("told")
        return answer
