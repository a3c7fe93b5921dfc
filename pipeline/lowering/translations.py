"""PyTorch's translations of operators to ONNX, read once a process instead of once an export."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["translations_read_once"]

_READ = "from_torchlib"


@contextmanager
def translations_read_once() -> Iterator[None]:
    """Within it, exports share one table of translations for each operator set.

    ``torch.onnx`` parses the source of some thousand functions for every export, which takes longer than what is
    done with them. The table is torch's own and stays as it was read: only ``custom_translation_table`` writes into
    it, which nobody here gives, and exports outside of this get one of their own. Where a version of torch keeps
    its translations elsewhere, this does nothing.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    usual = vars(ONNXRegistry).get(_READ)
    if usual is None:
        yield
        return
    setattr(ONNXRegistry, _READ, staticmethod(functools.partial(_table, ONNXRegistry, usual)))
    try:
        yield
    finally:
        setattr(ONNXRegistry, _READ, usual)


@functools.cache
def _table(owner: type, usual: Any, **asked: int) -> Any:  # noqa: ANN401 - classes of torch without types
    return usual.__get__(None, owner)(**asked)
