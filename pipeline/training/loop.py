"""The training loop: one for fitting, distilling and recovering, on whatever devices there are."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from pipeline.errors import DataError, EdgewrightError
from pipeline.training.batch_norm import current_statistics, reestimate_batch_norm
from pipeline.training.checkpoint import Best, Checkpoints, TrainingState
from pipeline.training.curve import Epoch, best_of, epochs_no_better
from pipeline.training.divergence import finite_loss, refuse_infinite
from pipeline.training.draws import seed_step
from pipeline.training.hardware import fabric_for, layout_for, scaler_of
from pipeline.training.one_pixel import one_pixel_products
from pipeline.training.optimizer import moving_average, optimizer_of, peak_rate
from pipeline.training.order import Order
from pipeline.training.ranks import Ranks, peers_may_end
from pipeline.training.student_loss import TaughtLoss

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor

    from pipeline.progress import Progress, Ticker
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.mixed_sizes import MixedSizes
    from pipeline.training.schedule import Schedule
    from pipeline.training.validation import Validation

__all__ = ["BatchLoss", "train"]


class BatchLoss(Protocol):
    """The loss of a batch; one that is a module has parameters of its own, which are trained too."""

    def __call__(self, outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401 - whatever the task's networks answer
        """A scalar for the network's main answer, or that of an auxiliary head."""
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
    validation: Validation | None = None,
    mixed: MixedSizes | None = None,
) -> tuple[Epoch, ...]:
    """Train ``network`` in place; it ends in eval mode on the CPU, with batch-norm statistics of its final weights.

    Order of the images and dropout come from ``seed`` and the number of epoch and step, the pixels from the numbers of
    image and view: the same call gives the same bits on the same machine, killed and resumed or not. Started by
    ``torchrun``, each process takes its part of every step, and steps are as many times larger.

    Args:
        network: Is trained.
        images: It is trained on.
        schedule: How long and how fast.
        loss: Of a batch.
        seed: Of order and dropout.
        progress: Told of every step.
        description: For people; names the training within ``kept``.
        kept: Where the state is left at every epoch and every minute; None: nowhere.
        validation: Chooses the epoch whose weights are kept, and when to end; None: the last one.
        mixed: The images as they are met in the steps, where some of them are of another size.

    Returns:
        What each epoch came to.

    Raises:
        DataError: when there are too few images for one step.
        EdgewrightError: when loss or gradient is no longer finite: the step is named, and the network is as it was
            before it; when the network that comes out is not; or when a process that trains along has ended.
    """
    ranks = Ranks.here()
    fabric = fabric_for(schedule.precision, ranks)
    order = _order(images, schedule, seed, ranks, where=description)
    total = schedule.epochs * order.steps
    peak, rate = peak_rate(network, schedule), schedule.rate_at(total)
    layout = layout_for(network.to(fabric.device), images.first(2).to(fabric.device))
    network.train().to(memory_format=layout)  # type: ignore[call-overload]
    step = _Step(network, images.answers, loss, schedule)
    scaler = scaler_of(fabric)
    optimizer = optimizer_of(step, schedule, rate=peak, fused=scaler is None)
    average = moving_average(network, schedule.ema)
    learned = {"step": step} | ({"average": average} if average is not None else {})
    judged = network if average is None else average.module
    state = TrainingState(learned, optimizer, scaler)
    checkpoints = Checkpoints(kept, description.replace(" ", "-").replace("/", "-"), writes=ranks.first)
    with (
        torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []),
        progress.track(description, total) as ticker,
        peers_may_end(),
        _quick_convolutions(network, fabric.device, schedule),
    ):
        module, wrapped = fabric.setup(step, optimizer)
        if average is not None:
            average.to(fabric.device)
        checkpoints.restore(state, progress)
        _see_all_at(state.steps, ranks, where=description)
        ticker.advance(state.steps)
        while len(state.epochs) < schedule.epochs and not _is_over(state, schedule):
            number = len(state.epochs)
            indices = order.epoch(number, after=state.steps - number * order.steps)
            view = schedule.view_of(number)
            for batch in (mixed or images).batches(indices, schedule.batch_size, view=view, augment=schedule.augment):
                for group in optimizer.param_groups:
                    group["lr"] = peak * rate(state.steps)
                wrapped.zero_grad(set_to_none=True)
                seed_step(fabric.device, seed=seed, process=ranks.number, step=state.steps)
                value = module(_Whole(batch.on(fabric.device, layout)))
                fabric.backward(value)
                norm = fabric.clip_gradients(module, wrapped, max_norm=schedule.clip_norm, error_if_nonfinite=False)
                spoken = finite_loss(value, norm, scaler, ranks, where=f"{description}, step {state.steps}")
                wrapped.step()
                if average is not None:
                    average.update_parameters(network)
                state.steps += 1
                state.losses += spoken
                ticker.advance(status=f"loss {spoken:.3f}")
                checkpoints.leave(state)
            refuse_infinite(learned.values(), where=f"{description}, step {state.steps - 1}")
            _end_epoch(
                state,
                judged,
                order.steps,
                _score(judged, validation, images, schedule, ranks),
                ticker,
                rate=peak * rate(state.steps - 1),
            )
            if len(state.epochs) < schedule.epochs:
                checkpoints.leave(state, now=True)
    _take_over(network, judged, state)
    reestimate_batch_norm(network, images, batch_size=4 * schedule.batch_size)
    refuse_infinite([network], where=f"{description}, at its end")
    checkpoints.leave(state, now=True)
    network.to("cpu").to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return tuple(state.epochs)


