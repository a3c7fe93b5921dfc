"""Cells as Ray tasks: on a Ray of this machine that lives as long as the fleet, or on a cluster that is there.

A Ray of our own listens on the loopback only, has no dashboard, reports nothing to anybody, and keeps its files in the
run's own temporary folder. Every cell gets a fresh process.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from pipeline.environment import usable_cores
from pipeline.errors import DeviceError, EdgewrightError, ResourceError, UsageError, first_line
from pipeline.fleet.cell_run import CellEnd
from pipeline.fleet.crew import Ended, Lost, Stage
from pipeline.fleet.ray_task import Board, work
from pipeline.leftovers import shared_temporary_folder, sweep_scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.fleet.cell_run import Order
    from pipeline.fleet.records import Resources

__all__ = ["RayCrew", "refuse_without_ray"]

_OBJECTS_BYTES = 256 << 20
"""Shared memory of a Ray of our own: for bundles on their way; larger ones go through files."""
_NEWS_S = 1.0
_FAREWELL_S = 3.0
"""How long cells get to end by themselves; what is left of them then is killed."""
_ANSWER_S = 10.0
"""Ray itself would look for a head that is not there for minutes."""
_LOOK_S = 0.05
_STARTS = 3
"""On a busy machine the half minute that Ray gives itself to start may be too short; so may what the head of a cluster
gives the process that serves a client from outside."""
_LONGEST_FOLDER = 40
"""Letters. Ray adds 64 for its sockets, whose paths have 107 at most."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a cell without a GPU of its own sees what it would see alone
}

_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Where Ray may form no cluster, a machine's address is 127.0.0.1 and everything listens there alone; named for other
systems, it does the same on Linux. ``_node_ip_address`` does not: 127.0.0.1 is taken for the machine's name there."""


def refuse_without_ray() -> None:
    """See that Ray is installed.

    Raises:
        UsageError: when it is not.
    """
    if find_spec("ray") is None:
        raise UsageError("fleets run on Ray, which is not installed", fix="pip install 'edgewright[fleet]'")


