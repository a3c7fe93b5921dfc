"""What is sent to a device: the same bytes each time, little, and nothing that devices have not."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.catalog import JOINERS, OPENERS
from pipeline.devices.measuring_code import is_sent, measuring_code

_DOCS = Path(__file__).parents[3] / "docs" / "devices.md"
_THERE = {"numpy", "PIL"}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(measuring_code().data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_same_sources_give_the_same_bytes() -> None:
    first = measuring_code()
    measuring_code.cache_clear()

    assert measuring_code() == first
    assert hashlib.sha256(first.data).hexdigest() == first.sha256


def test_it_is_small_and_has_what_is_started_there(sources: dict[str, str]) -> None:
    told = re.search(r"zipapp of the measuring code, about (\d+) kB", _DOCS.read_text(encoding="utf-8"))
    assert told is not None
    assert len(measuring_code().data) == pytest.approx(1000 * int(told[1]), rel=0.1)
    assert {"__main__.py", "benchmarks/workers/solo_worker.py", "pipeline/evaluation/worker.py"} <= set(sources)


def test_it_imports_nothing_that_devices_have_not(sources: dict[str, str]) -> None:
    ours = {name.partition("/")[0] for name in sources}
    foreign = {
        name.partition(".")[0]
        for text in sources.values()
        for name in _imported(ast.parse(text))
        if name.partition(".")[0] not in {*sys.stdlib_module_names, *ours}
    }
    assert foreign == _THERE


def test_every_module_of_ours_that_it_imports_is_in_it(sources: dict[str, str]) -> None:
    held = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    lacking = {
        name
        for text in sources.values()
        for name in _imported(ast.parse(text))
        if name.partition(".")[0] in {"pipeline", "benchmarks", "exporters"} and name not in held
    }
    assert lacking == set()


def test_no_name_in_it_is_undefined(sources: dict[str, str], tmp_path: Path) -> None:
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    ruff = [Path(sys.executable).with_name("ruff"), "check", "--isolated", "--no-cache", "--select", "F821", tmp_path]

    done = subprocess.run(ruff, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("joiner", JOINERS.values())
def test_what_an_ensemble_says_can_be_joined_there(joiner: str, tmp_path: Path) -> None:
    code = tmp_path / "code.pyz"
    code.write_bytes(measuring_code().data)
    module, _, name = joiner.partition(":")
    look = f"import sys; sys.path.insert(0, {str(code)!r}); from {module} import {name}; assert {name}.__code__"

    done = subprocess.run([sys.executable, "-P", "-c", look], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_agent_starts_from_it_and_ends_with_its_input(tmp_path: Path) -> None:
    code, home = tmp_path / f"{measuring_code().sha256}.pyz", tmp_path / "home"
    code.write_bytes(measuring_code().data)

    done = subprocess.run(
        [sys.executable, code, "agent", home, sys.executable],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["agent"] == measuring_code().sha256
    assert list((home / "jobs").iterdir()) == []


def test_python_3_9_can_read_all_of_it(sources: dict[str, str]) -> None:
    for name, text in sources.items():
        ast.parse(text, filename=name, feature_version=(3, 9))
        assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Match)], name


def test_runtimes_that_need_more_than_devices_have_are_not_sent() -> None:
    assert {target for target, opener in OPENERS.items() if is_sent(opener)} == {
        "ort-cpu", "ort-cuda", "ort-tensorrt", "openvino", "ensemble",
    }  # fmt: skip


def _imported(tree: ast.Module) -> set[str]:
    """Modules that are imported when the code runs."""
    found = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        waiting += ast.iter_child_nodes(node)
    return found
