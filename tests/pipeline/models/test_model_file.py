"""A user's own Python file."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import UsageError
from pipeline.models.imported import imported_by
from pipeline.models.model_file import check_factory, hash_of_model_file, load_factory

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def test_the_file_can_import_its_neighbours_and_leaves_no_byte_code(tmp_path: Path) -> None:
    _write(tmp_path / "layers.py", "VALUE = 7")
    file = _write(tmp_path / "file.py", "from layers import VALUE\ndef net():\n    return VALUE\n")
    assert load_factory(file, "net", hash_of_model_file(file))() == 7
    assert not list(tmp_path.rglob("*.pyc"))


_EARLY = "from layers import VALUE\ndef net():\n    return VALUE\n"
_IN_A_PACKAGE = "import blocks.deep\ndef net():\n    return blocks.deep.VALUE\n"
_IN_THE_FACTORY = "def net():\n    from layers import VALUE\n    return VALUE\n"
_BY_NAME = "import importlib, layers\ndef net():\n    return importlib.import_module('layers').VALUE\n"


@pytest.mark.parametrize("text", [_EARLY, _IN_A_PACKAGE, _IN_THE_FACTORY, _BY_NAME])
def test_each_file_has_the_neighbours_of_its_own_folder(tmp_path: Path, text: str) -> None:
    factories = []
    for folder in ("a", "b"):
        _write(tmp_path / folder / "layers.py", f"VALUE = {folder!r}")
        _write(tmp_path / folder / "blocks" / "__init__.py", "")
        _write(tmp_path / folder / "blocks" / "deep.py", "from layers import VALUE")
        factories.append(load_factory(_write(tmp_path / folder / "file.py", text), "net", None))

    assert [factory() for factory in factories] == ["a", "b"]


def test_an_import_that_runs_later_finds_the_neighbours_of_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "layers", raising=False)
    text = (
        "def net():\n    def forward():\n        from layers import VALUE\n        return VALUE\n    return forward\n"
    )
    networks = []
    for folder in ("a", "b"):
        _write(tmp_path / folder / "layers.py", f"VALUE = {folder!r}")
        networks.append(load_factory(_write(tmp_path / folder / "file.py", text), "net", None)())

    assert [forward() for forward in [*networks, *networks]] == ["a", "b", "a", "b"]
    assert sys.modules["layers"].VALUE == "a"  # can still be found by name


@pytest.mark.parametrize("text", [_EARLY, _IN_A_PACKAGE, _IN_THE_FACTORY, _BY_NAME])
def test_a_neighbour_that_changed_within_the_same_tick_is_read_again(tmp_path: Path, text: str) -> None:
    layers = _write(tmp_path / "layers.py", "VALUE = 1")
    _write(tmp_path / "blocks" / "deep.py", "from layers import VALUE")  # without __init__.py
    file = _write(tmp_path / "file.py", text)
    status = layers.stat()
    assert load_factory(file, "net", None)() == 1
    _write(layers, "VALUE = 2")
    os.utime(layers, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load_factory(file, "net", None)() == 2


def test_files_of_one_folder_share_neighbours_that_can_be_registered_once(tmp_path: Path) -> None:
    _write(
        tmp_path / "layers.py", "import sys\nassert not hasattr(sys, 'once_of_test')\nsys.once_of_test = VALUE = 3\n"
    )
    _write(tmp_path / "heads.py", "")
    files = [_write(tmp_path / f"{number}.py", f"{text}{_EARLY}") for number, text in enumerate(("", "import heads\n"))]
    try:
        assert [load_factory(file, "net", None)() for file in files] == [3, 3]
    finally:
        del sys.once_of_test  # type: ignore[attr-defined]


def test_what_had_the_name_of_a_neighbour_before_has_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ModuleType("layers")
    monkeypatch.setitem(sys.modules, "layers", own)
    _write(tmp_path / "layers.py", "VALUE = 7")
    before = [*sys.path], [*sys.meta_path]

    assert load_factory(_write(tmp_path / "file.py", _EARLY), "net", None)() == 7
    assert sys.modules["layers"] is own
    assert before == (sys.path, sys.meta_path)


def test_a_file_named_like_the_standard_library_or_torch_is_not_taken_for_it(tmp_path: Path) -> None:
    for name in ("types", "json", "cmd", "torch", "numpy"):
        _write(tmp_path / f"{name}.py", "raise RuntimeError('not meant')")
    text = "import cmd, json, numpy, torch, types\ndef net():\n    return torch.nn.Identity()\n"
    assert type(load_factory(_write(tmp_path / "file.py", text), "net", None)()).__name__ == "Identity"


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


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that can be imported from, with a package that imports one that is installed and one of its own kind."""
    folder = tmp_path / "elsewhere"
    monkeypatch.syspath_prepend(str(folder))
    _write(folder / "mylib_of_test" / "__init__.py", "")
    _write(folder / "mylib_of_test" / "nets.py", "import packaging\nfrom common_of_test import y\nVALUE = 1\n")
    _write(folder / "common_of_test.py", "y = 1\n")
    yield folder
    for name in [name for name in sys.modules if "_of_test" in name]:
        del sys.modules[name]