class RayCrew:
    """A :class:`~pipeline.fleet.crew.Crew` while its ``with`` block lasts; then none of its processes is left.

    Args:
        address: Of a running Ray, ``auto`` or ``ray://host:port``; None: one of our own.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._running: dict[Any, int] = {}
        self._where: dict[int, str] = {}
        self._groups: dict[int, int] = {}
        self._asked_to_end: int | None = None

    def __enter__(self) -> Self:
        """Start Ray, or connect.

        Raises:
            ResourceError: when it cannot be started.
            DeviceError: when none answers at the address.
        """
        os.environ.update(_ENVIRONMENT)
        if self._address is None:
            # A token of its own: without one Ray leaves one in the user's home.
            token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            os.environ.update({**_LOOPBACK, **token})
        else:
            # `auto` is the cluster that was started last on this machine: Ray notes it where temporary files go by
            # default, which is not where ours go.
            os.environ.setdefault("RAY_TMPDIR", str(shared_temporary_folder()))
        import ray

        self._ray = ray
        # Within Ray a handler's exception becomes another one: signals are noted, and handled between its calls.
        self._handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
        self._note_signals()
        try:
            self._connect()
            self._board = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
            self._end_if_asked()
        except BaseException:
            self.__exit__()
            raise
        self._task = ray.remote(max_calls=1, max_retries=0)(work)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End what runs, then Ray if it is our own."""
        with _undisturbed():
            try:
                self._dismiss()
            finally:
                self._ray.shutdown()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, cell: int, order: Order, *, avoid: str | None) -> None:
        """Have a cell run as soon as there is room.

        Raises:
            UsageError: when no machine has what it takes.
        """
        asked = self._asked(order.cell.resources)
        able = [node["NodeID"] for node in self._nodes() if _fits(asked, node["Resources"])]
        if not able:
            there = sorted({_told(node["Resources"]) for node in self._nodes()})
            raise UsageError(
                "no machine has what a cell takes",
                where=f"resources of {order.cell.name}",
                got=", ".join(f"{value:g} {name}" for name, value in asked.items()),
                expected="at most " + " or ".join(there) if there else "a machine: none is left",
            )
        options = {
            "num_cpus": asked.pop("CPU"), "num_gpus": asked.pop("GPU", 0), "memory": asked.pop("memory", None),
            "resources": asked,
        }  # fmt: skip
        elsewhere = [node for node in able if node != avoid]
        if avoid is not None and elsewhere:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(elsewhere[0], soft=True)
        self._where.pop(cell, None)
        self._running[self._task.options(**options).remote(cell, order, self._board)] = cell

    def news(self) -> Sequence[Ended | Lost | Stage]:
        """What happened since this was asked last; waits a moment where nothing did."""
        done, _ = self._ray.wait(list(self._running), timeout=_NEWS_S)
        self._end_if_asked()
        stages = self._stages()
        for one in done:
            self._groups.pop(self._running[one], None)
        return [*stages, *(self._end(self._running.pop(one), one) for one in done)]

    def _look_for_a_head(self) -> None:
        """See that somebody listens where the address points, as far as it is a host and a port."""
        found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d{1,5})", self._address or "")
        if found is None:
            return
        try:
            socket.create_connection((found[1], int(found[2])), timeout=_ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise self._unreachable(error) from error

    def _connect(self) -> None:
        self._look_for_a_head()
        for number in range(1, _STARTS + 1):
            try:
                if self._address is None:
                    self._ray.init(**_own())
                else:
                    self._ray.init(self._address, log_to_driver=False, logging_level="ERROR")
            except EdgewrightError:
                raise
            except Exception as error:  # Ray raises many, bare ones among them
                self._ray.shutdown()
                self._end_if_asked()
                # Of a cluster's head that answered, but whose server for this client did not come up.
                again = self._address is None or isinstance(error, ConnectionAbortedError)
                if number == _STARTS or not again:
                    raise self._unreachable(error) from error
            else:
                break
            finally:
                self._note_signals()  # Ray has set its own handler

    def _note_signals(self) -> None:
        for number in self._handlers:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self._asked_to_end = number

    def _end_if_asked(self) -> None:
        """What the signals' handlers would have raised."""
        if self._asked_to_end is not None:
            handler: Any = self._handlers[signal.Signals(self._asked_to_end)]
            handler(self._asked_to_end, None)

    def _end(self, cell: int, done: object) -> Ended | Lost:
        errors = self._ray.exceptions
        try:
            return Ended(cell=cell, end=self._ray.get(done))
        except errors.RayTaskError as error:  # nothing that a cell does gets out of it: its process did not even begin
            text = f"a worker could not begin\n  got: {first_line(error.cause or error)}"
            text += "\n  fix: install the same edgewright on the cluster's machines" if self._address else ""
            return Ended(cell=cell, end=CellEnd(exit_code=2 if self._address else 70, error=text, wall_s=0.0))
        except errors.RayError as error:
            return Lost(cell=cell, machine=self._where.get(cell), why=first_line(error))

    def _stages(self) -> list[Stage]:
        try:
            told = self._ray.get(self._board.take.remote(), timeout=10 * _NEWS_S)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError):
            return []  # its machine is gone: it begins anew elsewhere, and nothing depends on what it had to say
        found, running = [], set(self._running.values())
        for cell, stage, machine, group in told:
            if cell not in running:  # a last word may come behind the end, and the number may be another's by then
                continue
            self._where[cell] = machine
            self._groups[cell] = group
            found.append(Stage(cell=cell, name=stage))
        return found

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]

    def _asked(self, resources: Resources) -> dict[str, float]:
        """What a cell takes, by Ray's names."""
        cores = resources.cores or min((node["Resources"]["CPU"] for node in self._nodes()), default=1)
        asked: dict[str, float] = {"CPU": cores, **resources.custom}
        if resources.gpus:
            asked["GPU"] = resources.gpus
        if resources.memory_mib:
            asked["memory"] = resources.memory_mib << 20
        return asked

    def _dismiss(self) -> None:
        """Let cells that run end by an exception, as at Ctrl-C; kill what is left of them on this machine."""
        if not self._running:
            return
        self._stages()  # who runs
        for one in self._running:
            self._ray.cancel(one)
        self._ray.wait(list(self._running), num_returns=len(self._running), timeout=_FAREWELL_S)
        if self._address is not None:
            return
        until = time.monotonic() + _FAREWELL_S
        groups = set(self._groups.values())
        while any(map(_lives, groups)) and time.monotonic() < until:
            time.sleep(_LOOK_S)
        for group in filter(_lives, groups):
            os.killpg(group, signal.SIGKILL)
        sweep_scratch()

    def _unreachable(self, error: Exception) -> ResourceError | DeviceError:
        if self._address is None:
            return ResourceError(
                "Ray could not be started",
                got=first_line(error),
                fix="see that memory and cores are free, run it again",
            )
        return DeviceError(
            "no Ray cluster answers",
            where=f"--address {self._address}",
            got=_reason(error),
            expected="auto, host:port or ray://host:port of one that runs, with this Python and this Ray",
            fix="where the cluster asks for a token, as Ray 2.60 does by default, set RAY_AUTH_MODE=token",
        )


def _reason(error: Exception) -> str:
    """What Ray says; of a text whose first line announces a traceback the last line too."""
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return f"{first} {others[-1]}" if others and first.endswith(":") else first


def _lives(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _own() -> dict[str, Any]:
    """How a Ray of our own is started.

    Raises:
        UsageError: where its sockets would have names that are too long.
    """
    folder = tempfile.gettempdir()
    if len(folder) > _LONGEST_FOLDER:
        raise UsageError(
            "the temporary folder's name is too long for Ray's sockets",
            got=folder,
            expected=f"at most {_LONGEST_FOLDER} letters",
            fix="run it with TMPDIR=/tmp",
        )
    return {
        "address": "local",
        "num_cpus": usable_cores(),
        "object_store_memory": _OBJECTS_BYTES,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
        "_temp_dir": folder,
        "_system_config": {"kill_child_processes_on_worker_exit_with_raylet_subreaper": True},
    }


def _fits(asked: Mapping[str, float], there: Mapping[str, float]) -> bool:
    return all(there.get(name, 0) >= value for name, value in asked.items())


def _told(resources: Mapping[str, float]) -> str:
    named = {name: value for name, value in resources.items() if not name.startswith(("node:", "object_store"))}
    return ", ".join(f"{value:g} {name}" for name, value in sorted(named.items()))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Within it, being asked to end once more changes nothing: it ends anyway, in a known time."""
    signal.setitimer(signal.ITIMER_REAL, 0)  # of a command that was asked to end
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
