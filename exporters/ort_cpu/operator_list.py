"""Which operators and types an ``.ort`` file needs: the list for a reduced build of ONNX Runtime.

ONNX Runtime's own tool writes it, in a process of its own: imported here it would set up logging and the module path of
the whole program.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.errors import EdgewrightError
from pipeline.import_path import without_loading
from pipeline.onnx_runtime import onnx_runtime

__all__ = ["write_operator_list"]


def write_operator_list(model: Path, path: Path) -> None:
    """Write what ``--include_ops_by_config`` of ONNX Runtime's ``build.sh`` takes; names no folder of this machine.

    Args:
        model: In ORT format.
        path: Where to write.

    Raises:
        EdgewrightError: with the tool's last words when it failed.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        listed = Path(scratch, "operators.config")
        command = [sys.executable, "-P", "-m", "exporters.ort_cpu.operator_list", str(model), str(listed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()
            raise EdgewrightError(
                "the operators of this model cannot be listed",
                where=model.name,
                got=words[-1] if words else f"exit code {done.returncode}",
            )
        lines = listed.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{line}\n" for line in lines if line and not line.startswith("#")), encoding="utf-8")


def main(model: str, listed: str) -> None:
    """Let the tool write its list, types included."""
    onnx_runtime()  # before its tools load it
    with without_loading("torch"):  # loading it takes longer than the list, which needs nothing of it
        tools = importlib.import_module("onnxruntime.tools.ort_format_model")
        tools.create_config_from_models([Path(model)], Path(listed), enable_type_reduction=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
