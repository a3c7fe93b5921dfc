"""A device on the loopback: a real sshd with a key, a known_hosts and a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.devices.device import Device
from pipeline.devices.entries import DeviceEntry
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

_SERVER = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_CLIENT = shutil.which("ssh")
_PRIVILEGE_SEPARATION = Path("/run/sshd")


@dataclass(frozen=True)
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


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A server that lets the one who runs the tests in."""
    if _SERVER is None or _CLIENT is None:
        pytest.skip("there is no OpenSSH server here: apt-get install openssh-server")
    if os.getuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)  # else it refuses to start where nothing booted
    folder = tmp_path_factory.mktemp("loopback")
    for name in ("host", "user"):
        subprocess.run(
            [shutil.which("ssh-keygen") or "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
            check=True,
        )
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
    client = folder / "bin" / "ssh"
    client.write_text(f'#!/bin/sh\nexec {_CLIENT} -F {folder}/client.conf "$@"\n')
    client.chmod(0o755)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([_SERVER, "-D", "-e", "-f", str(folder / "server.conf")], stderr=log)
        try:
            _wait_for(port, server, folder / "log")
            yield Loopback(f"ssh://127.0.0.1:{port}", folder / "known", folder / "keys", folder / "bin")
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        if server.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text().strip()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("sshd does not answer")


@pytest.fixture
def with_client(loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loopback:
    """The server, with its client in the place of the user's ``ssh`` and a folder for configurations."""
    monkeypatch.setenv("PATH", f"{loopback.folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return loopback


@pytest.fixture
def device(with_client: Loopback, tmp_path: Path) -> Callable[..., Device]:
    """Makes the loopback device, not yet connected: ``device(python=...)`` changes its entry.

    Its locks are its own: what else is measured on the machine that runs the tests does not count.
    """

    def make(*, wait_s: float = 0.0, lasting: bool = False, **fields: object) -> Device:
        python = f"TMPDIR={tmp_path} {sys.executable}"
        own = {"address": with_client.address, "python": python, "folder": str(tmp_path / "there"), **fields}
        entry = DeviceEntry.model_validate(own)
        return Device("board", entry, SilentProgress(), wait_s=wait_s, lasting=lasting)

    return make


@pytest.fixture(scope="session")
def arm_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """This Python, saying of itself that it runs on an ARM board: flows can be tried where there is no such board."""
    folder = tmp_path_factory.mktemp("arm")
    (folder / "sitecustomize.py").write_text("import platform\n\nplatform.machine = lambda: 'aarch64'\n")
    return f"PYTHONPATH={folder} {sys.executable}"


@pytest.fixture(scope="session")
def short(tiny_recipe: Recipe) -> Recipe:
    """The tiny run without the stages that a device has no part in."""
    return tiny_recipe.model_copy(update={"skip": ("distill", "prune")})
