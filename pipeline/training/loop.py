"""The training loop: one for fitting, distilling and recovering, on whatever device lightning-fabric finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from lightning_fabric import Fabric

from pipeline.errors import EdgewrightError
from pipeline.training.batch_norm import reestimate_batch_norm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.progress import Progress
    from pipeline.training.images import TrainingImages
    from pipeline.training.schedule import Schedule

__all__ = ["Batch", "BatchLoss", "answers", "train"]

_MOMENTA = (0.9, 0.99)
"""Second moments over a hundred steps instead of a thousand: a short training ends before those would have settled,
and a ResNet-50 from scratch then came out anywhere between 92 and 99 %."""


class Batch:
    """One batch on the training device.

    Attributes:
        indices: Which images of the split these are, (batch,).
        inputs: As the network sees them, augmented, (batch, 3, height, width).
        labels: (batch,).
    """

    __slots__ = ("indices", "inputs", "labels")

    def __init__(self, indices: Tensor, inputs: Tensor, labels: Tensor) -> None:
        self.indices, self.inputs, self.labels = indices, inputs, labels


class BatchLoss(Protocol):
    """The loss of a batch."""

    def __call__(self, outputs: Tensor, batch: Batch) -> Tensor:
        """A scalar for the network's outputs, (batch, ...)."""
        ...


def train(  # noqa: PLR0913 - what, on what, how; the rest by keyword
    network: nn.Module,
    images: TrainingImages,
    schedule: Schedule,
    loss: BatchLoss,
    *,
    seed: int,
    progress: Progress,
    description: str,
) -> None:
    """Train ``network`` in place; it ends in eval mode on the CPU, with batch-norm statistics of its final weights.

    Order of the images, augmentation and dropout come from ``seed`` alone: the same call gives the same bits on the
    same machine.

    Raises:
        EdgewrightError: when the loss is no longer finite; the step is named and the network is not usable.
    """
    fabric = Fabric(accelerator="auto", devices=1)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, betas=_MOMENTA, weight_decay=schedule.weight_decay, fused=True
    )
    full, rest = divmod(len(images), schedule.batch_size)
    steps = schedule.epochs * (full + (rest > 1))  # batch norm cannot learn from one image: a rest of one is left out
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.rate_at(steps))
    with torch.random.fork_rng(), progress.track(description, steps) as ticker:
        torch.manual_seed(seed)
        module, wrapped = fabric.setup(network.train(), optimizer)
        for _ in range(schedule.epochs):
            order = torch.randperm(len(images), generator=generator)
            for indices, inputs, labels in images.batches(order, schedule.batch_size):
                if len(indices) == 1:
                    continue
                inputs = _augmented(inputs, schedule, generator)  # noqa: PLW2901 - the batch as it is seen
                batch = Batch(*fabric.to_device((indices, inputs, labels)))
                value = _with_auxiliary(module(batch.inputs), batch, loss, schedule.auxiliary_weight)
                _check_finite(value, description, step=rate.last_epoch)
                wrapped.zero_grad(set_to_none=True)
                fabric.backward(value)
                fabric.clip_gradients(module, wrapped, max_norm=schedule.clip_norm)
                wrapped.step()
                rate.step()
                ticker.advance(status=f"loss {value.item():.3f}")
    reestimate_batch_norm(network, images, batch_size=4 * schedule.batch_size)
    network.to("cpu").eval()


def _with_auxiliary(outputs: Tensor | tuple[Tensor, ...], batch: Batch, loss: BatchLoss, weight: float) -> Tensor:
    """The loss of the main output, and the share of auxiliary classifiers where the network has some."""
    if isinstance(outputs, torch.Tensor):
        return loss(outputs, batch)
    main, *auxiliary = outputs
    value = loss(main, batch)
    for other in auxiliary:
        value = value + weight * loss(other, batch)
    return value


def answers(network: nn.Module, images: TrainingImages, *, batch_size: int, progress: Progress) -> Tensor:
    """The network's outputs for every training image in the split's order, (images, ...), computed once."""
    fabric = Fabric(accelerator="auto", devices=1)
    module = network.to(fabric.device).eval()
    rows = []
    with torch.no_grad(), progress.track("asking the teacher", len(images)) as ticker:
        for _, inputs, _ in images.batches(torch.arange(len(images)), batch_size):
            rows.append(module(fabric.to_device(inputs)).cpu())
            ticker.advance(len(inputs))
    network.to("cpu")
    return torch.cat(rows)


def _augmented(inputs: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    if "flip" in schedule.augment:
        mirrored = torch.rand(len(inputs), generator=generator) < 0.5
        inputs = torch.where(mirrored[:, None, None, None], inputs.flip(-1), inputs)
    if "shift" in schedule.augment:
        reaches = [max(1, side // 8) for side in inputs.shape[-2:]]
        down, right = (int(torch.randint(-reach, reach + 1, (), generator=generator)) for reach in reaches)
        inputs = inputs.roll((down, right), dims=(-2, -1))
    return inputs


def _check_finite(value: Tensor, description: str, *, step: int) -> None:
    if not bool(torch.isfinite(value)):
        raise EdgewrightError(
            "training diverged: the loss is no longer finite",
            where=f"{description}, step {step}",
            got=str(value.item()),
            fix="lower the learning rate, for example --set distill.schedule.learning_rate=3e-4",
        )
