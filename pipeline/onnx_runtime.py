"""ONNX Runtime, loaded without its telemetry: its wheels send usage events to their makers by default."""

from __future__ import annotations

import importlib
import os
from typing import Any

__all__ = ["onnx_runtime"]


def onnx_runtime() -> Any:  # noqa: ANN401 - onnxruntime has no types
    """The module, imported with ``ORT_DISABLE_TELEMETRY=1`` unless the user's environment says otherwise.

    The library reads the variable when it is loaded, so every import of it comes through here first.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")
