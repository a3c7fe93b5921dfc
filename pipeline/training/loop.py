"""The training loop: one for fitting, distilling and recovering, on whatever device lightning-fabric finds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import nn

from pipeline.errors import EdgewrightError
from pipeline.training.batch_norm import reestimate_batch_norm
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.images import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from pipeline.progress import Progress
    from pipeline.training.images import TrainingImages
    from pipeline.training.schedule import Schedule

__all__ = ["BatchLoss", "train"]

_MOMENTA = (0.9, 0.99)
"""Second moments over a hundred steps instead of a thousand: a short training ends before those would have settled,
and a ResNet-50 from scratch then came out anywhere between 92 and 99 %."""


class BatchLoss(Protocol):
    """The loss of a batch; one that is a module has parameters of its own, which are trained too."""

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
    kept: Path | None = None,
) -> None:
    """Train ``network`` in place; it ends in eval mode on the CPU, with batch-norm statistics of its final weights.

    Order of the images and dropout come from ``seed`` alone, the pixels from the numbers of image and view: the same
    call gives the same bits on the same machine, killed and resumed or not.

    Args:
        network: Is trained.
        images: It is trained on.
        schedule: How long and how fast.
        loss: Of a batch.
        seed: Of order and dropout.
        progress: Told of every step.
        description: For people; names the training within ``kept``.
        kept: Where the state is left at every epoch and every minute; None: nowhere.

    Raises:
        EdgewrightError: when the loss is no longer finite; the step is named and the network is not usable.
    """
    fabric = Fabric(accelerator="auto", devices=1)
    optimizer = _optimizer(network, loss, schedule)
    full, rest = divmod(len(images), schedule.batch_size)
    an_epoch = full + (rest > 1)  # batch norm cannot learn from one image: a rest of one is left out
    steps = schedule.epochs * an_epoch
    rate = schedule.rate_at(steps)
    average = _average(network, schedule.ema)
    checkpoints = Checkpoints(kept, description.replace(" ", "-").replace("/", "-"))
    state = {"network": network, "loss": loss if isinstance(loss, nn.Module) else None, "average": average}
    with torch.random.fork_rng(), progress.track(description, steps) as ticker:
        torch.manual_seed(seed)
        module, wrapped = fabric.setup(network.train(), optimizer)
        for other in (state["loss"], average):
            if other is not None:
                other.to(fabric.device)
        done = checkpoints.restore(state, optimizer)
        ticker.advance(done)
        for epoch in range(done // max(1, an_epoch), schedule.epochs):
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
            order = order[(done - epoch * an_epoch) * schedule.batch_size :]
            view = schedule.view_of(epoch)
            for batch in images.batches(order, schedule.batch_size, view=view, augment=schedule.augment):
                if len(batch.indices) == 1:
                    continue
                for group in optimizer.param_groups:
                    group["lr"] = schedule.learning_rate * rate(done)
                here = _on(fabric, batch)
                value = _with_auxiliary(module(here.inputs), here, loss, schedule.auxiliary_weight)
                spoken = _finite(value, description, step=done)
                wrapped.zero_grad(set_to_none=True)
                fabric.backward(value)
                fabric.clip_gradients(module, wrapped, max_norm=schedule.clip_norm)
                wrapped.step()
                if average is not None:
                    average.update_parameters(network)
                done += 1
                ticker.advance(status=f"loss {spoken:.3f}")
                checkpoints.leave(done, state, optimizer)
            checkpoints.leave(done, state, optimizer, now=True)
    if average is not None:
        network.load_state_dict(average.module.state_dict())
    reestimate_batch_norm(network, images, batch_size=4 * schedule.batch_size)
    network.to("cpu").eval()


def _optimizer(network: nn.Module, loss: BatchLoss, schedule: Schedule) -> torch.optim.Optimizer:
    """Of the network's parameters and the loss's own; norms and biases, which have one dimension, do not decay."""
    parameters = [*network.parameters(), *(loss.parameters() if isinstance(loss, nn.Module) else ())]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    match schedule.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=_MOMENTA, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=schedule.learning_rate, betas=_MOMENTA, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True, fused=True)


def _average(network: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    if not decay:
        return None
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def _on(fabric: Fabric, batch: Batch) -> Batch:
    inputs, labels = fabric.to_device((batch.inputs, batch.labels))
    return Batch(indices=batch.indices, inputs=inputs, labels=labels, view=batch.view)


def _with_auxiliary(outputs: Tensor | tuple[Tensor, ...], batch: Batch, loss: BatchLoss, weight: float) -> Tensor:
    """The loss of the main output, and the share of auxiliary classifiers where the network has some."""
    if isinstance(outputs, torch.Tensor):
        return loss(outputs, batch)
    main, *auxiliary = outputs
    value = loss(main, batch)
    for other in auxiliary:
        value = value + weight * loss(other, batch)
    return value


def _finite(value: Tensor, description: str, *, step: int) -> float:
    """The loss as a number."""
    spoken = value.item()  # the one wait for the device in a step
    if not math.isfinite(spoken):
        raise EdgewrightError(
            "training diverged: the loss is no longer finite",
            where=f"{description}, step {step}",
            got=str(spoken),
            fix="lower the learning rate, for example --set distill.schedule.learning_rate=3e-4",
        )
    return float(spoken)
