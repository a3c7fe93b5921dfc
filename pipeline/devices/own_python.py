"""A Python of our own on a device: a virtual environment below its folder, with what engines need there."""

from __future__ import annotations

import shlex
import tempfile
from textwrap import shorten
from typing import TYPE_CHECKING

from exporters.onnxruntime_wheels import CPU_WHEEL, GPU_WHEEL
from pipeline.devices.connection import Connection
from pipeline.devices.installation import look_for_python, own_python, remote_folder, tells_of_a_full_disk
from pipeline.devices.measuring_code import measuring_code
from pipeline.errors import DeviceError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.devices.entries import DeviceEntry

__all__ = ["install_python"]

_NO_VENV, _NO_PIP = 92, 93
_DEFAULT_PYTHON = "python3"
_LONGEST = 240

_APART = "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])"
"""What ``setsid`` does, for systems that have none, such as macOS."""
_WITH_THE_CONNECTION = (
    "exec 3<&0; if command -v setsid >/dev/null; then set -- setsid; else set -- env {python} -c {apart}; fi; "
    '"$@" sh -c {work} </dev/null & work=$!; '
    "{{ cat <&3 >/dev/null; kill -- -$work; }} >/dev/null 2>&1 & watch=$!; "
    "wait $work; code=$?; kill $watch; exit $code"
)
"""Runs something there that ends when our end of its input is closed, by us or by a lost connection."""


def install_python(name: str, entry: DeviceEntry, distributions: Sequence[str]) -> None:
    """Make the environment with the entry's Python, or take the one that is there and works, and install into it.

    Args:
        name: What the user calls the device.
        entry: How it is reached; :func:`own_python` of its folder is what starts the new one.
        distributions: To install, by the device's own pip and from where that takes them; one wheel of ONNX Runtime
            takes the place of the other.

    Raises:
        DeviceError: when the device is not reached, has no Python that is new enough, or one of the two steps fails.
        ResourceError: when its disk is full.
    """
    place, python = f"{remote_folder(entry.folder)}/venv", own_python(entry.folder)
    with Connection(name, entry.address) as connection, tempfile.TemporaryFile() as errors:
        # One that was left half made, or whose Python is gone since the system was upgraded, is made anew.
        works = connection.run(f"{place}/bin/python -m pip --version").returncode == 0
        first = python if works else _DEFAULT_PYTHON if entry.python == python else entry.python
        looked = entry.model_copy(update={"python": first})
        look_for_python(name, looked, connection, measuring_code(), itself=False)  # it will be another's command
        make = "" if works else f"env {first} -m venv --clear {place} || exit {_NO_VENV}; "
        work = (
            f"exec >&2; {make}{_other_wheel_removed(f'{place}/bin/python -m pip', distributions)}"
            f"{place}/bin/python -m pip install --quiet --disable-pip-version-check --no-input "
            f"{shlex.join(distributions)} || exit {_NO_PIP}"
        )
        with connection.start(_with_the_connection(work, first), errors) as started:
            assert started.stdin is not None  # noqa: S101 - asked for
            code = started.wait()
        errors.seek(0)
        words = errors.read().decode(errors="replace").strip().splitlines()
    if code == 0:
        return
    if (full := next(filter(tells_of_a_full_disk, words), None)) and code in {_NO_VENV, _NO_PIP}:
        raise ResourceError("the disk of the device is full", where=name, got=full, fix="free some there")
    got = words[-1] if words else f"exit code {code}"
    if code == _NO_VENV:
        got = shorten(" ".join(words) or got, _LONGEST)  # Debian tells the reason in its first line of many
        fix = "install what it is made with (sudo apt-get install python3-venv), or name another: --python"
        raise DeviceError("no virtual environment can be made there", where=name, got=got, fix=fix)
    if code == _NO_PIP:
        by_hand = shlex.quote(f"{python} -m pip install {shlex.join(distributions)}")
        raise DeviceError(
            f"pip on the device could not install {' '.join(distributions)}",
            where=name,
            got=next((line for line in reversed(words) if "ERROR" in line), got),
            fix=f"see what it says: ssh {entry.address} {by_hand}",
        )
    raise DeviceError(
        "the connection was lost", where=name, got=got, fix="run the same command again: what is there is kept"
    )


def _other_wheel_removed(pip: str, distributions: Sequence[str]) -> str:
    """What removes ONNX Runtime where its other wheel is there: one over the other leaves a mixture of both.

    Both go, since each takes files of the other with it.
    """
    wheels = {CPU_WHEEL, GPU_WHEEL}
    others = wheels - {one.partition(">=")[0] for one in distributions}
    if len(others) != 1:
        return ""
    return (
        f"if {pip} show --quiet {others.pop()} >/dev/null 2>&1; then "
        f"{pip} uninstall --quiet --yes {CPU_WHEEL} {GPU_WHEEL} || exit {_NO_PIP}; fi; "
    )


def _with_the_connection(work: str, python: str) -> str:
    """A line for ``sh`` that works as long as the connection lasts; ``python`` is a command that starts one."""
    return _WITH_THE_CONNECTION.format(work=shlex.quote(work), python=python, apart=shlex.quote(_APART))
