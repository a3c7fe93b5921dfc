"""The state of a training on disk: what a killed one goes on from, to the bit."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import torch

from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["Checkpoints"]

_FILE = "training.safetensors"
_EVERY_S = 60.0


class Checkpoints:
    """Where one training leaves its state; a new one with the same folder finds it there.

    Weights, the optimiser's state, their moving average, the state of the random numbers, and how many steps are done.
    Pixels and order need none: both come from the numbers of image, view and epoch.

    Args:
        folder: Outlives the process; None: nothing is left.
        name: Tells trainings that share the folder from one another.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._file = folder / f"{name}-{_FILE}" if folder else None
        self._left = time.monotonic()

    def restore(self, tensors: dict[str, nn.Module | None], optimizer: torch.optim.Optimizer) -> int:
        """Put everything back in place; returns how many steps were done, 0 where nothing was left.

        Args:
            tensors: Name to module, whose state is replaced.
            optimizer: Likewise.
        """
        if self._file is None or not self._file.is_file():
            return 0
        found, texts = read_tensors(self._file)
        told = json.loads(texts["state"])
        for name, module in tensors.items():
            if module is not None:
                module.load_state_dict(_below(found, name))
        state = {int(number): dict(values) for number, values in told["optimizer"].items()}
        for name, value in _below(found, "optimizer").items():
            number, _, field = name.partition(".")
            state.setdefault(int(number), {})[field] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(found["random"])
        return int(told["steps"])

    def leave(
        self, steps: int, tensors: dict[str, nn.Module | None], optimizer: torch.optim.Optimizer, *, now: bool = False
    ) -> None:
        """Write the state, at most once a minute unless it has to be now; whole or not at all."""
        if self._file is None or not (now or time.monotonic() - self._left >= _EVERY_S):
            return
        kept: dict[str, Tensor] = {"random": torch.get_rng_state()}
        for name, module in tensors.items():
            if module is not None:
                kept |= {f"{name}.{key}": value.detach().cpu().clone() for key, value in module.state_dict().items()}
        others: dict[int, dict[str, Any]] = {}
        for number, values in optimizer.state_dict()["state"].items():
            for field, value in values.items():
                if isinstance(value, torch.Tensor):
                    kept[f"optimizer.{number}.{field}"] = value.detach().cpu().clone()
                else:
                    others.setdefault(number, {})[field] = value
        write_tensors(self._file, kept, {"state": json.dumps({"steps": steps, "optimizer": others})})
        self._left = time.monotonic()


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
