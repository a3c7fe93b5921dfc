"""The modules beside a user's file, each file's its own: Python knows one module of a name, for all who import it."""

from __future__ import annotations

import builtins
import functools
import sys
from contextlib import contextmanager
from importlib.machinery import PathFinder, SourceFileLoader
from threading import RLock
from typing import TYPE_CHECKING, Any

from pipeline.artifact import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import CodeType, ModuleType

    from pipeline.models.imported import Imported

__all__ = ["Neighbours", "neighbours_of"]

_LOCK = RLock()
_IN_PLACE: list[Neighbours] = []
_OF_FOLDERS: dict[Path, tuple[dict[Path, str], Neighbours]] = {}
"""The last ones of each folder, with hashes of their files."""


def neighbours_of(imported: Imported) -> Neighbours:
    """Those beside a file; shared with others of its folder as long as they are as they were.

    What can be registered once, such as an operator's name, is so registered once.
    """
    folder = imported.files[0].parent.resolve()
    found = {path.resolve(): sha256_of_file(path) for path in imported.files[1:]}
    known, neighbours = _OF_FOLDERS.get(folder, ({}, None))
    if neighbours is None or any(known.get(path, sha256) != sha256 for path, sha256 in found.items()):
        known, neighbours = {}, Neighbours(folder)
    neighbours.names |= imported.neighbours
    _OF_FOLDERS[folder] = (known | found, neighbours)
    return neighbours


class Neighbours:
    """Modules of a folder, by the names under which files there import one another.

    They are loaded as they are now, and stand in ``sys.modules`` while the user's file, its factory, or an import
    statement in any of them runs, even one within ``forward``. Then what had their names before is back; where nothing
    had, they can still be found, as ``pickle`` and ``typing`` look for modules by name.

    Attributes:
        names: Of the top level.
    """

    def __init__(self, folder: Path) -> None:
        self.names: frozenset[str] = frozenset()
        self._folder = str(folder)
        self._modules: dict[str, ModuleType] = {}

    def loader(self, name: str, path: Path | str) -> SourceFileLoader:
        """What runs a file of the folder as a module of a name."""
        return _Loader(name, str(path), self._import_module if self.names else None)

    def beside(self, called: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, which finds its neighbours when it is called."""

        def in_place(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
            with self.in_place():
                return called(*args, **kwargs)

        return functools.update_wrapper(in_place, called, updated=())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """These modules are those of their names, and the folder can be imported from."""
        with _LOCK:
            if _IN_PLACE and _IN_PLACE[-1] is self:
                yield
                return
            before = {name: one for name, one in self._taken_out().items() if one is not self._modules.get(name)}
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, self)
            sys.path.append(self._folder)  # for names that no statement says; the installed ones come first
            _IN_PLACE.append(self)
            try:
                yield
            finally:
                _IN_PLACE.pop()
                _remove_last(sys.path, self._folder)
                sys.meta_path.remove(self)
                self._modules = self._taken_out()
                kept = {_top(name) for name in before}
                sys.modules.update({name: one for name, one in self._modules.items() if _top(name) not in kept})
                sys.modules.update(before)

    def _taken_out(self) -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if _top(name) in self.names}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of a neighbour and what is in it; None for all others."""
        if _top(fullname) not in self.names:
            return None
        spec = PathFinder.find_spec(fullname, [self._folder] if path is None else path, target)
        if spec is not None and spec.submodule_search_locations is not None:
            # Of a plain folder it is one that follows sys.path, to folders of the same name elsewhere.
            spec.submodule_search_locations = [*spec.submodule_search_locations]
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = self.loader(fullname, spec.loader.path)
        return spec

    def _import_module(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of what it replaces
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an import statement of these modules does."""
        if not level and _top(name) not in self.names:
            return builtins.__import__(name, globals, locals, fromlist, level)
        with self.in_place():
            return builtins.__import__(name, globals, locals, fromlist, level)


class _Loader(SourceFileLoader):
    """Compiles the source as it is now and leaves no ``__pycache__`` in the user's folder.

    A cached byte code is taken as fresh when the second of its change and its size agree: too coarse for an identity.
    """

    def __init__(self, name: str, path: str, import_module: Callable[..., ModuleType] | None) -> None:
        super().__init__(name, path)
        self._import_module = import_module

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        if self._import_module is not None:
            vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import_module}
        super().exec_module(module)


def _remove_last(places: list[str], place: str) -> None:
    for number in reversed(range(len(places))):
        if places[number] == place:
            del places[number]
            return


def _top(name: str) -> str:
    return name.partition(".")[0]
