"""What a recipe says of building: for every target, and for one of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from exporters.tensorrt.options import TensorRtOptions

__all__ = ["Build"]


class Build(BaseModel):
    """The build section of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    precision: Literal["auto", "int8", "fp16", "bf16", "float"] = Field(
        default="auto",
        description="'auto': the fastest that holds goal.max_accuracy_drop, by measurement on the target",
    )
    budget_s: Annotated[float, Field(ge=0)] = Field(
        default=120.0, description="seconds for trying candidates; 0 takes the first INT8 form as it is"
    )
    input: Literal["float32", "uint8"] = Field(
        default="float32",
        description="'uint8': the device feeds the bytes of an image, the graph itself subtracts mean and divides",
    )
    nms: Literal["runner", "graph"] = Field(
        default="runner",
        description="where a detector's overlapping boxes are suppressed: by whoever runs the model, or 'graph': in it",
    )
    ort_format: bool = Field(
        default=False,
        description="for the target ort-cpu: model.ort and the list of operators that a reduced ONNX Runtime needs",
    )
    tensorrt: TensorRtOptions = Field(
        default=TensorRtOptions(), description="for the targets tensorrt and tensorrt-rtx"
    )
