"""What a TensorRT builder can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from exporters.tensorrt.flavours import Flavour
    from pipeline.artifact import Json

__all__ = ["TensorRtOptions"]


class TensorRtOptions(BaseModel):
    """Options of a build; the section ``build.tensorrt`` of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    workspace_bytes: Annotated[int, Field(ge=1 << 20)] | None = Field(
        default=None, description="most memory that kernels may use beside the tensors; default: the GPU's"
    )
    optimization_level: Annotated[int, Field(ge=0, le=5)] | None = Field(
        default=None, description="0 (quick to build) to 5 (quick to run); default: the builder's own choice"
    )
    version_compatible: bool = Field(default=False, description="later versions of TensorRT can load the engine")
    hardware_compatible: bool = Field(default=False, description="later GPUs, from Ampere on, can run the engine")
    largest_batch: PositiveInt = Field(
        default=1, description="images at once that the engine takes; it is tuned for, and measured with, one"
    )
    capabilities: tuple[Annotated[str, Field(pattern=r"^sm\d{2,3}$")], ...] = Field(
        default=(),
        description="compute capabilities to build for, such as sm86; default: of the GPU at hand, else a list",
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if len(set(self.capabilities)) < len(self.capabilities):
            message = "a capability stands twice"
            raise ValueError(message)
        return self

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
                raise UsageError(f"{flavour.name} has no option {name}", where="build.tensorrt", fix="leave it out")

    def to_json(self) -> dict[str, Json]:
        """As JSON; ``model_validate`` is the inverse."""
        return self.model_dump(mode="json")
