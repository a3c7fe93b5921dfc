"""The state of a training, and its file: what a killed one goes on from, to the bit."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import first_line, out_of_memory
from pipeline.training.curve import Epoch
from pipeline.training.divergence import refuse_infinite
from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.progress import Progress

__all__ = ["Best", "Checkpoints", "TrainingState"]

_FILE = "training.safetensors"
_EVERY_S = 60.0
_OF_ANOTHER_TRAINING = (RuntimeError, LookupError, TypeError, ValueError, AttributeError)
"""What comes of putting a state where it does not belong."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best epoch so far, counted from 0, and the network's tensors after it."""

    epoch: int
    tensors: Mapping[str, Tensor]


@dataclass(slots=True)
class TrainingState:
    """Everything the next step depends on besides the recipe.

    Nothing random is among it: pixels and order come from the numbers of image, view and epoch, and what is drawn
    within a step from that of the step; see :mod:`pipeline.training.draws`.

    Attributes:
        modules: Whose tensors count: the network, its moving average, a loss that learns.
        optimizer: Of their parameters.
        scaler: Of the gradients, in fp16.
        steps: That are done.
        losses: Of the steps of this epoch, added up.
        epochs: That are done.
        best: Of them, where images are held back.
    """

    modules: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None = None
    steps: int = 0
    losses: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    best: Best | None = None

    def tensors(self) -> dict[str, Tensor]:
        """What is kept as tensors, on the CPU."""
        kept: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            kept |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            kept |= {f"optimizer.{number}.{name}": value for name, value in values.items() if _is_tensor(value)}
        if self.best is not None:
            kept |= {f"best.{key}": value for key, value in self.best.tensors.items()}
        return {name: value.detach().cpu().clone() for name, value in kept.items()}

    def told(self) -> dict[str, Json]:
        """What is kept as JSON."""
        plain = {
            number: {name: value for name, value in values.items() if not _is_tensor(value)}
            for number, values in self.optimizer.state_dict()["state"].items()
        }
        return {
            "steps": self.steps,
            "losses": self.losses,
            "epochs": [epoch.to_json() for epoch in self.epochs],
            "best": self.best.epoch if self.best else None,
            "optimizer": plain,
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
        }

    def restore(self, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
        """Inverse of :meth:`tensors` and :meth:`told`."""
        for name, module in self.modules.items():
            module.load_state_dict(_below(tensors, name))
        state = {int(number): dict(values) for number, values in told["optimizer"].items()}
        for name, value in _below(tensors, "optimizer").items():
            place, _, entry = name.partition(".")
            state.setdefault(int(place), {})[entry] = value
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        for number, values in state.items():
            values.update(_laid_out_as(parameters[number], values))
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        if self.scaler is not None:
            self.scaler.load_state_dict(told["scaler"])
        self.steps, self.losses = told["steps"], told["losses"]
        self.epochs = [Epoch(**epoch) for epoch in told["epochs"]]
        self.best = None if told["best"] is None else Best(told["best"], _below(tensors, "best"))


class Checkpoints:
    """Where one training leaves its state; a new one with the same folder finds it there.

    Args:
        folder: Outlives the process; None: nothing is left.
        name: Tells trainings that share the folder from one another.
        writes: Whether this process leaves it; others only find it.
    """

    def __init__(self, folder: Path | None, name: str, *, writes: bool = True) -> None:
        self._file = folder / f"{name}-{_FILE}" if folder else None
        self._left = time.monotonic()
        self._writes = writes

    def restore(self, state: TrainingState, progress: Progress) -> None:
        """Put everything back in place where something was left; what cannot be read is told, and is as if it were not.

        Args:
            state: Of a training that has not begun.
            progress: Told of a file that is damaged.
        """
        if self._file is None or not self._file.is_file():
            return
        from safetensors import SafetensorError

        try:
            tensors, texts = read_tensors(self._file)
            told = json.loads(texts["state"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            progress.note(f"the checkpoint {self._file} cannot be read, so that this training starts anew: {error}")
            return
        begun = state.tensors(), state.told()
        try:
            state.restore(tensors, told)
        except _OF_ANOTHER_TRAINING as error:
            if out_of_memory(error):  # what was left is whole, for a run with more
                raise
            state.restore(*begun)
            why = first_line(error)
            progress.note(f"the checkpoint {self._file} is of another training, so that this one starts anew: {why}")

    def leave(self, state: TrainingState, *, now: bool = False) -> None:
        """Write the state, at most once a minute unless it has to be now; whole or not at all.

        Raises:
            EdgewrightError: when weights of it are not finite; what was left before stays.
        """
        if self._file is None or not self._writes or not (now or time.monotonic() - self._left >= _EVERY_S):
            return
        refuse_infinite(state.modules.values(), where=f"before step {state.steps} of {self._file.name}")
        write_tensors(self._file, state.tensors(), {"state": json.dumps(state.told())})
        self._left = time.monotonic()


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _laid_out_as(parameter: Tensor, values: Mapping[str, Any]) -> dict[str, Tensor]:
    """Those that belong element by element to the parameter, in its order in memory: fused optimisers rely on it."""
    alike = {name: value for name, value in values.items() if _is_tensor(value) and value.shape == parameter.shape}
    return {name: torch.empty_like(parameter, device=value.device).copy_(value) for name, value in alike.items()}


def _below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
