"""Memory of the GPU and page-locked memory of the host, by NVIDIA's own bindings of the CUDA runtime."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.errors import ResourceError

if TYPE_CHECKING:
    from pipeline.session import Array, TensorSpec

__all__ = ["CUDA_NAMES", "Buffer", "Event", "Stream", "cuda_runtime", "memory_missing"]

_MODULE = "cuda.bindings.runtime"

CUDA_NAMES = (
    "cudaEventCreate", "cudaEventDestroy", "cudaEventElapsedTime", "cudaEventRecord", "cudaFree", "cudaFreeHost",
    "cudaGetErrorString", "cudaMalloc", "cudaMallocHost", "cudaMemcpyAsync", "cudaMemcpyKind.cudaMemcpyDeviceToHost",
    "cudaMemcpyKind.cudaMemcpyHostToDevice", "cudaStreamCreate", "cudaStreamDestroy", "cudaStreamSynchronize",
)  # fmt: skip
"""What is used of them; a test looks each up."""


def memory_missing() -> str | None:
    """None when the bindings are installed; else the command that installs them."""
    found = importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings")
    return None if found else "cuda-bindings is not installed: pip install cuda-bindings"


def cuda_runtime() -> Any:  # noqa: ANN401 - bindings have no types
    """The CUDA runtime."""
    return importlib.import_module(_MODULE)


def checked(cuda: Any, answer: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """What a call gave.

    Raises:
        ResourceError: when it failed, with the runtime's own words.
    """
    error, *values = answer
    if int(error) != 0:
        words = cuda.cudaGetErrorString(error)[1]
        raise ResourceError("the CUDA runtime refused", got=words.decode() if words else str(error))
    return values[0] if values else None


class Stream:
    """The queue that one session's work goes through."""

    def __init__(self, cuda: Any) -> None:  # noqa: ANN401
        self._cuda = cuda
        self._handle = checked(cuda, cuda.cudaStreamCreate())

    @property
    def handle(self) -> int:
        """As TensorRT takes it."""
        return int(self._handle)

    def wait(self) -> None:
        """Until everything in it is done."""
        checked(self._cuda, self._cuda.cudaStreamSynchronize(self._handle))

    def __enter__(self) -> Self:
        """Ready since it was made."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        checked(self._cuda, self._cuda.cudaStreamDestroy(self._handle))


class Event:
    """A moment in a stream, by the GPU's own clock."""

    def __init__(self, cuda: Any) -> None:  # noqa: ANN401
        self._cuda = cuda
        self._handle = checked(cuda, cuda.cudaEventCreate())

    def record(self, stream: Stream) -> None:
        """Let it be the moment when everything queued so far is done."""
        checked(self._cuda, self._cuda.cudaEventRecord(self._handle, stream.handle))

    def nanoseconds_since(self, earlier: Event) -> int:
        """Between two moments that have passed; the clock ticks every half microsecond."""
        milliseconds: float = checked(self._cuda, self._cuda.cudaEventElapsedTime(earlier._handle, self._handle))
        return round(1e6 * milliseconds)

    def __enter__(self) -> Self:
        """Ready since it was made."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        checked(self._cuda, self._cuda.cudaEventDestroy(self._handle))


class Buffer:
    """One tensor: its place on the GPU and its page-locked twin on the host, which copies go fastest from."""

    def __init__(self, cuda: Any, spec: TensorSpec) -> None:  # noqa: ANN401
        self._cuda = cuda
        dtype: np.dtype[Any] = np.dtype(spec.dtype)
        self._bytes = math.prod(spec.shape) * dtype.itemsize
        self.device = int(checked(cuda, cuda.cudaMalloc(self._bytes)))
        self._pinned = int(checked(cuda, cuda.cudaMallocHost(self._bytes)))
        memory = (ctypes.c_byte * self._bytes).from_address(self._pinned)
        self.host: Array = np.frombuffer(memoryview(memory), dtype).reshape(spec.shape)

    def to_device(self, stream: Stream) -> None:
        """Queue the copy from the host."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        checked(self._cuda, self._cuda.cudaMemcpyAsync(self.device, self._pinned, self._bytes, kind, stream.handle))

    def to_host(self, stream: Stream) -> None:
        """Queue the copy to the host."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        checked(self._cuda, self._cuda.cudaMemcpyAsync(self._pinned, self.device, self._bytes, kind, stream.handle))

    def __enter__(self) -> Self:
        """Ready since it was made."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release both; ``host`` must not be read any more."""
        del self.host
        checked(self._cuda, self._cuda.cudaFreeHost(self._pinned))
        checked(self._cuda, self._cuda.cudaFree(self.device))
