"""The process on the device that does what is asked over its standard input; it ends with the connection.

It keeps files, runs one worker at a time in a fresh process, and listens to nothing but its own pipes. When they are
closed, or silent for :data:`SILENCE_S`, its worker is killed and its folders are removed.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine.disturbance import StateSampler
from benchmarks.workers.launch import SENT_WORKER
from pipeline.devices.there.blobs import Blobs, NoRoomError
from pipeline.devices.there.clocks import ClockWatch
from pipeline.devices.there.examination import celsius, examine, governors
from pipeline.devices.there.jobs import Jobs, lives, placed
from pipeline.devices.there.measuring_lock import MeasuringLock
from pipeline.devices.there.wire import GoneError, Wire, beat_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SILENCE_S", "serve"]

SILENCE_S = 4.0
"""A worker whose connection is gone has to be gone too within five seconds."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LEAST_BYTES = 1 << 20
"""Where so little is left free, what a worker failed of is the disk."""
_THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def serve(home: str, python: str) -> None:
    """Answer until the other end says so or is gone.

    Args:
        home: The working folder.
        python: Command that starts Python here, as the user wrote it.
    """
    os.umask(0o077)
    sink = os.dup(1)
    os.dup2(2, 1)  # what anything prints must not stand between messages
    os.write(sink, b"\n")  # a login script may have printed something without an end
    wire = Wire(0, sink, silence_s=SILENCE_S)
    agent = _Agent(wire, Path(home), python)
    over, code = threading.Event(), 1
    try:
        wire.send({"agent": Path(sys.argv[0]).stem, "pid": os.getpid()})
        beat_until(wire, over)
        agent.answer_all()
        code = 0
    except GoneError:
        code = 0  # what is left to do is the same
    except Exception:  # noqa: BLE001 - told here, since nothing behind os._exit would
        traceback.print_exc()
    finally:
        agent.end()
        over.set()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a thread may wait for a pipe that nobody reads


