"""What only a machine with a GPU can show, as one command: its tests, and how fast networks are trained on it.

``make gpu-check``. Nothing is installed: what is lacking is named, and what can be done without it is done.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec

from pipeline.gpu import gpu_or_reason

__all__ = ["main"]

_NEEDED = {
    "pytest": "its tests",
    "torch": "training",
    "torchvision": "training",
    "lightning_fabric": "training",
    "onnxruntime": "engines",
}
_TESTS_S, _TRAINING_S = 270, 100
"""Together with what starts before them these stay within eight minutes."""


def main() -> int:
    """Print what was found; 0 where everything that could be tried held, 1 where not, 2 without a GPU."""
    found = gpu_or_reason()
    if isinstance(found, str):
        _say(f"gpu-check: {found}")
        return 2
    _say(f"{found.name} ({found.capability}), driver {found.driver}, {found.memory_bytes / 2**30:.0f} GiB")
    for name in _NEEDED:
        _say(f"  {name} {_version(name)}")
    lacking = {name for name in _NEEDED if find_spec(name) is None}
    codes = []
    if "pytest" in lacking:
        _say("tests: left out, pytest is not installed")
    else:
        _say("tests that need a GPU:")
        codes.append(_run([sys.executable, "-m", "pytest", "-q", "-m", "gpu"], _TESTS_S))
    if without := {"torch", "torchvision", "lightning_fabric"} & lacking:
        _say(f"training: left out, {', '.join(sorted(without))} not installed")
    else:
        for precision in ("float32", "bf16"):
            _say(f"training a ResNet-18 in {precision} at 128 pixels, images a second:")
            sizes = ["--rounds", "3", "--side", "128", "--images", "2048", "--precision", precision]
            codes.append(_run([sys.executable, "-m", "benchmarks.training_speed", *sizes], _TRAINING_S))
    return int(any(codes))


def _run(command: list[str], limit_s: float) -> int:
    """Its exit code; what it prints goes where ours does. Ended when it takes too long: that is a failure, and said."""
    try:
        return subprocess.run(command, check=False, timeout=limit_s).returncode  # noqa: S603 - our own modules
    except subprocess.TimeoutExpired:
        _say(f"  not ended within {limit_s:.0f} s")
        return 1


def _version(module: str) -> str:
    try:
        return metadata.version(module.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return "" if find_spec(module) else "is not installed"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
