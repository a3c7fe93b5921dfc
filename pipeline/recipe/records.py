"""The recipe's records. Their fields are the keys of the YAML file; a stage's section is the stage itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from exporters.build_options import Build
from pipeline.preprocess_section import InputSection
from pipeline.recipe.goal import GoalSection
from pipeline.stages.baseline import Baseline
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.distill import Distill
from pipeline.stages.downsample import Downsample
from pipeline.stages.export import Export
from pipeline.stages.prune import Prune

__all__ = ["SKIPPABLE", "DataSection", "GoalSection", "InputSection", "MeasureSection", "NetworkSection", "Recipe"]

SKIPPABLE = ("distill", "downsample", "prune")
"""Stages a run can do without; the others make what the device loads."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class NetworkSection(_Section):
    """What the network's code does not say."""

    output: str | None = Field(
        default=None,
        description="which of several outputs is the answer, by name or place; default: logits, or the first with "
        "a score for each class",
    )
    backbone: str | None = Field(
        default=None,
        description="what the backbone of a detector without weights starts from: 'pretrained' (torchvision's "
        "classifier), 'none', or a state dict; default: pretrained for names, unless weights is none",
    )


class DataSection(_Section):
    """Which images, and how they are split."""

    source: str = Field(
        default="digits",
        description="'digits', 'digits-detection', a folder, or the name of a torchvision data set; default: "
        "the digits of the model's kind",
    )
    calibration_images: PositiveInt = Field(default=512, description="at most so many images calibrate")
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="share of the training images, class by class, that is held back from training; the epoch that "
        "is best on them is kept",
    )
    bad_boxes: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="what becomes of boxes that are outside their image, empty, reversed, no numbers or of an unknown "
        "class, and of annotations without an image",
    )
    calibration_list: str | None = Field(default=None, description="file with one relative image path a line")
    test_list: str | None = Field(default=None, description="file with one relative image path a line")
    test_images: PositiveInt | None = Field(
        default=None, description="at most so many test images are scored, each class by its share; default: all"
    )


class MeasureSection(_Section):
    """How the stages are measured."""

    profile: Literal["quick", "full"] = Field(default="quick", description="'full' takes a minute a stage")
    processes: PositiveInt | None = Field(default=None, description="fresh processes a measurement; default: profile's")
    iterations: PositiveInt | None = Field(default=None, description="timed inferences a process; default: profile's")
    threads: PositiveInt | None = Field(default=None, description="threads of the runtime; default: all usable cores")
    examples: Annotated[int, Field(ge=0, le=100)] = Field(
        default=6, description="so many test images are drawn into a detector's report with what was found on them"
    )
    seeds: PositiveInt = Field(
        default=1, description="train so many students without and so many with teachers, for mean and spread"
    )


class Recipe(_Section):
    """Everything that decides a run."""

    schema_: Literal["edgewright.recipe/1"] = Field(
        default="edgewright.recipe/1", alias="schema", description="what this file is"
    )
    model: str = Field(
        description="torchvision name, timm/NAME, yolo/NAME, path/to/file.py:factory, or path/to/model.onnx"
    )
    weights: str | None = Field(
        default=None,
        description="'pretrained', 'pretrained:SHA256' for that file alone, 'none', a .safetensors or a .pt/.pth state "
        "dict; default: pretrained for names",
    )
    task: Literal["classification", "detection"] = Field(
        default="classification",
        description="'classification': one class an image; 'detection': boxes, each with a class; default: what the "
        "model is for",
    )
    data: DataSection = DataSection()
    input: InputSection = InputSection()
    network: NetworkSection = NetworkSection()
    goal: GoalSection = GoalSection()
    targets: tuple[str, ...] = Field(
        default=("ort-cpu",), min_length=1, description="where it will run, or 'auto'; `edgewright targets` lists them"
    )
    skip: tuple[Literal["distill", "downsample", "prune"], ...] = Field(
        default=(), description="stages that are left out"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(default=0, description="the only source of randomness")
    baseline: Baseline = Baseline()
    distill: Distill = Distill()
    downsample: Downsample = Downsample()
    prune: Prune = Prune()
    calibrate: Calibrate = Calibrate()
    export: Export = Export()
    build: Build = Build()
    measure: MeasureSection = MeasureSection()
