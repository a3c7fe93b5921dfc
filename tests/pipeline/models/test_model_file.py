"""A user's own Python file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.models.model_file import check_factory, hash_of_model_file, load_factory


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "def net(): ...",
        "class net: ...",
        "net = lambda: 1",
        "from torchvision.models import resnet18 as net",
        "if True:\n    net = 1",
        "from elsewhere import *",
    ],
)
def test_every_way_to_bind_a_name_is_seen_without_running_the_file(tmp_path: Path, text: str) -> None:
    check_factory(_write(tmp_path / "file.py", text), "net")


def test_a_name_inside_of_a_function_is_no_factory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="defines no 'net'"):
        check_factory(_write(tmp_path / "file.py", "def other():\n    def net(): ...\n"), "net")


def test_the_identity_follows_modules_of_the_same_folder_but_no_others(tmp_path: Path) -> None:
    file = _write(tmp_path / "file.py", "import json\nfrom blocks import x\nimport package.deep\n")
    _write(tmp_path / "blocks.py", "import more\nx = 1")
    _write(tmp_path / "package" / "__init__.py", "")
    found = [hash_of_model_file(file)]
    for path in ("more.py", "package/deep.py", "blocks.py"):
        _write(tmp_path / path, "import more\nx = 2" if path == "blocks.py" else "y = 1")
        found.append(hash_of_model_file(file))
    _write(tmp_path / "unrelated.py", "z = 1")
    assert len(set(found)) == 4
    assert hash_of_model_file(file) == found[-1]


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    file = _write(tmp_path / "file.py", "import other\n")
    _write(tmp_path / "other.py", "import file\n")
    assert len(hash_of_model_file(file)) == 64


def test_the_file_can_import_its_neighbours_and_leaves_no_byte_code_of_its_own(tmp_path: Path) -> None:
    _write(tmp_path / "neighbour_of_this_test.py", "VALUE = 7")
    file = _write(tmp_path / "file.py", "from neighbour_of_this_test import VALUE\ndef net():\n    return VALUE\n")
    assert load_factory(file, "net", hash_of_model_file(file))() == 7
    assert not list(tmp_path.rglob("file*.pyc"))


def test_a_file_changed_within_the_same_tick_is_read_again(tmp_path: Path) -> None:
    file = _write(tmp_path / "file.py", "def net():\n    return 1\n")
    status = file.stat()
    assert load_factory(file, "net", None)() == 1
    _write(file, "def net():\n    return 2\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load_factory(file, "net", None)() == 2


def test_a_file_that_changed_since_it_was_resolved_is_refused(tmp_path: Path) -> None:
    file = _write(tmp_path / "file.py", "def net(): ...\n")
    before = hash_of_model_file(file)
    _write(file, "def net(): return 1\n")
    with pytest.raises(UsageError, match="changed while it was in use"):
        load_factory(file, "net", before)


def test_a_file_that_fails_names_error_and_line(tmp_path: Path) -> None:
    file = _write(tmp_path / "file.py", "net = 1\n\nraise RuntimeError('no luck')\n")
    with pytest.raises(UsageError, match=r"RuntimeError: no luck \(line 3 of file.py\)"):
        load_factory(file, "net", None)


@pytest.mark.parametrize("code", [0, 2])
def test_a_file_that_ends_the_program_ends_no_command(tmp_path: Path, code: int) -> None:
    file = _write(tmp_path / "file.py", f"import sys\ndef net(): ...\nsys.exit({code})\n")
    with pytest.raises(UsageError, match=rf"fails when it is imported\n.*SystemExit: {code} \(line 3 of file.py\)"):
        load_factory(file, "net", None)


def test_a_signal_ends_the_command_while_a_file_runs(tmp_path: Path) -> None:
    file = _write(tmp_path / "file.py", "def net(): ...\nclass Asked(SystemExit): ...\nraise Asked(143)\n")
    with pytest.raises(SystemExit) as ended:
        load_factory(file, "net", None)
    assert ended.value.code == 143


def test_what_cannot_be_called_is_no_factory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'net' cannot be called"):
        load_factory(_write(tmp_path / "file.py", "net = 1\n"), "net", None)
