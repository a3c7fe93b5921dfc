"""What a teacher says of every view of every training image: asked once, kept small, used in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pipeline.training.hardware import fabric_for, layout_for
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
_IMAGES_A_PIECE = 4096
"""Of one view: what a killed run has to ask again at most."""


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
        tensors, _ = read_tensors(folder / ANSWERS_FILE, sealed=False)  # the store has vouched for it
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
    progress: Progress,
    kept: Path | None = None,
) -> TeacherAnswers:
    """Ask a network about every view of every training image; processes that train together share the pieces.

    It computes in float32 whatever students are trained in: what it says is kept for all of them.

    Args:
        network: Is left in evaluation mode on the CPU.
        read: From its outputs to what the losses take.
        images: Of the training.
        views: How many of each image.
        augment: What changes from view to view.
        batch_size: Images a pass; larger is quicker while it fits the memory.
        progress: Told of every image.
        kept: Folder where each finished piece is left, so that a killed run goes on with the next one.
    """
    ranks = Ranks.here()
    device = fabric_for("float32", ranks).device
    layout = layout_for(network.to(device), images.first(2).to(device))
    module = network.to(memory_format=layout).eval()  # type: ignore[call-overload]
    chunks: tuple[Tensor, ...] = torch.split(torch.arange(len(images)), _IMAGES_A_PIECE)
    pieces = [(view, chunk) for view in range(views) for chunk in chunks]
    numbers = ranks.own(range(len(pieces)))
    found: dict[int, Mapping[str, Tensor]] = {}
    with torch.no_grad(), progress.track("asking the teacher", sum(len(pieces[one][1]) for one in numbers)) as ticker:
        for number in numbers:
            view, chunk = pieces[number]
            place = kept / f"view-{view}-from-{int(chunk[0])}.safetensors" if kept else None
            piece = _left(place, progress)
            if piece is None:
                rows = []
                for batch in images.batches(chunk, batch_size, view=view, augment=augment):
                    said = images.remembered(module, batch.on(device, layout), read)
                    rows.append({name: tensor.cpu()[:, None] for name, tensor in said.items()})
                    ticker.advance(len(batch.inputs))
                piece = TeacherAnswers.joined(rows, dim=0).kept
                if place is not None:
                    write_tensors(place, piece, {})
            else:
                ticker.advance(len(chunk))
            found[number] = piece
    network.to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    whole = ranks.gathered(found)
    by_view = [range(len(chunks) * view, len(chunks) * (view + 1)) for view in range(views)]
    each = [TeacherAnswers.joined([whole[number] for number in several], dim=0).kept for several in by_view]
    return TeacherAnswers.joined(each, dim=1)


def _left(place: Path | None, progress: Progress) -> Mapping[str, Tensor] | None:
    """What an earlier run left of a piece; what cannot be read is told, and asked again."""
    from safetensors import SafetensorError

    if place is None or not place.is_file():
        return None
    try:
        return read_tensors(place)[0]
    except (OSError, SafetensorError, ValueError) as error:
        progress.note(f"{place} cannot be read, so that its teacher is asked again: {error}")
        return None
