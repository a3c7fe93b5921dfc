"""A Python of our own on a device: made by the device's, filled by its pip, and what is said where that fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import pytest

from pipeline.devices import own_python as module
from pipeline.devices.entries import DeviceEntry
from pipeline.devices.installation import own_python
from pipeline.devices.own_python import install_python
from pipeline.errors import DeviceError, ResourceError

if TYPE_CHECKING:
    from pipeline.devices.device import Device

MakeDevice = Callable[..., "Device"]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A distribution with nothing in it, so that none has to be fetched."""
    path = tmp_path / "openvino-1.2-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: openvino\nVersion: 1.2\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in about.items():
            archive.writestr(f"openvino-1.2.dist-info/{name}", text)
    return path


@pytest.mark.slow
def test_it_is_made_once_filled_and_started_like_any_other(device: MakeDevice, wheel: Path, tmp_path: Path) -> None:
    entry = device().entry
    install_python("board", entry, [str(wheel)])
    configuration = tmp_path / "there" / "venv" / "pyvenv.cfg"
    made = configuration.stat().st_mtime_ns

    with device(python=own_python(entry.folder)) as own:
        assert (own.facts.versions["openvino"], own.facts.versions["numpy"]) == ("1.2", None)

    with pytest.raises(
        DeviceError, match=r"pip on the device could not install /nowhere/x-1-py3-none-any\.whl"
    ) as raised:
        install_python("board", entry, ["/nowhere/x-1-py3-none-any.whl"])
    assert "ERROR" in (raised.value.got or "")
    assert f"ssh {entry.address} " in (raised.value.fix or "")
    assert configuration.stat().st_mtime_ns == made


@pytest.mark.parametrize("step", [module._NO_VENV, module._NO_PIP])
def test_a_full_disk_is_told_as_one(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"

    class Full:
        def __init__(self, *_: str) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, _script: str) -> subprocess.CompletedProcess[bytes]:
            return subprocess.CompletedProcess([], 1)

        def start(self, _script: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
            errors.write(f"{said}\nthe last line\n".encode())
            return subprocess.Popen(["sh", "-c", f"exit {step}"], stdin=subprocess.PIPE)  # noqa: S607

    monkeypatch.setattr(module, "Connection", Full)
    monkeypatch.setattr(module, "look_for_python", lambda *_, **__: True)
    with pytest.raises(ResourceError, match="the disk of the device is full") as raised:
        install_python("board", DeviceEntry(address="ssh://board"), ["numpy"])
    assert (raised.value.got, raised.value.exit_code) == (said, 7)


_REMOVED = "-m pip uninstall --quiet --yes onnxruntime onnxruntime-gpu"


@pytest.mark.parametrize(
    ("there", "asked", "removed"),
    [
        ("onnxruntime", ["onnxruntime-gpu>=1.18", "numpy"], [_REMOVED]),
        ("onnxruntime-gpu", ["onnxruntime>=1.18"], [_REMOVED]),
        ("onnxruntime", ["onnxruntime>=1.18"], []),
        ("onnxruntime", ["openvino>=2025.4"], []),
    ],
)
def test_one_wheel_of_onnxruntime_takes_the_place_of_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: str, asked: list[str], removed: list[str]
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    noted = 'echo "$*" >> "$0.log"; [ "$3" != show ] || [ "$5" = ' + there + " ]"
    python.write_text(f"#!/bin/sh\n{noted}\n", encoding="utf-8")
    python.chmod(0o755)

    class Here:
        def __init__(self, *_: str) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, script: str) -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(["sh", "-c", script], check=False, capture_output=True)  # noqa: S607

        def start(self, script: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stderr=errors)  # noqa: S607

    monkeypatch.setattr(module, "Connection", Here)
    monkeypatch.setattr(module, "look_for_python", lambda *_, **__: True)
    install_python("board", DeviceEntry(address="ssh://board", folder=str(tmp_path)), asked)
    done = Path(f"{python}.log").read_text(encoding="utf-8").splitlines()
    assert [line for line in done if "uninstall" in line] == removed
    assert done[-1].endswith(f"--no-input {' '.join(asked)}")


def test_a_python_that_makes_no_environments_is_told(device: MakeDevice, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    refusing = '[ "$1" = -m ] && { echo "ensurepip is not"; echo "available"; exit 1; }'  # as Debian's: to its output
    bare.write_text(f'#!/bin/sh\n{refusing}\nexec {sys.executable} "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(DeviceError, match="no virtual environment can be made there") as raised:
        install_python("board", device(python=str(bare)).entry, ["some-runtime"])
    assert raised.value.got == "ensurepip is not available"
    assert "python3-venv" in (raised.value.fix or "")


def test_an_environment_that_was_left_half_made_is_made_anew_and_one_that_works_is_kept(
    device: MakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, place = tmp_path / "made", tmp_path / "there" / "venv" / "bin" / "python"
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\nexit 1\n")
    place.chmod(0o755)
    works = f'#!/bin/sh\n[ "$1" = -m ] && exit 0\nexec {sys.executable} "$@"\n'
    (tmp_path / "works").write_text(works)
    making = f'[ "$1 $2 $3" = "-m venv --clear" ] && {{ cp {tmp_path}/works {place}; echo >> {made}; exit 0; }}'
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\n{making}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    entry = device(python=str(python)).entry

    install_python("board", entry, ["some-runtime"])
    install_python("board", entry, ["some-runtime"])
    assert made.read_text() == "\n"

    place.write_text("#!/bin/sh\nexit 1\n")  # as after an upgrade of the system
    own = entry.model_copy(update={"python": own_python(entry.folder)})
    monkeypatch.setattr(module, "_DEFAULT_PYTHON", str(python))
    install_python("board", own, ["some-runtime"])
    assert made.read_text() == "\n\n"


@pytest.mark.parametrize("tools", [("cat", "env", "sleep", "setsid"), ("cat", "env", "sleep")])
def test_what_installs_ends_with_the_connection_also_where_there_is_no_setsid(
    tmp_path: Path, tools: tuple[str, ...]
) -> None:
    for tool in ("sh", *tools):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")

    def started(work: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(tmp_path / "sh"), "-c", module._with_the_connection(work, sys.executable)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": str(tmp_path)},
        )  # fmt: skip

    with started("exit 7") as ends:
        assert ends.wait(timeout=30) == 7
    with started("echo begun; sleep 60; echo lived on") as cut:
        assert cut.stdin is not None
        assert cut.stdout is not None
        assert cut.stdout.readline() == b"begun\n"
        cut.stdin.close()
        assert cut.stdout.read() == b""
        assert cut.wait(timeout=30) > 128


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("~/.cache/edgewright-device", "~/.cache/edgewright-device/venv/bin/python"),
        ("~", "~/venv/bin/python"),
        ("~/my board", "~/'my board/venv/bin/python'"),
        ("/data/my board", "'/data/my board/venv/bin/python'"),
    ],
)
def test_its_command_is_a_word_for_the_devices_shell(folder: str, command: str) -> None:
    assert own_python(folder) == command
