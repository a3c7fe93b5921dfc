"""Where a training computes and in what: the processor or GPU of this process, float32 or half of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from pipeline.errors import UsageError
from pipeline.models.build import modes_kept

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.training.ranks import Ranks

__all__ = ["fabric_for", "layout_for", "precision_here", "scaler_of"]

_BLOCK = 16
"""As many channels oneDNN takes at once, of float32 with AVX-512."""

_NO_VIEW = "view size is not compatible with input tensor's size and stride"
"""What torch says of a view that a tensor has not for how it lies."""

_AMPERE = (8, 0)
"""The first of NVIDIA's architectures that multiplies bf16."""


def fabric_for(precision: str, ranks: Ranks) -> Fabric:
    """What moves tensors and gradients for this process.

    Args:
        precision: As in a schedule.
        ranks: Those that train together.

    Raises:
        UsageError: for a precision that is of no use here.
    """
    together = DDPStrategy(find_unused_parameters=True) if ranks.count > 1 else "auto"
    fabric = Fabric(
        accelerator="auto",
        strategy=together,
        devices=ranks.on_this_host,
        num_nodes=ranks.count // ranks.on_this_host,
        precision=precision_here(precision),
    )
    if ranks.count > 1:
        fabric.launch()
    return fabric


def scaler_of(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What keeps the gradients of fp16 in range, and leaves out steps whose gradients overflow; None elsewhere."""
    return getattr(fabric._precision, "scaler", None)  # noqa: SLF001 - Fabric has no public way to it


def layout_for(network: nn.Module, images: Tensor) -> torch.memory_format:
    """How tensors that go through a network lie in memory: channels last, as convolutions like them, where it can be.

    On CPUs oneDNN computes wrong gradients of strided 1x1 convolutions with few input channels that lie last, and
    writes outside of its memory (https://github.com/uxlfoundation/oneDNN/issues/6035). And a ``forward`` may take views
    of its maps or its weights, as ``x.view(-1, 1024)`` is, which those that lie so do not have: that is tried.

    Args:
        network: To be trained or asked, where it will be; left as it was.
        images: A few, (images, channels, height, width), there too: one alone has views that several have not.
    """
    if images.device.type == "cpu" and any(_is_miscomputed(module) for module in network.modules()):
        return torch.contiguous_format
    takes = all(_takes_channels_last(network, images, trains=trains) for trains in (False, True))
    return torch.channels_last if takes else torch.contiguous_format


def _takes_channels_last(network: nn.Module, images: Tensor, *, trains: bool) -> bool:
    """Whether nothing in a pass needs views that are not there; whatever else it raises is met again, and told."""
    was_first = all(parameter.is_contiguous() for parameter in network.parameters())
    buffers = {name: buffer.detach().clone() for name, buffer in network.named_buffers()}
    try:
        with modes_kept(network), torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            network.train(trains).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            with torch.no_grad():
                network(images.contiguous(memory_format=torch.channels_last))
    except Exception as error:  # noqa: BLE001 - a detector in training, for one, asks for boxes
        return _NO_VIEW not in str(error)
    finally:
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                if name in buffers and buffer.shape == buffers[name].shape:
                    buffer.copy_(buffers[name])
        if was_first:
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return True


def _is_miscomputed(module: torch.nn.Module) -> bool:
    return (
        isinstance(module, torch.nn.Conv2d)
        and set(module.kernel_size) == {1}
        and max(module.stride) > 1
        and module.in_channels // module.groups < _BLOCK
    )


def precision_here(precision: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """What a schedule's precision means on this machine.

    Raises:
        UsageError: for fp16 without a GPU: its gradients need the scaling that is made for GPUs.
    """
    gpu = torch.cuda.is_available()
    match precision:
        case "bf16":
            return "bf16-mixed"
        case "fp16" if gpu:
            return "16-mixed"
        case "fp16":
            raise UsageError(
                "fp16 is trained in on GPUs only", got="no GPU here", fix="take precision=auto, which is float32 here"
            )
        case "auto" if gpu and torch.cuda.get_device_capability() >= _AMPERE:
            return "bf16-mixed"
        case _:
            return "32-true"
