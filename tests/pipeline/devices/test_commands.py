"""The commands about devices as they are typed, and what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from pipeline.cli import documents

if TYPE_CHECKING:
    from exporters.bundle import Bundle

Loopback = Any  # of conftest.py

_IN_ONE_PROCESS = """
import contextlib, io, json, sys

from pipeline.cli import console
from pipeline.cli.main import app

ends = []
for arguments in json.load(sys.stdin):
    console.out_console.cache_clear()
    console.progress.cache_clear()
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            app(args=arguments)
        except SystemExit as left:
            code = left.code
    ends.append([code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(ends))
"""


def _typed(*commands: list[str]) -> list[tuple[int, str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", _IN_ONE_PROCESS], input=json.dumps(commands), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [tuple(end) for end in json.loads(done.stdout)]


def _document(text: str) -> Any:  # noqa: ANN401 - one of many
    return TypeAdapter(documents._Any).validate_json(text)


def test_a_device_is_added_checked_measured_on_listed_cleaned_and_removed(
    with_client: Loopback, trained: Bundle, tiny_data: Path, tmp_path: Path
) -> None:
    python = f"TMPDIR={tmp_path} {sys.executable}"
    core = max(os.sched_getaffinity(0))
    added, listed, checked, examined, measured, cleaned, removed, gone = _typed(
        ["device", "add", "board", with_client.address, "--python", python, "--folder", str(tmp_path / "there"),
         "--cores", str(core)],
        ["device", "list", "--json"],
        ["device", "check", "board", "--json"],
        ["doctor", "--device", "board", "--json"],
        ["measure", str(trained.root), "--data", str(tiny_data), "--device", "board", "--quick", "--json"],
        ["device", "clean", "board"],
        ["device", "remove", "board"],
        ["device", "check", "board"],
    )  # fmt: skip

    ends = (added, listed, checked, examined, measured, cleaned, removed, gone)
    assert [end[0] for end in ends] == [0, 0, 0, 0, 0, 0, 0, 2]
    assert str(tmp_path / "config" / "edgewright" / "devices.yaml") in added[1]
    (line,) = _document(listed[1]).devices
    assert (line.name, line.address, line.cores) == ("board", with_client.address, (core,))
    found = _document(checked[1])
    assert (found.device, found.missing, found.facts["Python"]) == ("board", (), sys.version.split()[0])
    targets = {target.name: target for target in _document(examined[1]).targets}
    assert targets["ort-cpu"].cannot_run is None
    assert targets["tensorrt"].cannot_run == "engines for tensorrt are not measured on devices yet"
    figures = _document(measured[1])
    assert (figures.device, figures.accuracy.value, figures.accuracy.n) == ("board", 1.0, 72)
    assert figures.latency_s.n == 720
    assert "removed from board: " in cleaned[1]
    assert not (tmp_path / "there").exists()
    assert "unknown device 'board'" in gone[2]


WRONG = {
    "address: expected ssh://[user@]host[:port]": ["device", "add", "pi", "raspberrypi.local"],
    "cores.0": ["device", "add", "pi", "ssh://pi", "--cores", "first"],
    "the device cannot be reached": ["device", "check", "ssh://127.0.0.1:1"],
    "cannot be reached": ["deploy", "resnet18", "--device", "ssh://127.0.0.1:1"],
    "an address has no entry that could remember": ["device", "check", "ssh://127.0.0.1:1", "--install"],
    "a device says itself what it is": ["deploy", "resnet18", "--device", "pi", "--arch", "aarch64"],
    "unknown architecture 'mips'": ["deploy", "resnet18", "--arch", "mips"],
}


def test_what_is_wrong_ends_with_2_and_one_message(with_client: Loopback) -> None:
    for message, (code, out, err) in zip(WRONG, _typed(*WRONG.values()), strict=True):
        assert (code, out) == (2, ""), message
        assert err.startswith("error: ")
        assert message in err
        assert "Traceback" not in err
