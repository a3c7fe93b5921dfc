"""What is typed after ``make deploy`` arrives as it was typed; neither make nor the shell runs any of it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _typed(tmp_path: Path, *words: str) -> list[str]:
    """The words that the edgewright command gets from ``make deploy``."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (folder / "edgewright").write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n', encoding="utf-8")
    (folder / "edgewright").chmod(0o755)
    (tmp_path / "venv" / ".ready").touch()
    command = ["make", "--silent", "-C", str(ROOT), f"VENV={tmp_path / 'venv'}", "deploy", *words]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    return done.stdout.decode().split("\0")[:-1]


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.mark.parametrize(
    "name", ["MODEL", "DATA", "WEIGHTS", "TARGET", "DEVICE", "TEACHERS", "GOAL", "RECIPE", "OUT", "ARGS"]
)
@pytest.mark.parametrize(
    "code", ["$(shell touch {})", "$(touch {})", "`touch {}`", "';touch {};'", "$${{IFS}}&touch {}"]
)
def test_no_value_is_run(tmp_path: Path, name: str, code: str) -> None:
    canary = tmp_path / "canary"
    value = code.format(canary)
    words = _typed(tmp_path, *([] if name == "MODEL" else ["MODEL=resnet18"]), f"{name}={value}")
    assert not canary.exists()
    given = [word for word in words if word not in {"--target", "--teacher"}]
    assert "".join(given).replace(" ", "").endswith(value.replace(" ", "").replace("'", "" if name == "ARGS" else "'"))


def test_a_name_that_would_be_an_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        _typed(tmp_path, "MODEL=--help")
    assert raised.value.stdout == b""
    assert b"MODEL=--help would be an option" in raised.value.stderr


def test_blanks_quotes_dashes_and_line_ends_arrive(tmp_path: Path) -> None:
    data = "my \"photos\" 'of' $HOME\n--of\u202e a * year"
    words = _typed(tmp_path, "MODEL=a b.py:net", f"DATA={data}", "TARGET=ort-cpu M*", "ARGS=--skip 'a b' -n *")
    assert words == [
        "deploy", "a b.py:net", "--data", data, "--target", "ort-cpu", "--target", "M*",
        "--skip", "a b", "-n", "*",
    ]  # fmt: skip


def test_what_a_target_runs_may_keep_its_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    command = ["make", "--silent", "-C", str(ROOT), "--eval", "variables: ; @env", "variables"]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=20)
    assert "PATH=" in done.stdout
    assert "PYTHONDONTWRITEBYTECODE" not in done.stdout


def test_what_was_set_up_has_its_bytecode() -> None:
    """Where nothing may write it, a process that finds none compiles thousands of files whenever it starts."""
    for name in ("torch", "torchvision", "onnx", "sympy"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.cached is not None
        anew = f"{found.origin} is compiled in every process; remove .venv and run `make setup`"
        assert Path(found.cached).is_file(), anew
