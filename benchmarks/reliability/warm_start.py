"""Starting commands from a process that has imported everything, since importing costs more than a tiny run does.

What runs is the command line itself, in a process and a session of its own: a fork of one that has the libraries loaded
and has done nothing with them. What happens while Python still imports, and at its very end, is left to campaigns that
start commands cold.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["WarmRun", "WarmStart"]

_SERVES = """
import atexit, json, os, signal, socket, sys

from pipeline.onnx_runtime import onnx_runtime
from pipeline.threads import rest_between_work

rest_between_work()

onnx_runtime()
import matplotlib.figure, onnx.checker, onnxscript, onnxslim, pycocotools.cocoeval, safetensors.torch
import scipy.special, sklearn.datasets, torch, torch_pruning, torch.utils.data, torchvision
import exporters.ort_cpu.target, pipeline.catalog, pipeline.runner.deploy, pipeline.runner.publish
import pipeline.cli.main
from edgewright.__main__ import main

signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the command line does before it imports anything

def handed_on(handles, run):
    # Waits for the run, and tells of its end, which the run itself cannot after a kill.
    out, err, status = handles
    os.close(out)
    os.close(err)
    os.write(status, f"{os.waitstatus_to_exitcode(os.waitpid(run, 0)[1])}\\n".encode())
    os._exit(0)

server = socket.socket(fileno=int(sys.argv[1]))
server.send(b"ready")
while True:
    asked, handles, _, _ = socket.recv_fds(server, 1 << 20, 3)
    if not asked:
        sys.exit()
    if os.fork() == 0:
        run = os.fork()
        if run:
            handed_on(handles, run)
        break
    for handle in handles:
        os.close(handle)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass

told = json.loads(asked)
server.close()
os.setsid()
os.write(handles[2], f"{os.getpid()}\\n".encode())  # not before: who knows it may kill the session
for handle, place in zip(handles, (1, 2)):
    os.dup2(handle, place)
for handle in handles:
    os.close(handle)
os.chdir(told["folder"])
os.environ.clear()
os.environ.update(told["environment"])
rest_between_work()
sys.argv = ["edgewright", *told["typed"]]
code = 0
try:
    main()
except SystemExit as left:
    code = left.code or 0
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # libraries would wait at their end for threads that were not forked along
"""


class WarmStart:
    """Starts commands; to be used as a context. Everything is imported when the first one is started.

    Args:
        environment: Of the process that imports everything: what is decided by it while libraries are loaded stays.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._asks.close()
            self._server.wait()

    def _serve(self) -> None:
        self._asks, served = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-c", _SERVES, str(served.fileno())],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[served.fileno()],
        )
        served.close()
        if self._asks.recv(16) != b"ready":
            raise ValueError(f"what starts commands ended with {self._server.wait()}")

    def start(self, folder: Path, environment: Mapping[str, str], *typed: str) -> WarmRun:
        """Start ``edgewright`` with these words behind it, in a folder."""
        if self._server is None:
            self._serve()
        ends = [os.pipe() for _ in range(3)]
        asked = {"folder": str(folder), "environment": dict(environment), "typed": typed}
        socket.send_fds(self._asks, [json.dumps(asked).encode()], [written for _, written in ends])
        for _, written in ends:
            os.close(written)
        return WarmRun(typed, *(open(read, "rb", buffering=0) for read, _ in ends))  # noqa: PTH123 - pipes


class WarmRun:
    """A started command, with what :class:`subprocess.Popen` has of one.

    Args:
        typed: Its words.
        out: What it prints.
        err: What it writes to standard error.
        status: Its process, then its exit code, a line each.
    """

    def __init__(self, typed: tuple[str, ...], out: IO[bytes], err: IO[bytes], status: IO[bytes]) -> None:
        self._typed, self._status = typed, status
        self._open = [out, err, status]
        self._read = {id(one): b"" for one in self._open}
        self._out, self._err = id(out), id(err)
        line = status.readline()
        if not line:
            raise ValueError(f"{' '.join(typed)} was not started")
        self.pid = int(line)
        self.returncode: int | None = None

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read all it prints and wait for its end.

        Raises:
            subprocess.TimeoutExpired: when that takes longer; may be called again then.
        """
        until = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as waited:
            for one in self._open:
                waited.register(one, selectors.EVENT_READ)
            while self._open:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired(self._typed, timeout or 0.0)
                for key, _ in waited.select(left):
                    self._take(key.fileobj, waited)  # type: ignore[arg-type] # what was registered
        self.returncode = int(self._read[id(self._status)])
        return self._text(self._out), self._text(self._err)

    def _take(self, one: IO[bytes], waited: selectors.BaseSelector) -> None:
        part = one.read(1 << 16)
        self._read[id(one)] += part
        if not part:
            waited.unregister(one)
            self._open.remove(one)
            one.close()

    def _text(self, read: int) -> str:
        return self._read[read].decode(errors="replace")

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, as long as it is known to run."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(self.pid, number)
