"""A user's Python file with a function that returns a network: looked at without running it, then run.

The file's identity is the hash over itself and over what it imports, so that a change in either makes another network.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError, nearest
from pipeline.models.imported import imported_by
from pipeline.models.missing_file import missing_file
from pipeline.models.neighbours import neighbours_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from pipeline.models.imported import Imported
    from pipeline.models.neighbours import Neighbours

__all__ = ["asked_to_end", "check_factory", "functions_beside", "hash_of_model_file", "load_factory"]

_FORM = "path/to/file.py:factory, where factory is a function that returns an nn.Module"
_MODULES: dict[str, tuple[ModuleType, Neighbours]] = {}
"""Files that were run, by their hash."""
_PACKAGES: dict[str, str] = {}
"""Hashes of editable packages as they were when they were loaded."""


def check_factory(file: Path, name: str) -> None:
    """See, without running the file, that it is there, is Python, and defines ``name``.

    Raises:
        UsageError: naming what is near.
    """
    tree = _parse(file)
    defined = set(_defined(tree))
    factories = _likely_factories(tree)
    if not name:
        raise UsageError(
            "which function makes the network?",
            where=str(file),
            expected=_FORM,
            fix=f"one of {', '.join(f'{file}:{known}' for known in factories[:4])}" if factories else None,
        )
    if name not in defined and "*" not in defined:
        close = nearest(name, defined) or factories[:4]
        raise UsageError(
            f"defines no {name!r}",
            where=str(file),
            expected=f"did you mean {' or '.join(close)}?" if close else _FORM,
        )


def _parse(file: Path) -> ast.Module:
    if not file.is_file():
        raise missing_file("model file", file, otherwise=_FORM)
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UsageError(
            "this is not valid Python",
            where=f"{file}:{line}" if line else str(file),
            got=str(error),
            fix="mend the file; `python FILE` says the same",
        ) from error
    except OSError as error:
        raise UsageError(
            "this model file cannot be read",
            where=str(file),
            got=error.strerror,
            fix="see that it is there and may be read",
        ) from error


def _defined(tree: ast.Module) -> Iterator[str]:
    """Every name the module's top level may bind; ``*`` for a star import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node in tree.body:
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _likely_factories(tree: ast.Module) -> list[str]:
    """The public functions that can be called with at most ``num_classes``."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            positional = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            required = positional[: len(positional) - len(node.args.defaults)]
            if set(required) <= {"num_classes"}:
                found.append(node.name)
    return found


def hash_of_model_file(file: Path) -> str:
    """SHA-256 over the file and over what it imports, as :func:`pipeline.models.imported.imported_by` finds it."""
    _parse(file)
    return imported_by(file).sha256()


def load_factory(file: Path, name: str, sha256: str | None) -> Callable[..., Any]:
    """Run the file under a private module name and return its factory.

    Args:
        file: The user's file; its folder can be imported from while it runs, and while the factory does.
        name: The factory.
        sha256: Hash it had when it was resolved, None when that does not matter.

    Raises:
        UsageError: when the file changed since, fails to run, or ``name`` is not callable.
    """
    check_factory(file, name)
    module, neighbours = _loaded(file, sha256)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"{name!r} cannot be called", where=str(file), got=type(factory).__name__, expected=_FORM)
    return neighbours.beside(factory)


def functions_beside(file: Path, sha256: str | None, names: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """What can be called of some names at the top level of a user's file.

    Args:
        file: As of :func:`load_factory`, which runs it.
        sha256: Likewise.
        names: Of what is looked for.

    Raises:
        UsageError: when the file changed since, or fails to run.
    """
    module, _ = _loaded(file, sha256)
    return {name: found for name in names if callable(found := getattr(module, name, None))}


def _loaded(file: Path, sha256: str | None) -> tuple[ModuleType, Neighbours]:
    """The file as a module, run once for all who ask while it stays as it is, and the modules beside it."""
    _parse(file)
    imported = imported_by(file)
    found = imported.sha256()
    if sha256 is not None and found != sha256:
        raise UsageError(
            "the model file changed while it was in use", where=str(file), got=found, expected=sha256, fix="start again"
        )
    module_name = f"_edgewright_model_{found[:16]}"
    if module_name not in _MODULES:
        _MODULES[module_name] = _run_module(file, module_name, imported)
    return _MODULES[module_name]


def _run_module(file: Path, module_name: str, imported: Imported) -> tuple[ModuleType, Neighbours]:
    neighbours = neighbours_of(imported)
    loader = neighbours.loader(module_name, file)
    spec = importlib.util.spec_from_file_location(module_name, file, loader=loader)
    if spec is None or spec.loader is None:
        raise UsageError("this model file cannot be imported", where=str(file), expected="a Python file")
    _refuse_others_than_loaded(file, imported.packages)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    importlib.invalidate_caches()
    try:
        with neighbours.in_place():
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        if asked_to_end(error):
            raise
        raise UsageError(
            "this model file fails when it is imported",
            where=str(file),
            got=describe(error),
            fix="mend the file; `python FILE` shows all of it",
        ) from error
    for name in imported.packages.keys() & sys.modules.keys():
        _PACKAGES.setdefault(name, imported.packages[name])
    return module, neighbours


def _refuse_others_than_loaded(file: Path, packages: Mapping[str, str]) -> None:
    """Python keeps what it has loaded: of a package that was edited since, the earlier form would run.

    Not loaded anew either: it may be in use elsewhere in this process, and hold what can be registered once.
    """
    for name in sorted(packages.keys() & sys.modules.keys()):
        if _PACKAGES.get(name, packages[name]) != packages[name]:
            raise UsageError(
                f"the package {name!r} that this model file imports was changed after it was loaded",
                where=str(file),
                fix="start Python again",
            )


def asked_to_end(error: BaseException) -> bool:
    """Whether a signal ends the command by this error; ``sys.exit``, which a user's file may call, raises none such."""
    return isinstance(error, SystemExit) and type(error) is not SystemExit


def describe(error: BaseException) -> str:
    """Type and first line of an error, and the deepest line it came through."""
    lines = str(error).strip().splitlines() or [""]
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
    at = f" (line {frames[-1].lineno} of {Path(frames[-1].filename).name})" if frames else ""
    return f"{type(error).__name__}: {lines[0]}{at}"
