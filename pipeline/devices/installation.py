"""Starting the agent on a device: Python looked for, the code sent if it is not there."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import uuid
from typing import TYPE_CHECKING

from pipeline.devices.link import Link
from pipeline.devices.measuring_code import measuring_code
from pipeline.errors import DeviceError, ResourceError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from pipeline.devices.connection import Connection
    from pipeline.devices.entries import DeviceEntry
    from pipeline.devices.measuring_code import MeasuringCode

__all__ = ["LEAST_PYTHON", "look_for_python", "own_python", "remote_folder", "start_agent", "tells_of_a_full_disk"]

LEAST_PYTHON = (3, 9)
_END_S = 5.0
_NO_FOLDER, _READ_ONLY = 91, 94
_LOOK = (
    "import hashlib, os, sys; print(); print('edgewright-python', *sys.version_info[:2]); "
    "path, named, process = sys.argv[1:]; "
    "os.path.isfile(path) and hashlib.sha256(open(path, 'rb').read()).hexdigest() == named and print('edgewright-code')"
    "; os.getpid() == int(process) or print('edgewright-child', sys.executable)"
)
"""Tells the version, whether the code is there as it was sent (a card loses bits without changing a size), and which
Python it is where that is not the process that was started. An empty line is first, since a login script may have
printed something without an end."""
_NOT_FOUND = (126, 127)


def remote_folder(folder: str) -> str:
    """A folder of a device as its ``sh`` reads it; ``~`` is the home of who logs in."""
    if folder == "~" or folder.startswith("~/"):
        return '"$HOME"' + shlex.quote(folder[1:]) if folder != "~" else '"$HOME"'
    return shlex.quote(folder)


def own_python(folder: str) -> str:
    """The command that starts the Python of our own there, for an entry with that folder."""
    if folder == "~" or folder.startswith("~/"):
        return "~/" + shlex.quote(f"{folder[2:]}/venv/bin/python".lstrip("/"))
    return shlex.quote(f"{folder}/venv/bin/python")


def start_agent(name: str, entry: DeviceEntry, connection: Connection, opened: ExitStack) -> tuple[Link, int]:
    """The link to a fresh agent, and how many bytes of code had to be sent.

    Args:
        name: What the user calls the device.
        entry: How it is used.
        connection: To it.
        opened: Closes the agent.

    Raises:
        DeviceError: when there is no folder to work in, or no Python that is new enough.
        ResourceError: when the disk there is full.
    """
    code = measuring_code()
    folder = remote_folder(entry.folder)
    place = f"{folder}/code/{code.sha256}.pyz"
    there = look_for_python(name, entry, connection, code)
    sent = 0 if there else _send(name, connection, place, code)
    errors = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the agent
    agent = connection.start(f"exec env {entry.python} {place} agent {folder} {shlex.quote(entry.python)}", errors)
    assert agent.stdin is not None  # noqa: S101 - asked for
    assert agent.stdout is not None  # noqa: S101 - asked for
    opened.callback(_end, agent)

    def last_words() -> str:
        errors.seek(0)
        return errors.read().decode(errors="replace")

    link = Link(name, agent.stdout.fileno(), agent.stdin.fileno(), connection.cut, last_words)
    opened.callback(link.close)
    link.greet(code.sha256)
    return link, sent


def look_for_python(
    name: str, entry: DeviceEntry, connection: Connection, code: MeasuringCode, *, itself: bool = True
) -> bool:
    """See that there is a folder to work in and a Python; whether the code is there already.

    Args:
        name: What the user calls the device.
        entry: How it is used.
        connection: To it.
        code: To look for.
        itself: Whether the command has to become Python: what starts one as its child would be stopped and ended in its
            place.

    Raises:
        DeviceError: when there is none, the folder cannot be written, or the Python will not do.
    """
    folder = remote_folder(entry.folder)
    place = f"{folder}/code/{code.sha256}.pyz"
    found = connection.run(
        f"umask 077; mkdir -p {folder}/code || exit {_NO_FOLDER}; "
        f"test -w {folder} && test -w {folder}/code || {{ echo {folder} >&2; exit {_READ_ONLY}; }}; "
        f"exec env {entry.python} -c {shlex.quote(_LOOK)} {place} {code.sha256} $$"
    )
    said = found.stdout.decode(errors="replace").splitlines()
    words = found.stderr.decode(errors="replace").strip().splitlines()
    if found.returncode == _NO_FOLDER:
        raise _unwritable(name, f"no folder {entry.folder} can be made there", found)
    if found.returncode == _READ_ONLY:
        raise _unwritable(name, "its folder cannot be written", found)
    line = next((one for one in said if one.startswith("edgewright-python ")), None)
    if line is None:
        missing = found.returncode in _NOT_FOUND
        another = "install it (sudo apt-get install python3-venv), or name another: edgewright device add ... --python"
        raise DeviceError(
            "there is no such Python" if missing else "its Python does not run",
            where=name,
            got=words[-1] if words else f"{entry.python}: exit code {found.returncode}",
            expected="Python {}.{} or newer".format(*LEAST_PYTHON),
            fix=f"edgewright device check {name} --install" if entry.python == own_python(entry.folder) else another,
        )
    major, minor = map(int, line.split()[1:3])
    if (major, minor) < LEAST_PYTHON:
        raise DeviceError(
            "its Python is too old",
            where=name,
            got=f"{entry.python} is {major}.{minor}",
            expected="Python {}.{} or newer".format(*LEAST_PYTHON),
            fix="name a newer one: edgewright device add ... --python",
        )
    child = next((one for one in said if one.startswith("edgewright-child ")), None)
    if itself and child is not None:
        raise DeviceError(
            "its command starts Python as a child, which would go on running where the command is stopped or ended",
            where=name,
            got=entry.python,
            expected="a command that becomes Python, as one with exec does",
            fix=f"name that Python itself: edgewright device add ... --python {shlex.quote(child.partition(' ')[2])}",
        )
    return "edgewright-code" in said


def _send(name: str, connection: Connection, place: str, code: MeasuringCode) -> int:
    """Put the code there, whole or not at all."""
    part = f"{place}.{uuid.uuid4().hex[:8]}.part"
    done = connection.run(
        f"umask 077; cat > {part} && test $(wc -c < {part}) -eq {len(code.data)} && mv {part} {place} "
        f"|| {{ rm -f {part}; exit {_NO_FOLDER}; }}",
        code.data,
    )
    if done.returncode != 0:
        raise _unwritable(name, "the measuring code cannot be written there", done)
    return len(code.data)


def _unwritable(name: str, what: str, done: subprocess.CompletedProcess[bytes]) -> DeviceError | ResourceError:
    words = done.stderr.decode(errors="replace").strip().splitlines()
    got = words[-1] if words else f"exit code {done.returncode}"
    if tells_of_a_full_disk(got):
        return ResourceError("the disk of the device is full", where=name, got=got, fix="free some there")
    return DeviceError(what, where=name, got=got, fix="name another folder: edgewright device add ... --folder")


def tells_of_a_full_disk(text: str) -> bool:
    """Whether a command's message says that there is no room."""
    return "No space left" in text or "quota" in text


def _end(agent: subprocess.Popen[bytes]) -> None:
    """Close its input, which ends the agent, and wait until it has removed what it made; not for one that is lost."""
    assert agent.stdin is not None  # noqa: S101 - asked for
    assert agent.stdout is not None  # noqa: S101 - asked for
    agent.stdin.close()
    try:
        agent.wait(_END_S)
    except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()
    agent.stdout.close()
