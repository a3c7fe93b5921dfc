"""The Python and the folder that are looked for on a device, by the ``sh`` of this machine."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.devices.entries import DeviceEntry
from pipeline.devices.installation import look_for_python, own_python
from pipeline.devices.measuring_code import MeasuringCode
from pipeline.errors import DeviceError

_CODE = MeasuringCode(b"", "0" * 64)


class _Here:
    """A connection to this machine.

    Args:
        first: What its ``sh`` does first.
    """

    def __init__(self, first: str = ":") -> None:
        self._first = first

    def run(self, script: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["sh", "-c", f"{self._first}; {script}"], check=False, capture_output=True)  # noqa: S607


def _looked(folder: Path, python: str, first: str = ":", **how: bool) -> bool:
    entry = DeviceEntry(address="ssh://board", folder=str(folder), python=python)
    here: Any = _Here(first)
    return look_for_python("board", entry, here, _CODE, **how)


def test_a_folder_that_became_read_only_is_told_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    read_only = 'test() { [ "$1" != -w ]; }'  # root may write everywhere
    with pytest.raises(DeviceError, match="its folder cannot be written") as raised:
        _looked(tmp_path, sys.executable, read_only)

    assert raised.value.got == str(tmp_path)
    assert "--folder" in (raised.value.fix or "")
    assert not _looked(tmp_path, sys.executable)  # the code is not there


def test_a_command_that_starts_python_as_its_child_is_told_the_python_to_name(tmp_path: Path) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\n{sys.executable} "$@"\nexit $?\n', encoding="utf-8")
    wrapper.chmod(0o755)
    with pytest.raises(DeviceError, match="its command starts Python as a child") as raised:
        _looked(tmp_path, str(wrapper))

    assert raised.value.got == str(wrapper)
    assert (raised.value.fix or "").endswith(f"edgewright device add ... --python {shlex.quote(sys.executable)}")
    assert not _looked(tmp_path, str(wrapper), itself=False)  # it can make an environment all the same

    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    assert not _looked(tmp_path, f"ANY=1 {wrapper} -S")


def test_where_the_environment_of_our_own_is_gone_the_command_that_makes_it_anew_is_told(tmp_path: Path) -> None:
    anew = "edgewright device check board --install"
    for python, helps in ((own_python(str(tmp_path)), anew), ("/no/python", "apt-get")):
        with pytest.raises(DeviceError, match="there is no such Python") as raised:
            _looked(tmp_path, python)
        assert helps in (raised.value.fix or "")
