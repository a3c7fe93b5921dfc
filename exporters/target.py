"""The contract of a target: one runtime on one kind of machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.environment import Machine
    from pipeline.session import EngineSpec

__all__ = ["Target"]


class Target(Protocol):
    """Builds what its runtime loads. Opening it is a function of its own (see ``OPENERS`` in ``pipeline.catalog``).

    Attributes:
        name: As typed after ``--target``.
        description: One line for ``edgewright targets``.
        distributions: Python distributions whose versions decide what is built; they enter the build stage's key.
        runtime: The distributions a bundle for this target needs on the device.
        run_template: The file in ``exporters/device`` that becomes the bundle's ``run.py``.
    """

    name: str
    description: str
    distributions: tuple[str, ...]
    runtime: tuple[str, ...]
    run_template: str

    def dialect(self, machine: Machine) -> str:
        """Which Q/DQ dialect the runtime fuses on that machine; a name of ``pipeline.quantization.dialects``."""
        ...

    def missing(self) -> str | None:
        """None when it can be built here; else what is missing and the command that installs it."""
        ...

    def variants(self, machine: Machine) -> tuple[Mapping[str, Json], ...]:
        """Options of the runtime worth trying in place of the defaults, each a part of ``EngineSpec.options``."""
        ...

    def build(self, model: Path, folder: Path) -> EngineSpec:
        """Make what the runtime loads from an ONNX file, inside ``folder``.

        The same model gives the same bytes wherever the runtime allows that.
        """
        ...
