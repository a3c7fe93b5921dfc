"""Objects by where they stand: ``package.module:name``, imported when asked for.

Tables name heavy runtimes this way, and a worker is told in a line of JSON what opens its engine.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["object_at"]


def object_at(path: str) -> Any:  # noqa: ANN401 - whatever stands there
    """The object at ``package.module:name``.

    Raises:
        ImportError: when there is no such module.
        AttributeError: when the module has no such name.
    """
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
