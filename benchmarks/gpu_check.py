"""What only a machine with a GPU can show, as one command: its tests, and how fast networks are trained on it.

``make gpu-check``. Nothing is installed: what is lacking is named, and what can be done without it is done.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from pipeline.gpu import gpu_or_reason

__all__ = ["gpu_tests", "main"]

_TRAINING = ("torch", "torchvision", "lightning_fabric", "numpy", "PIL", "pydantic", "yaml")
_TESTS = ("pytest", "pytest_timeout", *_TRAINING, "safetensors", "onnx", "onnxruntime")
"""What the tests import, and what the files beside them do that pytest reads first."""
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "PyYAML"}
"""Modules that come under another name."""

_PRECISIONS = ("float32", "bf16", "fp16")
_ASKED_S, _TESTS_S, _TRAINING_S = 75, 210, 60
"""Until PyTorch has started, which takes seconds and from a cold disk a minute; the tests; training in each precision.
Together they stay within eight minutes."""
_SEES_A_GPU = """
import sys, torch
if not torch.cuda.is_available():
    made = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
    sys.exit(f"PyTorch {torch.__version__} {made} and finds no GPU that it can use")
"""
"""In a process of its own: whoever starts CUDA holds some of the GPU's memory."""

_MARK = re.compile(r"pytest\.mark\.gpu(?![\w\"])")
"""Of a test or of one of its parameters; not within a text."""


def main() -> int:
    """Print what was found; 0 where all that could be tried held, 1 where not, 2 where nothing could be."""
    found = gpu_or_reason()
    if isinstance(found, str):
        _say(f"gpu-check: {found}")
        return 2
    _say(f"{found.name} ({found.capability}), driver {found.driver}, {found.memory_bytes / 2**30:.0f} GiB")
    for name in _TESTS:
        _say(f"  {name} {_version(name)}")
    lacking = {name for name in _TESTS if find_spec(name) is None}
    if "torch" not in lacking and _run([sys.executable, "-c", _SEES_A_GPU], _ASKED_S) != 0:
        _say("gpu-check: nothing was tried, since PyTorch does not use this GPU")
        return 2
    codes = []
    if lacking:
        _say(f"tests: left out, {', '.join(sorted(lacking))} not installed")
    else:
        _say("tests that need a GPU:")
        # Only the files that have some: the others import what a machine with a GPU may lack.
        files = [str(path) for path in gpu_tests()]
        codes.append(_run([sys.executable, "-m", "pytest", "-q", "-m", "gpu", *files], _TESTS_S))
    if without := set(_TRAINING) & lacking:
        _say(f"training: left out, {', '.join(sorted(without))} not installed")
    else:
        for precision in _PRECISIONS:
            _say(f"training a ResNet-18 in {precision} at 128 pixels, images a second:")
            sizes = ["--rounds", "3", "--side", "128", "--images", "1024", "--precision", precision]
            codes.append(_run([sys.executable, "-m", "benchmarks.training_speed", *sizes], _TRAINING_S))
    if not codes:
        _say("gpu-check: nothing was tried; install what is lacking, or name a Python that has it (PYTHON=...)")
        return 2
    return int(any(codes))


def gpu_tests() -> list[Path]:
    """The files of tests in which some need a GPU."""
    every = (Path(__file__).parents[1] / "tests").rglob("test_*.py")
    return sorted(path for path in every if _MARK.search(path.read_text(encoding="utf-8")))


def _run(command: list[str], limit_s: float) -> int:
    """Its exit code; what it prints goes where ours does. Ended when it takes too long: that is a failure, and said."""
    try:
        return subprocess.run(command, check=False, timeout=limit_s).returncode  # noqa: S603 - our own modules
    except subprocess.TimeoutExpired:
        _say(f"  not ended within {limit_s:.0f} s")
        return 1


def _version(module: str) -> str:
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module.replace("_", "-")))
    except metadata.PackageNotFoundError:
        return "" if find_spec(module) else "is not installed"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
