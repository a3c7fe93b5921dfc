"""A device on the loopback: a real sshd with a key, a known_hosts and a port of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.loopback import Loopback, NoServerError
from benchmarks.loopback import loopback as a_loopback
from pipeline.devices.device import Device
from pipeline.devices.entries import DeviceEntry
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pipeline.recipe import Recipe


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A server that lets the one who runs the tests in."""
    with ExitStack() as opened:
        try:
            found = opened.enter_context(a_loopback(tmp_path_factory.mktemp("loopback")))
        except NoServerError as error:
            pytest.skip(str(error))
        yield found


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

    def make(*, wait_s: float = 0.0, as_it_is: bool = False, lasting: bool = False, **fields: object) -> Device:
        python = f"TMPDIR={tmp_path} {sys.executable}"
        own = {"address": with_client.address, "python": python, "folder": str(tmp_path / "there"), **fields}
        entry = DeviceEntry.model_validate(own)
        return Device("board", entry, SilentProgress(), wait_s=wait_s, as_it_is=as_it_is, lasting=lasting)

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
