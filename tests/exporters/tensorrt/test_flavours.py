"""Every name that is used of the bindings is in the bindings, and none that a later version lost is used."""

from __future__ import annotations

import ast
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import exporters.tensorrt
from exporters.tensorrt.flavours import FLAVOURS, LOST_NAMES, Flavour
from pipeline import catalog
from pipeline.gpu import Gpu

WHEELS = os.environ.get("EDGEWRIGHT_TENSORRT_WHEELS")
"""A folder with ``tensorrt_cu12_bindings`` 10 and ``tensorrt_cu13_bindings`` 11, each unpacked into one of its own."""

_FOLDER = Path(exporters.tensorrt.__path__[0])
SOURCES = [*sorted(_FOLDER.glob("*.py")), _FOLDER.parent / "device" / "run_tensorrt.py.template"]


@pytest.fixture(params=FLAVOURS.values(), ids=FLAVOURS)
def bindings(request: pytest.FixtureRequest) -> tuple[Flavour, Any]:
    flavour: Flavour = request.param
    if not flavour.installed():
        pytest.skip(f"{flavour.name} is not installed: {flavour.install}")
    return flavour, flavour.bindings()


def test_every_name_in_the_table_is_in_the_installed_bindings(bindings: tuple[Flavour, Any]) -> None:
    flavour, module = bindings
    assert [name for name in flavour.names if not _has(module, name)] == []


def test_the_installed_version_is_one_that_was_looked_at(bindings: tuple[Flavour, Any]) -> None:
    flavour, module = bindings
    assert int(module.__version__.partition(".")[0]) in flavour.versions


def test_the_capabilities_it_can_build_for_are_those_of_the_bindings(rtx: Any) -> None:  # noqa: ANN401
    names = {name.lower() for name in rtx.ComputeCapability.__members__ if name.startswith("SM")}
    assert set(FLAVOURS["tensorrt-rtx"].known) == names


def test_a_gpu_it_has_no_engines_for_is_told() -> None:
    gpu = Gpu(name="H100", capability="sm90", driver="570.1", memory_bytes=80 << 30)
    assert FLAVOURS["tensorrt"].unfit(gpu) is None
    assert str(FLAVOURS["tensorrt-rtx"].unfit(gpu)).startswith("tensorrt-rtx has no engines for H100 (sm90), only for")
    assert FLAVOURS["tensorrt-rtx"].unfit(replace(gpu, capability="sm120")) is None


def _has(holder: Any, name: str) -> bool:  # noqa: ANN401 - a module, then a class
    first, _, rest = name.partition(".")
    return hasattr(holder, first) and (not rest or _has(getattr(holder, first), rest))


@pytest.fixture(params=FLAVOURS["tensorrt"].versions)
def wheel(request: pytest.FixtureRequest) -> tuple[int, bytes]:
    """Version and bytes of the bindings of a wheel that is unpacked but not installed: its libraries are not here."""
    if WHEELS is None:
        pytest.skip("EDGEWRIGHT_TENSORRT_WHEELS names no folder of unpacked bindings")
    for start in Path(WHEELS).glob("*/tensorrt_bindings/__init__.py"):
        text = start.read_text(encoding="utf-8")
        if f'__version__ = "{request.param}.' in text:
            return request.param, start.with_name("tensorrt.so").read_bytes() + text.encode()
    pytest.skip(f"there are no bindings of version {request.param} in {WHEELS}")


def test_every_name_in_the_table_is_a_string_in_the_bindings_of_the_wheel(wheel: tuple[int, bytes]) -> None:
    _, content = wheel
    last_parts = {name.rpartition(".")[2] for name in FLAVOURS["tensorrt"].names}
    absent = {
        name
        for name in last_parts
        if f"{name}\0".encode() not in content and f"def {name}(".encode() not in content  # some are Python's
    }
    assert absent == set()


def test_what_version_11_lost_is_not_in_it(wheel: tuple[int, bytes]) -> None:
    version, content = wheel
    unmistakable = [name.rpartition(".")[2] for name in LOST_NAMES if not name.endswith(("FP16", "INT8"))]
    there = [name for name in unmistakable if f"{name}\0".encode() in content]
    assert there == ([] if version == 11 else unmistakable)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_what_the_source_takes_from_the_bindings_is_in_the_table(source: Path) -> None:
    known = {name for flavour in FLAVOURS.values() for name in flavour.names}
    used = _chains(ast.parse(source.read_text(encoding="utf-8")), "trt")
    assert used - known - {"__version__", "ComputeCapability.__members__", "ILogger.__init__"} == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_nothing_that_was_lost_is_used(source: Path) -> None:
    used = _chains(ast.parse(source.read_text(encoding="utf-8")), "trt")
    assert used & set(LOST_NAMES) == set()


def _chains(tree: ast.AST, root: str) -> set[str]:
    """The longest ``A.B.C`` of every ``root.A.B.C`` in the source."""
    found = set()
    for node in ast.walk(tree):
        parts, inner = [], node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if parts and isinstance(inner, ast.Name) and inner.id == root:
            found.add(".".join(parts))
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_a_flavour_is_a_target_of_its_name(flavour: Flavour) -> None:
    assert FLAVOURS[flavour.name] is flavour
    assert flavour.name in catalog.TARGETS
    assert flavour.chooses_capabilities == bool(flavour.capabilities)
