"""Where TensorRT 10, TensorRT 11 and TensorRT for RTX differ, and every name of their bindings that is used.

A test looks each name up in the bindings at hand: a name that a version lost is seen before a GPU is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.gpu import Gpu

__all__ = ["FLAVOURS", "LOST_NAMES", "Flavour"]

_BUILDING = (
    "Builder", "Builder.build_serialized_network", "Builder.create_builder_config", "Builder.create_network",
    "Builder.create_optimization_profile", "BuilderFlag.VERSION_COMPATIBLE", "DataType",
    "HardwareCompatibilityLevel", "HardwareCompatibilityLevel.AMPERE_PLUS",
    "IBuilderConfig.add_optimization_profile", "IBuilderConfig.builder_optimization_level",
    "IBuilderConfig.hardware_compatibility_level", "IBuilderConfig.profiling_verbosity", "IBuilderConfig.set_flag",
    "IBuilderConfig.set_memory_pool_limit", "ILayer.get_input", "ILayer.get_output", "ILayer.name",
    "ILayer.num_inputs", "ILayer.num_outputs", "ILayer.type", "ILogger", "ILogger.Severity.ERROR",
    "ILogger.Severity.INTERNAL_ERROR", "INetworkDefinition.get_input", "INetworkDefinition.get_layer",
    "INetworkDefinition.get_output", "INetworkDefinition.num_inputs", "INetworkDefinition.num_layers",
    "INetworkDefinition.num_outputs", "IOptimizationProfile.set_shape", "ITensor.dtype", "ITensor.name",
    "ITensor.shape", "MemoryPoolType.WORKSPACE", "NetworkDefinitionCreationFlag.STRONGLY_TYPED", "OnnxParser",
    "OnnxParser.get_error", "OnnxParser.num_errors", "OnnxParser.parse", "OnnxParser.parse_from_file",
    "ParserError.desc", "ParserError.node", "ParserError.node_name", "ParserError.node_operator",
    "ProfilingVerbosity.DETAILED", "nptype",
)  # fmt: skip
_RUNNING = (
    "EngineInspector.get_engine_information", "ICudaEngine.create_engine_inspector",
    "ICudaEngine.create_execution_context", "ICudaEngine.device_memory_size_v2", "IExecutionContext.execute_async_v3",
    "IExecutionContext.set_input_shape", "IExecutionContext.set_tensor_address", "LayerInformationFormat.JSON",
    "Logger.ERROR", "Runtime", "Runtime.deserialize_cuda_engine", "Runtime.engine_host_code_allowed",
)  # fmt: skip
_TIMING = ("IBuilderConfig.create_timing_cache", "IBuilderConfig.set_timing_cache", "ITimingCache.serialize")

LOST_NAMES = (
    "BuilderFlag.FP16", "BuilderFlag.INT8", "BuilderFlag.OBEY_PRECISION_CONSTRAINTS",
    "BuilderFlag.PREFER_PRECISION_CONSTRAINTS", "IBuilderConfig.int8_calibrator",
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
)  # fmt: skip
"""What TensorRT 11 no longer has, being strongly typed: precision stands in the graph, here for every version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flavour:
    """One of the products that share TensorRT's interface.

    Attributes:
        name: Also the name of the target.
        module: What is imported.
        distributions: Those that may bring it; their versions decide what is built.
        install: The command that installs it.
        names: What is used of the bindings.
        versions: Those whose bindings were looked at, by major number.
        chooses_capabilities: Whether engines are built for named compute capabilities, on any machine; else for the
            GPU at hand alone, which then has to be there.
        times_kernels: Whether kernels are chosen by timing them, so that a timing cache saves time.
        version_compatible: Whether an engine can be built for later versions too.
        hardware_compatible: Whether an engine can be built for later GPUs too.
        lacks_roi_align: Whether its parser knows no RoiAlign.
        capabilities: Those that are built for where no GPU is at hand.
        known: All that can be built for; empty: those of every GPU it starts on.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    install: str
    names: tuple[str, ...]
    versions: tuple[int, ...]
    chooses_capabilities: bool
    times_kernels: bool
    version_compatible: bool
    hardware_compatible: bool
    lacks_roi_align: bool
    capabilities: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def installed(self) -> bool:
        """Whether the bindings can be imported; nothing is imported to tell."""
        return importlib.util.find_spec(self.module) is not None

    def unfit(self, gpu: Gpu) -> str | None:
        """Why no engine of it runs on that GPU; None when one can."""
        if not self.known or gpu.capability in self.known:
            return None
        return f"{self.name} has no engines for {gpu.name} ({gpu.capability}), only for {', '.join(self.known)}"

    def bindings(self) -> Any:  # noqa: ANN401 - bindings have no types
        """The module."""
        return importlib.import_module(self.module)


FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour(
            name="tensorrt",
            module="tensorrt",
            distributions=("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
            install="pip install 'edgewright[tensorrt]'",
            names=(*_BUILDING, *_RUNNING, *_TIMING),
            versions=(10, 11),
            chooses_capabilities=False,
            times_kernels=True,
            version_compatible=True,
            hardware_compatible=True,
            lacks_roi_align=False,
        ),
        Flavour(
            name="tensorrt-rtx",
            module="tensorrt_rtx_bindings",
            distributions=("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs"),
            install="pip install 'edgewright[tensorrt-rtx]'",
            names=(
                *_BUILDING, *_RUNNING, "ComputeCapability", "IBuilderConfig.num_compute_capabilities",
                "IBuilderConfig.set_compute_capability",
            ),
            versions=(1,),
            chooses_capabilities=True,
            times_kernels=False,
            version_compatible=False,
            hardware_compatible=False,
            lacks_roi_align=True,
            capabilities=("sm86", "sm89", "sm120"),
            known=("sm75", "sm80", "sm86", "sm89", "sm120", "sm121"),
        ),
    )
}  # fmt: skip
"""TensorRT for RTX compiles its kernels on the device: nothing is timed, its timing cache does nothing, and its wheels
lack the lean runtime that a version-compatible engine needs. The capabilities are those of the RTX 30, 40 and 50
series, of which one more adds about a kilobyte; it refuses float matrix products for the RTX 20 series (sm75)."""
