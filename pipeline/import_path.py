"""Objects by where they stand: ``package.module:name``, imported when asked for; and packages that are not wanted.

Tables name heavy runtimes this way, and a worker is told in a line of JSON what opens its engine.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["object_at", "without_loading"]


def object_at(path: str) -> Any:  # noqa: ANN401 - whatever stands there
    """The object at ``package.module:name``.

    Raises:
        ImportError: when there is no such module.
        AttributeError: when the module has no such name.
    """
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@contextmanager
def without_loading(package: str) -> Iterator[None]:
    """Within it, importing a package that nobody has imported yet fails as if it were not installed.

    For libraries that load a heavy one wherever it is found, and do without where it is not. It holds for all threads:
    nobody else should import meanwhile.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # how Python spells that there is none
    try:
        yield
    finally:
        del sys.modules[package]
