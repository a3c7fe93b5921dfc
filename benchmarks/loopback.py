"""A device that is always there: a real SSH server on the loopback, with a key, a known_hosts and a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Loopback", "NoServerError", "loopback", "running_from"]

_PRIVILEGE_SEPARATION = Path("/run/sshd")
_LOOKS, _LOOK_S = 100, 0.05


class NoServerError(Exception):
    """There is no SSH server here, or it does not start; the text says why."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """A server, and what its clients know of it.

    Attributes:
        address: Of the server.
        known_hosts: As the client reads it.
        keys: That the server accepts.
        folder: With a client named ``ssh`` that reads its own configuration.
    """

    address: str
    known_hosts: Path
    keys: Path
    folder: Path


@contextmanager
def loopback(folder: Path) -> Iterator[Loopback]:
    """A server that lets whoever starts it in, while the ``with`` block lasts.

    Args:
        folder: That is there, for keys and configuration.

    Raises:
        NoServerError: when there is none.
    """
    server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    client, keygen = shutil.which("ssh"), shutil.which("ssh-keygen")
    if server is None or client is None or keygen is None:
        raise NoServerError("there is no OpenSSH server here: apt-get install openssh-server")
    if os.getuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)  # else it refuses to start where nothing booted
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)  # noqa: S603
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.copy(folder / "user.pub", folder / "keys")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "server.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/keys\n"
        "StrictModes no\nPasswordAuthentication no\nPidFile none\n"
    )
    (folder / "client.conf").write_text(
        f"IdentityFile {folder}/user\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {folder}/known\n"
        "GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n"
    )
    (folder / "bin").mkdir()
    named_ssh = folder / "bin" / "ssh"
    named_ssh.write_text(f'#!/bin/sh\nexec {client} -F {folder}/client.conf "$@"\n')
    named_ssh.chmod(0o755)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([server, "-D", "-e", "-f", str(folder / "server.conf")], stderr=log)  # noqa: S603
        try:
            _wait_for(port, process, folder / "log")
            yield Loopback(f"ssh://127.0.0.1:{port}", folder / "known", folder / "keys", folder / "bin")
        finally:
            process.terminate()
            process.wait()


def running_from(folder: Path) -> dict[int, str]:
    """Processes that were started with something below a folder among their words: number to command line."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            words = path.read_bytes().decode(errors="replace").split("\0")
            if any(word.startswith(str(folder)) for word in words):
                found[int(path.parent.name)] = " ".join(words)
    return found


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(_LOOKS):
        if server.poll() is not None:
            raise NoServerError(f"sshd does not start here: {log.read_text().strip()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(_LOOK_S)
    raise NoServerError(f"sshd does not answer: {log.read_text().strip()}")
