"""The records of a fleet's file. Their fields are the keys of the YAML file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from pipeline.artifact import Json  # noqa: TC001 - pydantic reads it
from pipeline.devices.entries import HERE

__all__ = ["DataEntry", "Fleet", "ModelEntry", "RecipeEntry", "Resources", "Without"]

_Name = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class ModelEntry(_Section):
    """A network, as deploy takes it; one that needs no more than its name is written as a text."""

    model: _Name = Field(description="torchvision name, timm/NAME, path/to/file.py:factory, or path/to/model.onnx")
    name: _Name | None = Field(default=None, description="what it is called here; default: made from model")
    weights: str | None = Field(default=None, description="as deploy's --weights; default: what the recipe says")


class DataEntry(_Section):
    """A data set, as deploy takes it; one that needs no more than its place is written as a text."""

    source: _Name = Field(description="a folder of images, an embedded set or torchvision:NAME, as deploy's --data")
    name: _Name | None = Field(default=None, description="what it is called here; default: the folder's own name")


class RecipeEntry(_Section):
    """How each model is taken through the stages; a text is the path of a recipe."""

    name: _Name | None = Field(default=None, description="what it is called here; default: the file's, or quick")
    file: str | None = Field(default=None, description="a recipe to start from; default: deploy's own defaults")
    quick: bool = Field(default=False, description="one epoch of everything, as deploy's --quick")
    settings: dict[str, Json] = Field(
        default_factory=dict, description="any keys of a recipe, such as input.size: 128; they win over file and quick"
    )


class Resources(_Section):
    """What a cell takes of its machine while it runs."""

    cores: PositiveInt | None = Field(
        default=None, description="default: all of the smallest machine's, so that no cell disturbs another's figures"
    )
    gpus: NonNegativeInt = Field(default=0, description="NVIDIA GPUs")
    memory_mib: PositiveInt | None = Field(default=None, description="of main memory; default: not looked at")
    custom: dict[str, PositiveFloat] = Field(
        default_factory=dict, description="Ray's own resources of a cluster, by which cells find their machines"
    )


class Without(_Section):
    """Cells that are left out: those that have all the names given here."""

    model: str | None = None
    data: str | None = None
    recipe: str | None = None
    target: str | None = None
    device: str | None = None


def _or_text(key: str, section: type[BaseModel]) -> BeforeValidator:
    """A text stands for a section with that key alone."""

    def with_key(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {key: value} if isinstance(value, str) else value

    return BeforeValidator(with_key, json_schema_input_type=str | section)


class Fleet(_Section):
    """Everything that decides a fleet: all its cells, and what each may take."""

    schema_: Literal["edgewright.fleet/1"] = Field(
        default="edgewright.fleet/1", alias="schema", description="what this file is"
    )
    models: tuple[Annotated[ModelEntry, _or_text("model", ModelEntry)], ...] = Field(
        min_length=1, description="networks, each a name or a section"
    )
    data: tuple[Annotated[DataEntry, _or_text("source", DataEntry)], ...] = Field(
        default=(), description="data sets, each a text as deploy's --data or a section; default: what each recipe says"
    )
    recipes: tuple[Annotated[RecipeEntry, _or_text("file", RecipeEntry)], ...] = Field(
        default=(RecipeEntry(),), min_length=1, description="recipes, each a path or a section; default: the defaults"
    )
    targets: tuple[_Name, ...] = Field(
        default=("ort-cpu",), min_length=1, description="where bundles will run; `edgewright targets` lists them"
    )
    devices: tuple[_Name, ...] = Field(
        default=(HERE,), min_length=1, description="where it is measured: here, or names of `edgewright device add`"
    )
    without: tuple[Without, ...] = Field(default=(), description="cells that are left out")
    resources: Resources = Resources()
    resources_of: dict[str, Resources] = Field(
        default_factory=dict, description="in place of resources, for the cells of a target"
    )
    retries: NonNegativeInt = Field(
        default=2, description="how often a cell is tried again whose worker or machine was lost"
    )
    store: str | None = Field(
        default=None, description="folder of the store that all cells share; default: each machine's own"
    )
