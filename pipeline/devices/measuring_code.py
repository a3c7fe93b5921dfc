"""What is sent to a device: the modules of a measuring process as one zipapp, the same bytes for the same sources."""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MeasuringCode", "is_sent", "measuring_code"]

_ABOVE = __name__.partition("pipeline")[0]
"""What our packages are below: nothing in the repository, ``edgewright.`` once installed (docs/decisions/0004)."""

_OURS = tuple(f"{_ABOVE}{name}." for name in ("benchmarks", "exporters", "pipeline"))

_ROOTS = (
    "pipeline.devices.there.entry",
    "pipeline.devices.there.agent",
    "benchmarks.workers.solo_worker",
    "benchmarks.workers.pair_worker",
    "benchmarks.workers.side_worker",
    "benchmarks.workers.stopped_sides_worker",
    "pipeline.evaluation.worker",
    "exporters.ort_cpu.session",
    "exporters.ort_cuda.session",
    "exporters.openvino.session",
    "exporters.ensemble",
    "pipeline.tasks.joining.classification",
    "pipeline.tasks.joining.detection",
    "exporters.default_sessions",
)
"""Modules that are started or opened by name there; what they import is found by reading them."""

_NAMES_ALONE = frozenset({"pipeline.tasks", "pipeline.tasks.detection", "pipeline.tasks.detection.distillation"})
"""Packages of which modules are sent and not what the packages themselves give: that needs what devices have not."""

_MAIN = f"from {_ROOTS[0]} import main\n\nmain()\n"
_NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class MeasuringCode:
    """A zipapp and the SHA-256 of its bytes, which is its name on devices."""

    data: bytes
    sha256: str


@cache
def measuring_code() -> MeasuringCode:
    """The zipapp of the sources that are installed here."""
    texts = {"__main__.py": _MAIN}
    for module in sorted(_closure()):
        path = _file(module)
        name = module.replace(".", "/") + ("/__init__.py" if path.name == "__init__.py" else ".py")
        texts[name] = _sent(module, path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(texts.items()):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    data = buffer.getvalue()
    return MeasuringCode(data, hashlib.sha256(data).hexdigest())


def is_sent(opener: str) -> bool:
    """Whether ``module:function`` is among what is sent."""
    return opener.partition(":")[0] in _ROOTS


def _sent(module: str, path: Path) -> str:
    """A module's text as it is sent."""
    return "" if _is_name_alone(module) else path.read_text(encoding="utf-8")


def _is_name_alone(module: str) -> bool:
    return f"{module}." == _ABOVE or module in _NAMES_ALONE  # the first: the Python interface is not there


def _closure() -> set[str]:
    """The roots, the packages they are in, and what these import of ours, over any number of steps."""
    found: set[str] = set()
    waiting = list(_ROOTS)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        if package := module.rpartition(".")[0]:
            waiting.append(package)
        if not _is_name_alone(module):
            waiting += _imported(_file(module))
    return found


def _imported(path: Path) -> Iterator[str]:
    """Modules of ours that a source imports wherever it runs; what it imports for type checks alone is left out."""
    for node in _executed(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith(_OURS):
            yield node.module
            yield from (full for one in node.names if _is_module(full := f"{node.module}.{one.name}"))
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.startswith(_OURS))


def _executed(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            continue
        yield from ast.walk(statement)


def _is_module(name: str) -> bool:
    package, _, last = name.rpartition(".")
    folder = _file(package).parent
    return _file(package).name == "__init__.py" and ((folder / f"{last}.py").exists() or (folder / last).is_dir())


def _file(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None  # noqa: S101 - ours, and installed whole
    assert spec.origin is not None  # noqa: S101 - no namespace package among ours
    return Path(spec.origin)
