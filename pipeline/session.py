"""A loaded model on its target's runtime: the one thing a benchmark or an evaluation sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Json  # noqa: TC001 - Opener is made at run time

__all__ = ["WITHIN_A_RUN", "Array", "EngineSpec", "Opener", "Outputs", "Session", "TensorSpec", "TimedByGpu"]

Array = NDArray[Any]

WITHIN_A_RUN = "within a run"
"""Value of the option ``spinning``: threads wait actively while an inference runs, and sleep between two."""

Outputs = tuple[Array, ...]
"""What a model gives for one image: every output in the model's order, each without its batch axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """Name, static shape and numpy dtype name of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> TensorSpec:
        """Inverse of :meth:`to_json`."""
        return cls(name=value["name"], shape=tuple(value["shape"]), dtype=value["dtype"])


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSpec:
    """How to open a model file on a target: all that a fresh process needs besides the file itself.

    Stored among the facts of an ``engine`` artifact and in a bundle's manifest.

    Attributes:
        target: Name of the target, key into the opener table.
        model: The model file, relative to the folder it is opened in.
        input: The one input; batch first.
        outputs: The outputs in the model's order.
        options: What the target's runtime is told (threads, spinning, providers, ...); the target's own keys.
    """

    target: str
    model: str
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    options: Mapping[str, Json]

    @property
    def loaded(self) -> tuple[str, ...]:
        """The files that the runtime reads: the model, and the weights that OpenVINO keeps beside its ``.xml``.

        Of an ensemble those of all members, each in its folder.
        """
        if "members" in self.options:
            members = [EngineSpec.from_json(member["spec"]) for member in self.options["members"]]
            return tuple(f"{number}/{file}" for number, member in enumerate(members) for file in member.loaded)
        weights = (f"{self.model.removesuffix('.xml')}.bin",) if self.model.endswith(".xml") else ()
        return (self.model, *weights)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of what it takes: bytes have their channels last."""
        height, width = self.input.shape[1:3] if self.input.dtype == "uint8" else self.input.shape[2:4]
        return height, width

    def with_threads(self, threads: int | None) -> EngineSpec:
        """With so many threads of the runtime; as it is for None."""
        return self if threads is None else replace(self, options={**self.options, "threads": threads})

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "target": self.target,
            "model": self.model,
            "input": self.input.to_json(),
            "outputs": [output.to_json() for output in self.outputs],
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> EngineSpec:
        """Inverse of :meth:`to_json`."""
        return cls(
            target=value["target"],
            model=value["model"],
            input=TensorSpec.from_json(value["input"]),
            outputs=tuple(TensorSpec.from_json(output) for output in value["outputs"]),
            options=value["options"],
        )


class Session(Protocol):
    """A model that is loaded while the ``with`` block lasts.

    Nothing is loaded before ``__enter__`` and everything is released by ``__exit__``::

        with open_session(folder, spec) as session:
            (logits,) = session.run(image[None])
    """

    spec: EngineSpec

    def __enter__(self) -> Self:
        """Load the model."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        ...

    def run(self, batch: Array) -> tuple[Array, ...]:
        """One inference. ``batch`` has the shape and dtype of ``spec.input``; the outputs those of ``spec.outputs``."""
        ...

    def facts(self) -> dict[str, Json]:
        """What is in force once loaded: runtime version, provider, threads and the like, for the record."""
        ...


@runtime_checkable
class TimedByGpu(Protocol):
    """A session that can tell the parts of an inference by the GPU's own clock."""

    def spans(self, batch: Array) -> dict[str, int]:
        """Nanoseconds of one inference's ``copy_in``, ``compute`` and ``copy_out``."""
        ...


Opener = Callable[[Path, EngineSpec], Session]
"""Makes a session from a folder and the spec of the engine in it. The runtime is imported inside."""


def check_batch(batch: Array, spec: TensorSpec) -> None:
    """Refuse an input that the engine was not built for.

    Raises:
        ValueError: when shape or dtype differ.
    """
    if batch.shape != spec.shape or batch.dtype != np.dtype(spec.dtype):
        message = f"input {spec.name!r} is {spec.dtype}{list(spec.shape)}, got {batch.dtype}{list(batch.shape)}"
        raise ValueError(message)
