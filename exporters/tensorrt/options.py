"""What a TensorRT builder can be told."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from exporters.tensorrt.flavours import Flavour
    from pipeline.artifact import Json

__all__ = ["TensorRtOptions"]

_SMALLEST_WORKSPACE_BYTES = 1 << 20
_HIGHEST_LEVEL = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRtOptions:
    """Options of a build.

    Attributes:
        workspace_bytes: Most memory that kernels may use beside the tensors; None: the GPU's.
        optimization_level: 0 (quick to build) to 5 (quick to run); None: the builder's own choice.
        version_compatible: Whether later versions of TensorRT can load the engine.
        hardware_compatible: Whether later GPUs, from Ampere on, can run it.
        batches: Least, usual and largest batch of an ONNX file whose first axis is open.
        capabilities: Compute capabilities to build for, such as ``sm86``; empty: of the GPU at hand, else the
            flavour's own list.

    Raises:
        UsageError: for a value that no builder takes.
    """

    workspace_bytes: int | None = None
    optimization_level: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    batches: tuple[int, int, int] = (1, 1, 1)
    capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no builder takes."""
        if self.workspace_bytes is not None and self.workspace_bytes < _SMALLEST_WORKSPACE_BYTES:
            raise _refused("workspace_bytes", self.workspace_bytes, f"at least {_SMALLEST_WORKSPACE_BYTES} (1 MiB)")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= _HIGHEST_LEVEL:
            raise _refused("optimization_level", self.optimization_level, f"0 to {_HIGHEST_LEVEL}")
        least, usual, largest = self.batches
        if not 1 <= least <= usual <= largest:
            raise _refused("batches", self.batches, "least, usual and largest batch, from 1, in this order")
        for capability in self.capabilities:
            if not re.fullmatch(r"sm\d{2,3}", capability):
                raise _refused("capabilities", capability, "compute capabilities such as sm86")
        if len(set(self.capabilities)) < len(self.capabilities):
            raise _refused("capabilities", ", ".join(self.capabilities), "each capability once")

    def check(self, flavour: Flavour) -> None:
        """Refuse what this flavour does not have.

        Raises:
            UsageError: naming the option.
        """
        lacking = {
            "version_compatible": self.version_compatible and not flavour.version_compatible,
            "hardware_compatible": self.hardware_compatible and not flavour.hardware_compatible,
            "capabilities": bool(self.capabilities) and not flavour.chooses_capabilities,
        }
        for name, missing in lacking.items():
            if missing:
                raise UsageError(f"{flavour.name} has no option {name}", where="TensorRT options", fix="leave it out")

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {**asdict(self), "batches": list(self.batches), "capabilities": list(self.capabilities)}

    @classmethod
    def from_json(cls, value: dict[str, Json]) -> TensorRtOptions:
        """Inverse of :meth:`to_json`."""
        return cls(**{**value, "batches": tuple(value["batches"]), "capabilities": tuple(value["capabilities"])})


def _refused(option: str, got: object, expected: str) -> UsageError:
    return UsageError(f"{option} cannot be that", where="TensorRT options", got=str(got), expected=expected)
