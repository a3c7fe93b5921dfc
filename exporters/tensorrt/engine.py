"""From a parsed network to the bytes of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporters.tensorrt.timing import kept_timings
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from exporters.tensorrt.flavours import Flavour
    from exporters.tensorrt.options import TensorRtOptions
    from exporters.tensorrt.parsing import Parsed
    from pipeline.gpu import Gpu

__all__ = ["build_engine", "chosen_capabilities"]


def chosen_capabilities(flavour: Flavour, options: TensorRtOptions, gpu: Gpu | None) -> tuple[str, ...]:
    """What the engine is built for: as asked, else for the GPU at hand, else for the flavour's own list."""
    if not flavour.chooses_capabilities:
        return (gpu.capability,) if gpu else ()
    return options.capabilities or ((gpu.capability,) if gpu else flavour.capabilities)


def build_engine(
    parsed: Parsed,
    flavour: Flavour,
    options: TensorRtOptions,
    *,
    gpu: Gpu | None = None,
    timings: Path | None = None,
) -> bytes:
    """Build.

    Args:
        parsed: From the flavour's own bindings.
        flavour: Which product.
        options: What it is told.
        gpu: The one at hand.
        timings: A timing cache, read where it exists and written back; None for none.

    Raises:
        UsageError: for an option the flavour lacks, and with the builder's own words when it fails.
    """
    options.check(flavour)
    trt, network = parsed.bindings, parsed.network
    config = parsed.builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the inspector tells layers without precisions
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if flavour.chooses_capabilities:
        _set_capabilities(trt, config, chosen_capabilities(flavour, options, gpu))
    _add_profile(parsed, config, options)
    with kept_timings(config, timings if flavour.times_kernels else None):
        serialized = parsed.builder.build_serialized_network(network, config)
    if serialized is None:
        raise UsageError(
            f"{flavour.name} cannot build this network",
            got="; ".join(parsed.logger.errors[-2:]) or "no reason was given",
            fix="see what it takes in docs/targets.md, or build for --target ort-cuda",
        )
    return bytes(serialized)


def _set_capabilities(trt: Any, config: Any, capabilities: tuple[str, ...]) -> None:  # noqa: ANN401
    known = trt.ComputeCapability.__members__
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        if capability.upper() not in known or not config.set_compute_capability(known[capability.upper()], index):
            names = ", ".join(name.lower() for name in known if name.startswith("SM"))
            raise UsageError(f"engines cannot be built for {capability}", expected=f"some of {names}")


def _add_profile(parsed: Parsed, config: Any, options: TensorRtOptions) -> None:  # noqa: ANN401
    """The range of batches of a network whose first axis is open; nothing for one whose shapes are all fixed."""
    given = parsed.network.get_input(0)
    batch, *rest = given.shape
    if min(rest, default=0) < 0:
        raise UsageError(
            "only the first axis of the input may be open",
            where=given.name,
            got=f"shape {tuple(given.shape)}",
            expected="a size for each of the others",
        )
    if batch >= 0:
        return
    profile = parsed.builder.create_optimization_profile()
    profile.set_shape(given.name, *((size, *rest) for size in (1, 1, options.largest_batch)))
    config.add_optimization_profile(profile)
