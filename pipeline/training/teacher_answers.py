"""What a teacher says of every view of every training image: asked once, kept small, used in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.training.hardware import fabric_for
from pipeline.training.ranks import Ranks
from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from pipeline.progress import Progress
    from pipeline.training.images import TrainingImages
    from pipeline.training.schedule import Augmentation

__all__ = ["ANSWERS_FILE", "TeacherAnswers", "ask"]

ANSWERS_FILE = "answers.safetensors"
_IMAGES_A_PASS = 128
_ALL_UP_TO = 100
"""With at most so many classes every logit is kept, with more the largest so many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherAnswers:
    """Logits of every view of every image, in 16 bits relative to the largest.

    With more than 100 classes the hundred largest are kept, and the others share alike what probability is left: that
    is then what the teacher is taken to say.

    Attributes:
        logits: float16, (images, views, kept); the largest of each is 0.
        places: Which class each logit is of, int32, of the same shape; None where every class is kept, in order.
        rest: What every other class has, float16 (images, views); None likewise.
        classes: How many there are.
    """

    logits: Tensor
    places: Tensor | None
    rest: Tensor | None
    classes: int

    @property
    def views(self) -> int:
        """How many of each image."""
        return int(self.logits.shape[1])

    @classmethod
    def of(cls, logits: Tensor) -> TeacherAnswers:
        """Made small.

        Args:
            logits: (images, views, classes).
        """
        classes = logits.shape[2]
        logits = logits.float()
        logits = logits - logits.amax(dim=2, keepdim=True)
        if classes <= _ALL_UP_TO:
            return cls(logits=logits.half(), places=None, rest=None, classes=classes)
        largest, places = logits.topk(_ALL_UP_TO, dim=2)
        left = logits.scatter(2, places, -torch.inf).logsumexp(dim=2) - torch.tensor(classes - _ALL_UP_TO).log()
        return cls(logits=largest.half(), places=places.int(), rest=left.half(), classes=classes)

    def said(self, indices: Tensor, view: int) -> Tensor:
        """The logits of one view, float32 (batch, classes).

        Args:
            indices: Which images, (batch,).
            view: Which view; taken around where there are fewer.
        """
        view %= self.views
        logits = self.logits[indices, view].float()
        if self.places is None or self.rest is None:
            return logits
        whole = self.rest[indices, view].float()[:, None].expand(-1, self.classes)
        return whole.scatter(1, self.places[indices, view].long(), logits)

    def save(self, folder: Path) -> None:
        """Write :data:`ANSWERS_FILE`."""
        tensors = {"logits": self.logits, "places": self.places, "rest": self.rest}
        there = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        write_tensors(folder / ANSWERS_FILE, there, {"classes": str(self.classes)})

    @classmethod
    def load(cls, folder: Path) -> TeacherAnswers:
        """Inverse of :meth:`save`."""
        tensors, texts = read_tensors(folder / ANSWERS_FILE)
        return cls(
            logits=tensors["logits"],
            places=tensors.get("places"),
            rest=tensors.get("rest"),
            classes=int(texts["classes"]),
        )


def ask(  # noqa: PLR0913 - whom, about what, how
    network: nn.Module,
    read: Callable[[Tensor], Tensor],
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
        read: From its outputs to logits.
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
                    outputs = module(batch.on(fabric.device).inputs)
                rows.append(read(outputs.float()).cpu())
                ticker.advance(len(batch.inputs))
            found[view] = TeacherAnswers.of(torch.cat(rows)[:, None])
            if place is not None:
                place.mkdir(exist_ok=True)
                found[view].save(place)
    network.to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    whole = ranks.gathered(found)
    ordered = [whole[view] for view in range(views)]
    return TeacherAnswers(
        logits=torch.cat([one.logits for one in ordered], dim=1),
        places=_joined([one.places for one in ordered]),
        rest=_joined([one.rest for one in ordered]),
        classes=ordered[0].classes,
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there, dim=1) if there else None