_ELSEWHERE = "from mylib_of_test.nets import VALUE\ndef net():\n    return VALUE\n"


@pytest.mark.parametrize("edited", ["mylib_of_test/nets.py", "mylib_of_test/more.py", "common_of_test.py"])
def test_the_identity_follows_packages_whose_files_may_change(tmp_path: Path, elsewhere: Path, edited: str) -> None:
    file = _write(tmp_path / "file.py", _ELSEWHERE)
    before = hash_of_model_file(file)
    assert hash_of_model_file(file) == before
    _write(elsewhere / edited, "from common_of_test import y\nVALUE = 2\n")

    assert hash_of_model_file(file) != before


def test_the_identity_has_versions_of_what_is_installed_and_no_places(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _write(tmp_path / "file.py", f"import yaml, absent_of_test, torch\n{_ELSEWHERE}")
    before = hash_of_model_file(file)
    assert imported_by(file).versions == {
        "yaml": f"PyYAML {metadata.version('pyyaml')}",
        "packaging": f"packaging {metadata.version('packaging')}",
        "absent_of_test": None,
    }

    shutil.move(elsewhere, tmp_path / "moved")
    monkeypatch.syspath_prepend(str(tmp_path / "moved"))
    assert hash_of_model_file(file) == before
    monkeypatch.setattr(metadata, "version", lambda _: "1000")
    assert hash_of_model_file(file) != before
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(tmp_path / "moved"))
    _write(tmp_path / "moved" / "absent_of_test.py", "")
    assert hash_of_model_file(file) != before


@pytest.mark.parametrize("name", ["own.pth", "weights/own.v2.safetensors"])
def test_the_identity_follows_weights_that_the_file_names(tmp_path: Path, name: str) -> None:
    file = _write(tmp_path / "file.py", f"from pathlib import Path\nWEIGHTS = Path(__file__).parent / '{name}'\n")
    alone = hash_of_model_file(file)
    _write(tmp_path / name, "1")
    first = hash_of_model_file(file)
    _write(tmp_path / name, "2")

    assert len({alone, first, hash_of_model_file(file)}) == 3
    _write(tmp_path / "another.pth", "3")
    _write(tmp_path / name, "1")
    assert hash_of_model_file(file) == first


@pytest.mark.parametrize("name", ["../own.pth", "{folder}/own.pth", "a.b", "no such.pth", f"{60 * 'long '}.pth"])
def test_files_elsewhere_and_those_that_are_none_do_not_count(tmp_path: Path, name: str) -> None:
    (folder := tmp_path / "nets").mkdir()
    _write(tmp_path / "own.pth", "1")
    file = _write(folder / "file.py", f"WEIGHTS = '{name.format(folder=tmp_path)}'\n")
    assert imported_by(file).named == ()


def test_what_stages_pin_and_the_standard_library_do_not_count_twice(tmp_path: Path) -> None:
    file = _write(
        tmp_path / "file.py", "import json\nimport PIL.Image\nimport timm, torchvision\nfrom torch import nn\n"
    )
    imported = imported_by(file)
    assert (imported.packages, imported.versions) == ({}, {})


def test_a_folder_of_images_is_not_taken_for_the_installed_package_of_its_name(tmp_path: Path) -> None:
    _write(tmp_path / "packaging" / "image.py", "")
    file = _write(tmp_path / "file.py", "import packaging.version\n")
    imported = imported_by(file)
    assert (imported.neighbours, list(imported.versions)) == (frozenset(), ["packaging"])


def test_a_package_that_was_changed_after_it_was_loaded_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    file = _write(tmp_path / "file.py", _ELSEWHERE)
    assert load_factory(file, "net", None)() == 1
    _write(elsewhere / "mylib_of_test" / "nets.py", "VALUE = 2\n")
    with pytest.raises(
        UsageError, match="'mylib_of_test' that this model file imports was changed after it was loaded"
    ):
        load_factory(file, "net", None)
