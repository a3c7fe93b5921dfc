"""One multiplexed connection by the user's own ``ssh``: their configuration, keys, agents and host keys hold.

A first ``ssh`` is the master and stays while the connection is used; every other one goes through its socket. Nothing
is asked of the user (``BatchMode``) and nothing stays behind: the master runs ``cat`` on a pipe that ends with us.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from pipeline.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Connection", "configured_host"]

_CONNECT_S = 15
_RUN_S = 120.0
"""For a Python that starts on a small or busy board, and the code to come through a slow line."""
_READY = b"edgewright-ready"
_OPTIONS = (
    "BatchMode=yes", f"ConnectTimeout={_CONNECT_S}", "ClearAllForwardings=yes", "ForwardAgent=no", "RemoteCommand=none",
    "PermitLocalCommand=no", "ServerAliveInterval=5", "ServerAliveCountMax=3", "ControlPersist=no",
)  # fmt: skip
_LONGEST_SOCKET = 80
"""A path of a socket has 108 bytes at most, and ssh makes it first with a longer name."""


def configured_host(address: str) -> str | None:
    """The host that the user's ssh configuration makes of an address; None where it is silent."""
    try:
        done = subprocess.run(["ssh", "-G", address], capture_output=True, text=True, check=False, timeout=_CONNECT_S)  # noqa: S603, S607 - their ssh
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^hostname (.+)$", done.stdout, re.MULTILINE)
    return found and found[1]


class Connection:
    """Connected while its ``with`` block lasts.

    Args:
        name: What the user calls the device.
        address: ``ssh://[user@]host[:port]``.
    """

    def __init__(self, name: str, address: str) -> None:
        self._name, self._address = name, address
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            DeviceError: when that cannot be; says why.
        """
        ssh = shutil.which("ssh")
        if ssh is None:
            raise DeviceError("there is no ssh here", where=self._name, fix="install OpenSSH's client")
        folder = tempfile.mkdtemp(prefix="edgewright-ssh-")
        if len(folder) > _LONGEST_SOCKET:
            os.rmdir(folder)  # noqa: PTH106
            folder = tempfile.mkdtemp(prefix="edgewright-ssh-", dir="/tmp")
        self._folder = Path(folder)
        self._ssh = [ssh, "-T", "-S", str(self._folder / "s")]
        for option in _OPTIONS:
            self._ssh += ["-o", option]
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Disconnect; what still runs through it is cut."""
        if self._master is not None:
            self.cut()
            self._master.wait()
            for pipe in (self._master.stdin, self._master.stdout):
                assert pipe is not None  # noqa: S101 - asked for
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def master_pid(self) -> int:
        """Process of the connection."""
        assert self._master is not None  # noqa: S101 - within the block
        return self._master.pid

    def cut(self) -> None:
        """End it at once, also one that hangs."""
        if self._master is not None:
            self._master.kill()

    def run(self, script: str, data: bytes = b"", *, within_s: float = _RUN_S) -> subprocess.CompletedProcess[bytes]:
        """Run a line for ``sh`` there, with ``data`` as its standard input.

        Raises:
            DeviceError: when it does not end in time.
        """
        command = [*self._client(), _line(script)]
        try:
            return subprocess.run(command, input=data, capture_output=True, check=False, timeout=within_s)  # noqa: S603 - their ssh
        except subprocess.TimeoutExpired as error:
            words = (error.stderr or error.stdout or b"").decode(errors="replace").strip().splitlines()
            raise DeviceError(
                f"a command on the device did not end within {within_s:.0f} s",
                where=self._name,
                got=words[-1] if words else "no word of it",
                fix=f"see whether this ends: ssh {self._address} true",
            ) from error

    def start(self, script: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a line for ``sh`` there, with pipes to its standard input and output."""
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603
            [*self._client(), _line(script)], stdin=pipe, stdout=pipe, stderr=errors, bufsize=0
        )

    def _client(self) -> list[str]:
        """Through the master's socket alone: where that is gone, ssh would connect by itself, which this forbids."""
        return [*self._ssh, "-o", "ControlMaster=no", "-o", "ProxyCommand=false", self._address]

    def _connect(self) -> None:
        with (self._folder / "errors").open("wb") as errors:
            script = f"echo; echo {_READY.decode()}; exec cat >/dev/null"
            self._master = subprocess.Popen(  # noqa: S603
                [*self._ssh, "-M", self._address, _line(script)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0, start_new_session=True,
            )  # fmt: skip
        if any(line.strip() == _READY for line in self._lines(time.monotonic() + 2 * _CONNECT_S)):
            return
        ended = self._master.poll() is not None
        words = (self._folder / "errors").read_text(encoding="utf-8", errors="replace")
        raise _refused(self._name, self._address, words if ended else "timed out")

    def _lines(self, deadline: float) -> Iterator[bytes]:
        """Lines of the master's output until it ends or time is up."""
        assert self._master is not None  # noqa: S101 - just started
        assert self._master.stdout is not None  # noqa: S101 - asked for
        source, held = self._master.stdout, b""
        while select.select([source], [], [], max(0.0, deadline - time.monotonic()))[0]:
            piece = source.read(4096)
            if not piece:
                self._master.wait()
                return
            *lines, held = (held + piece).split(b"\n")
            yield from lines


def _line(script: str) -> str:
    """For the login shell there, whichever it is."""
    return f"sh -c {shlex.quote(script)}"


def _refused(name: str, address: str, words: str) -> DeviceError:
    """Why ssh could not connect, in words for the user."""
    said = [line.strip() for line in words.splitlines() if line.strip()]
    last = said[-1] if said else "ssh ended without a word"
    host = address.removeprefix("ssh://").rpartition("@")[2]
    where = f"{name} ({address})" if name != address else name
    if "IDENTIFICATION HAS CHANGED" in words:
        return DeviceError(
            "the host key has changed: this is another machine than before, or somebody in between",
            where=where,
            got=next((line for line in said if "SHA256:" in line), last),
            fix=f"if the device was set up anew: ssh-keygen -R {_known_as(host)}, then once: ssh {address}",
        )
    if "Host key verification failed" in words:
        return DeviceError(
            "its host key is not known", where=where, fix=f"compare and accept it once by hand: ssh {address}"
        )
    if "Permission denied" in words:
        return DeviceError(
            "the device accepts none of your keys",
            where=where,
            got=last,
            fix=f"ssh-copy-id {address}   (passwords are never asked for; a key with one needs ssh-agent)",
        )
    return DeviceError(
        "the device cannot be reached", where=where, got=last, fix=f"see whether this connects: ssh {address}"
    )


def _known_as(host: str) -> str:
    """How known_hosts names it, for a shell: ``host``, or ``'[host]:port'`` where the port is not the usual one."""
    found = re.fullmatch(r"(?:\[(?P<v6>.*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?", host)
    assert found is not None  # noqa: S101 - an address that was checked
    name, port = found["v6"] or found["name"], found["port"]
    return shlex.quote(name if port in {None, "22"} else f"[{name}]:{port}")
