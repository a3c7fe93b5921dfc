"""How large engines of torchvision networks are, and what they consist of: the table in docs/targets.md.

    python -m exporters.tensorrt.sizes resnet50 mobilenet_v2 efficientnet_b0

Random weights and random images: sizes do not depend on either. Needs TensorRT for RTX and no GPU.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exporters.onnx_forms.half_precision import check_half
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.target import TENSORRT_RTX
from pipeline.artifact import FLOAT_MODEL, qdq_model

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["Composition", "composition", "engine_sizes"]

_SIZE = 224
_IMAGES = 4
_CAPABILITIES = ("sm86", "sm89")
_MB = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """What the bytes of an engine are.

    Attributes:
        total_bytes: All of them.
        zero_bytes: In runs of eight zeros and more: padding.
        text_bytes: In runs of 400 printable characters and more: source text of kernels, compiled on the device.
    """

    total_bytes: int
    zero_bytes: int
    text_bytes: int


def composition(engine: bytes) -> Composition:
    """Count."""
    return Composition(
        total_bytes=len(engine),
        zero_bytes=sum(map(len, re.findall(rb"\x00{8,}", engine))),
        text_bytes=sum(map(len, re.findall(rb"[ -~\n\t]{400,}", engine))),
    )


def engine_sizes(name: str, folder: Path, capabilities: tuple[str, ...] = _CAPABILITIES) -> dict[str, Composition]:
    """Precision to what its engine is, of a torchvision classifier; the ONNX files are left in ``folder``."""
    _export(name, folder)
    target = replace(TENSORRT_RTX, options=TensorRtOptions(capabilities=capabilities))
    found = {}
    for precision in target.precisions:
        work = folder / precision
        work.mkdir()
        source = folder / (qdq_model("tensorrt") if precision == "int8" else FLOAT_MODEL)
        spec = target.build(source, work, precision=precision)
        found[precision] = composition((work / spec.model).read_bytes())
    return found


def _export(name: str, folder: Path) -> None:
    import onnx
    import torch
    from torchvision.models import get_model

    from pipeline.lowering.lower import lower
    from pipeline.progress import SilentProgress
    from pipeline.quantization.dialects import dialect_named
    from pipeline.quantization.graph import Graph
    from pipeline.quantization.observe import observe
    from pipeline.quantization.plan import tensors_to_observe
    from pipeline.quantization.ranges import METHODS
    from pipeline.quantization.write import QdqFromFloat

    torch.manual_seed(0)
    images = _images()
    progress = SilentProgress()
    lower(get_model(name, weights=None).eval(), images, folder / FLOAT_MODEL, progress=progress)
    model = onnx.load(folder / FLOAT_MODEL)
    with progress.track("watching activations", 2 * len(images)) as ticker:
        seen = observe(model, tensors_to_observe(Graph(model)), lambda: images, ticker)
    ranges = {
        tensor: limits for tensor, one in seen.items() if (limits := METHODS["minmax"](one.histogram)) is not None
    }
    onnx.save(QdqFromFloat(model, ranges, dialect_named("tensorrt")), folder / qdq_model("tensorrt"))


def _images() -> list[Array]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal((1, 3, _SIZE, _SIZE)).astype(np.float32) for _ in range(_IMAGES)]


def main() -> None:
    """Print a line for each network and precision."""
    print("network          precision   engine MB  zeros MB  text MB")  # noqa: T201 - this is its output
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for precision, one in engine_sizes(name, folder).items():
                figures = (one.total_bytes / _MB, one.zero_bytes / _MB, one.text_bytes / _MB)
                print(name.ljust(16), precision.ljust(9), *(f"{figure:10.2f}" for figure in figures))  # noqa: T201
            difference = check_half(folder / FLOAT_MODEL, folder / "fp16" / "model.onnx")
            print(f"{name}: fp16 differs from float by {difference:.1e} of how far the outputs move")  # noqa: T201


if __name__ == "__main__":
    main()
