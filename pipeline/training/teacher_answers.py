"""What a teacher says of every view of every training image: asked once, kept small, used in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pipeline.training.hardware import fabric_for
from pipeline.training.ranks import Ranks
from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from pipeline.progress import Progress
    from pipeline.training.images import TrainingImages
    from pipeline.training.schedule import Augmentation

__all__ = ["ANSWERS_FILE", "TeacherAnswers", "ask"]

ANSWERS_FILE = "answers.safetensors"
_IMAGES_A_PASS = 128


@dataclass(frozen=True, slots=True)
class TeacherAnswers:
    """What is kept of a teacher's answers to every view of every image, in the task's own small form.

    Attributes:
        kept: By name, (images, views, ...): see :meth:`pipeline.tasks.Task.remembered`.
    """

    kept: Mapping[str, Tensor]

    @property
    def views(self) -> int:
        """How many of each image."""
        return int(next(iter(self.kept.values())).shape[1])

    def said(self, indices: Tensor, view: int) -> dict[str, Tensor]:
        """What is kept of one view, by name, (batch, ...).

        Args:
            indices: Which images, (batch,).
            view: Which view; taken around where there are fewer.
        """
        view %= self.views
        return {name: tensor[indices, view] for name, tensor in self.kept.items()}

    def save(self, folder: Path) -> None:
        """Write :data:`ANSWERS_FILE`."""
        write_tensors(folder / ANSWERS_FILE, self.kept, {})

    @classmethod
    def load(cls, folder: Path) -> TeacherAnswers:
        """Inverse of :meth:`save`."""
        tensors, _ = read_tensors(folder / ANSWERS_FILE)
        return cls(tensors)

    @classmethod
    def joined(cls, parts: Sequence[Mapping[str, Tensor]], dim: int) -> TeacherAnswers:
        """Of several images (``dim`` 0) or views (1) one after the other."""
        return cls({name: torch.cat([part[name] for part in parts], dim=dim) for name in parts[0]})


def ask(  # noqa: PLR0913 - whom, about what, how
    network: nn.Module,
    read: Callable[[Any], Any],
    images: TrainingImages,
    *,
    views: int,
    augment: Sequence[Augmentation],
    batch_size: int = _IMAGES_A_PASS,
    precision: str = "auto",
    progress: Progress,
    kept: Path | None = None,
) -> TeacherAnswers:
    """Ask a network about every view of every training image; processes that train together share the views.

    Args:
        network: Is left in evaluation mode on the CPU.
        read: From its outputs to what the losses take.
        images: Of the training.
        views: How many of each image.
        augment: What changes from view to view.
        batch_size: Images a pass; larger is quicker while it fits the memory.
        precision: As in a schedule.
        progress: Told of every image.
        kept: Folder where each finished view is left, so that a killed run goes on with the next one.
    """
    ranks = Ranks.here()
    fabric = fabric_for(precision, ranks)
    module = network.to(fabric.device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    found: dict[int, TeacherAnswers] = {}
    numbers = ranks.own(range(views))
    with torch.no_grad(), progress.track("asking the teacher", len(numbers) * len(images)) as ticker:
        for view in numbers:
            place = kept / f"view-{view}" if kept else None
            if place is not None and (place / ANSWERS_FILE).is_file():
                found[view] = TeacherAnswers.load(place)
                ticker.advance(len(images))
                continue
            rows = []
            for batch in images.batches(torch.arange(len(images)), batch_size, view=view, augment=augment):
                with fabric.autocast():
                    said = images.remembered(module, batch.on(fabric.device), read)
                rows.append({name: tensor.cpu()[:, None] for name, tensor in said.items()})
                ticker.advance(len(batch.inputs))
            found[view] = TeacherAnswers.joined(rows, dim=0)
            if place is not None:
                place.mkdir(exist_ok=True)
                found[view].save(place)
    network.to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    whole = ranks.gathered(found)
    return TeacherAnswers.joined([whole[view].kept for view in range(views)], dim=1)
