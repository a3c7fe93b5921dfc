"""Importing OpenVINO."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["runtime"]


def runtime() -> Any:  # noqa: ANN401 - openvino is untyped for our checks
    """OpenVINO without its telemetry, which else reports the import itself.

    OpenVINO takes a stub of its own where ``openvino_telemetry`` cannot be imported; so it cannot be.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None is how Python marks absence
    return importlib.import_module("openvino")
