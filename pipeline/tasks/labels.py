"""What is known of some images, as a task's loss takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import torch
    from torch import Tensor


__all__ = ["Labels"]


class Labels(Protocol):
    """What is known of some images, as a loss takes it; a tensor is one."""

    def __len__(self) -> int:
        """How many images."""
        ...

    def __getitem__(self, indices: Tensor, /) -> Self:
        """What is known of some of them."""
        ...

    def to(self, device: torch.device, /, *, non_blocking: bool = False) -> Self:
        """The same there."""
        ...