class _Agent:
    def __init__(self, wire: Wire, home: Path, python: str) -> None:
        self._wire, self._home, self._python = wire, home.absolute(), python
        self._blobs = Blobs(self._home / "cache")
        self._jobs: Jobs | None = None
        with suppress(OSError):  # a full disk is told when work is asked: what is there can be looked at and cleaned
            self._jobs = Jobs(self._home / "jobs")
        self._coming = 0
        self._turn = MeasuringLock()
        self._worker: subprocess.Popen[str] | None = None
        self._ended = threading.Event()

    def answer_all(self) -> None:
        """Answer one message after another."""
        asked: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "facts": lambda _: examine(self._home),
            "lacking": lambda message: {"lacking": self._blobs.lacking(message["sizes"])},
            "room": self._room,
            "put": self._put,
            "take_turn": lambda _: {"holder": self._turn.take()},
            "give_turn_back": self._give_turn_back,
            "empty": self._empty,
        }
        while (message := self._wire.message())["ask"] != "end":
            if message["ask"] == "work":
                threading.Thread(target=self._work, args=(message,), daemon=True).start()
                continue
            try:
                answer = asked[message["ask"]](message)
            except GoneError:
                raise
            except Exception as error:  # noqa: BLE001 - whoever asked is told, and waits for an answer
                answer = _told(error)
            self._wire.send(answer)

    def end(self) -> None:
        """Leave nothing running."""
        self._ended.set()
        self._end_worker()
        if self._jobs is not None:
            self._jobs.end()
        self._turn.give_back()

    def _room(self, message: dict[str, Any]) -> dict[str, Any]:
        self._expect(message["size"])  # first: of two that ask at once none may miss the other
        try:
            self._blobs.make_room(
                message["size"],
                keep=message["keep"],
                limit=message["limit"],
                least_free=message["least_free"],
                promised=0 if self._jobs is None else self._jobs.promised(),
            )
        except NoRoomError as error:
            self._expect(0)
            return {"error": "no room", "text": str(error)}
        return {}

    def _put(self, message: dict[str, Any]) -> dict[str, Any]:
        whole = self._blobs.put(message["sha256"], self._arriving(message["body"]))
        return {} if whole else {"error": "damaged", "text": message["sha256"]}

    def _arriving(self, size: int) -> Iterator[bytes]:
        """The bytes behind a message; those that are there are expected no more."""
        for piece in self._wire.body(size):
            yield piece
            self._expect(max(0, self._coming - len(piece)))

    def _expect(self, size: int) -> None:
        """Remember how many bytes are still to come, and let other agents know."""
        self._coming = size
        if self._jobs is not None:
            with suppress(OSError):  # a full disk is told as soon as something is kept
                self._jobs.expect(size)

    def _give_turn_back(self, _message: dict[str, Any]) -> dict[str, Any]:
        self._turn.give_back()
        return {}

    def _empty(self, _message: dict[str, Any]) -> dict[str, Any]:
        if (holder := self._turn.take()) is not None:
            return {"error": "busy", "text": holder}
        if lives(self._home / "jobs") if self._jobs is None else self._jobs.others():
            self._turn.give_back()
            return {"error": "busy", "text": "another run is connected to it, and needs what it sent"}
        size, left = self._blobs.clear()
        return {"size": size, "left": left}

    def _work(self, message: dict[str, Any]) -> None:
        """Run a worker, tell of its progress, and send what it answered."""
        try:
            self._worked(message)
        except GoneError:
            return  # the thread that reads finds out too, and ends everything
        except Exception as error:  # noqa: BLE001 - whoever asked is told, and waits for an answer
            with suppress(GoneError):
                self._wire.send(_told(error))

    def _worked(self, message: dict[str, Any]) -> None:
        if self._jobs is None:
            self._jobs = Jobs(self._home / "jobs")
        try:
            folder = self._jobs.lay({name: self._blobs.path(sha256) for name, sha256 in message["files"].items()})
        except FileNotFoundError as error:
            self._wire.send({"error": "lacking", "text": str(error)})
            return
        try:
            self._run(message, folder)
        finally:
            self._end_worker()
            shutil.rmtree(folder, ignore_errors=True)

    def _end_worker(self) -> None:
        worker = self._worker
        if worker is not None and worker.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._worker = None

    def _run(self, message: dict[str, Any], folder: Path) -> None:
        request, answer, errors = folder / "request.json", folder / message["answer"], folder / "errors.txt"
        request.write_text(json.dumps(placed(message["request"], folder)), encoding="utf-8")
        # From where this was started: the command may name a Python by a relative path.
        command_line = f'cd {shlex.quote(str(Path.cwd()))} && exec env {self._python} "$@"'
        started = ["/bin/sh", "-c", command_line, "sh", str(Path(sys.argv[0]).resolve()), "worker"]
        command = [*started, str(os.getpid()), message["module"], str(request), str(answer)]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            SENT_WORKER: json.dumps(started),
            **dict.fromkeys(_THREAD_POOLS, "1"),
            **message["environment"],
        }
        before, cores = celsius(), message["request"].get("affinity") or ()
        with ClockWatch(cores) as watch, StateSampler(cores) as sampler, errors.open("w", encoding="utf-8") as words:
            self._worker = worker = subprocess.Popen(  # noqa: S603 - ourselves
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, encoding="utf-8",
                errors="replace", env=environment, start_new_session=True,
            )  # fmt: skip
            assert worker.stdout is not None  # noqa: S101 - asked for above
            with worker.stdout as output:
                for line in output:
                    self._wire.send({"progress": line.strip()})
            code = worker.wait()
        if self._ended.is_set():  # killed here: to another end that was only silent it would look like a lack of memory
            raise GoneError("ended with its connection")
        if code != 0:
            told = errors.read_text(encoding="utf-8", errors="replace")[-4000:]
            full = shutil.disk_usage(folder).free < _LEAST_BYTES  # then its last words may be missing
            lines = told.strip().splitlines() or [f"exit code {code}"]
            failed = (
                {"error": "disk full", "text": lines[-1]} if full else {"error": "worker", "code": code, "text": told}
            )
            self._wire.send(failed)
        else:
            state = {
                "state": sampler.finished().to_json(), "celsius": [before, celsius()], "held_back": watch.reasons,
                "governors": governors(),
            }  # fmt: skip
            self._wire.send(state, answer)


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, OSError):
        return {"error": "disk full" if error.errno in _FULL else "system", "text": str(error)}
    traceback.print_exc()
    return {"error": "system", "text": f"{type(error).__name__}: {error}"}