def _order(images: TrainingImages, schedule: Schedule, seed: int, ranks: Ranks, *, where: str) -> Order:
    """What each step sees; an epoch of none would leave the network as it was, and call it trained."""
    order = Order(
        classes=images.classes, batch_size=schedule.batch_size, seed=seed, balanced=schedule.balanced, ranks=ranks
    )
    if not order.steps:
        raise DataError(
            "there are too few training images for one step",
            where=where,
            got=f"{len(images)} for {ranks.count} process(es)",
            expected="at least 2 for each process",
            fix="add training images, or let fewer processes train",
        )
    return order


def _quick_convolutions(network: nn.Module, device: torch.device, schedule: Schedule) -> AbstractContextManager[None]:
    """On CPUs; a compiler looks at convolutions itself."""
    if device.type != "cpu" or schedule.compiled:
        return nullcontext()
    return one_pixel_products(network)


class _Whole:
    """A batch that stays as it is: wrappers look for tensors in collections and records, and copy those they find."""

    __slots__ = ("batch",)

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _Step(nn.Module):
    """From a batch to its loss: one module, so that every wrapper around it sees all that is learned."""

    def __init__(
        self,
        network: nn.Module,
        answers: Callable[[nn.Module, Batch], Any],
        loss: BatchLoss,
        schedule: Schedule,
    ) -> None:
        super().__init__()
        self.network = network
        self._answers = answers
        self.loss = loss
        called: Any = torch.compile(network) if schedule.compiled else network
        self._called = (called,)  # a tuple: no second submodule
        self._auxiliary_weight = schedule.auxiliary_weight

    def forward(self, whole: _Whole) -> Tensor:
        """The loss of the main output, and the share of auxiliary classifiers where the network has some."""
        batch = whole.batch
        outputs = self._answers(self._called[0], batch)
        if not isinstance(outputs, tuple):
            return self.loss(outputs, batch)
        main, *auxiliary = outputs
        value = self.loss(main, batch)
        of_answer = self.loss.of_answer if isinstance(self.loss, TaughtLoss) else self.loss
        for other in auxiliary:
            value = value + self._auxiliary_weight * of_answer(other, batch)
        return value


def _see_all_at(steps: int, ranks: Ranks, *, where: str) -> None:
    """See that all processes go on from the same step; nobody writes before, what another one still reads.

    All of them find out: the others would wait for one that alone has ended by it.
    """
    found = ranks.gathered({ranks.number: steps})
    stray = next((number for number, own in found.items() if own != found[0]), None)
    if stray is not None:
        raise EdgewrightError(
            "the processes that train together do not find the same checkpoint",
            where=where,
            got=f"step {found[0]} in the first of them, step {found[stray]} in number {stray + 1}",
            fix="put the store on a disk that all of them see (EDGEWRIGHT_CACHE), and start the same command again",
        )


def _score(
    network: nn.Module, validation: Validation | None, images: TrainingImages, schedule: Schedule, ranks: Ranks
) -> float | None:
    """How good the network is as it would be given away after this epoch; None where nobody judges."""
    if validation is None:
        return None
    with current_statistics(network, images, batch_size=4 * schedule.batch_size):
        return ranks.as_the_first_says(validation.score(network))


def _end_epoch(
    state: TrainingState, network: nn.Module, steps: int, score: float | None, ticker: Ticker, *, rate: float
) -> None:
    """Note what the epoch came to, and at which rate it ended; remember the network where it is the best so far."""
    mean = state.losses / steps
    state.epochs.append(Epoch(steps=state.steps, loss=mean, learning_rate=rate, validation=score))
    state.losses = 0.0
    if score is None:
        return
    ticker.advance(0, status=f"loss {mean:.3f}, validation {100 * score:.2f} %")
    if best_of(state.epochs) == len(state.epochs) - 1:
        tensors = {key: tensor.detach().cpu().clone() for key, tensor in network.state_dict().items()}
        state.best = Best(len(state.epochs) - 1, tensors)


def _take_over(network: nn.Module, judged: nn.Module, state: TrainingState) -> None:
    """Give the network the weights that the training came to: those of the best epoch, or the last."""
    if state.best is not None:
        network.load_state_dict(state.best.tensors)
    elif judged is not network:
        network.load_state_dict(judged.state_dict())


def _is_over(state: TrainingState, schedule: Schedule) -> bool:
    """Whether patience has run out."""
    return schedule.patience is not None and epochs_no_better(state.epochs) >= schedule.patience
