"""The contract of a target: one runtime on one kind of machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, get_args

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporters.build_options import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine
    from pipeline.session import EngineSpec

__all__ = ["HALVES", "PRECISIONS", "Precision", "Target", "check_precision"]

Precision = Literal["float", "fp16", "bf16", "int8"]
"""What a graph computes in: float32, float16, bfloat16, or 8-bit integers where Q/DQ stands."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""All of them."""

HALVES: tuple[Precision, ...] = ("fp16", "bf16")
"""The 16-bit floats; a target has one of them at most."""


class Target(Protocol):
    """Builds what its runtime loads. Opening it is a function of its own (see ``OPENERS`` in ``pipeline.catalog``).

    Attributes:
        name: As typed after ``--target``.
        description: One line for ``edgewright targets``.
        distributions: Python distributions whose versions decide what is built; they enter the build stage's key.
        runtime: The distributions a bundle for this target needs on the device.
        run_template: The file in ``exporters/device`` that becomes the runtime's part of the bundle's ``run.py``.
        on_cpu: Whether it computes on the CPU.
        precisions: What it can build and the machine can run well.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - told above
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def distributions(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def runtime(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def run_template(self) -> str: ...  # noqa: D102
    @property
    def on_cpu(self) -> bool: ...  # noqa: D102
    @property
    def precisions(self) -> tuple[str, ...]: ...  # noqa: D102

    def configured(self, section: Build) -> Target:
        """The target with what the recipe says of it; itself where it says nothing.

        Raises:
            UsageError: for what the runtime does not have.
        """
        ...

    def for_machine(self, machine: Machine) -> Target:
        """The target for engines that will run on that machine; itself where that changes nothing."""
        ...

    def dialect(self, machine: Machine) -> str:
        """Which Q/DQ dialect the runtime fuses on that machine; a name of ``pipeline.quantization.dialects``."""
        ...

    def missing(self) -> str | None:
        """None when it can be built here; else what is missing and the command that installs it."""
        ...

    def variants(self, machine: Machine) -> tuple[Mapping[str, Json], ...]:
        """Options of the runtime worth trying in place of the defaults, each a part of ``EngineSpec.options``."""
        ...

    def cannot_run(self) -> str | None:
        """None when an engine of it can be run on this machine; else the reason in one sentence."""
        ...

    def cannot_suppress(self) -> str | None:
        """None when its runtime runs ONNX's NonMaxSuppression; else the reason in one sentence."""
        ...

    def settings(self) -> dict[str, Json]:
        """What decides the engine's bytes besides the ONNX file, the precision and the versions; enters the key."""
        ...

    def build(self, model: Path, folder: Path, *, precision: str) -> EngineSpec:
        """Make what the runtime loads from an ONNX file, inside ``folder``.

        The same model gives the same bytes wherever the runtime allows that.

        Args:
            model: ``float.onnx`` for ``float`` and 16-bit floats, the Q/DQ file of the target's dialect for ``int8``.
            folder: An empty folder.
            precision: One of ``precisions``.

        Raises:
            UsageError: for a precision that the target does not build, or a graph that its runtime cannot read.
        """
        ...


def check_precision(target: Target, precision: str) -> None:
    """Refuse a precision that the target does not build.

    Raises:
        UsageError: naming those it does build.
    """
    if precision not in target.precisions:
        raise UsageError(
            f"target {target.name} does not build {precision}", expected=f"one of {', '.join(target.precisions)}"
        )
