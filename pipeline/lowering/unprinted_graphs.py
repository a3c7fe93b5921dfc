"""Whole graphs that torch prints where an export fails."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["graphs_unprinted"]

_LOG = "_jit_onnx_log"


@contextmanager
def graphs_unprinted() -> Iterator[None]:
    """Within it they are not printed, which happens past Python's streams.

    ``torch.onnx`` means to print them on request, and asks a function, not what it returns, whether that was made.
    Where a version of torch has no such function, this does nothing.
    """
    usual = getattr(torch._C, _LOG, None)  # noqa: SLF001 - there is no public way
    if usual is None:
        yield
        return
    setattr(torch._C, _LOG, lambda *_: None)  # noqa: SLF001
    try:
        yield
    finally:
        setattr(torch._C, _LOG, usual)  # noqa: SLF001
