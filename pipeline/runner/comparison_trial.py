"""What is to be compared inside student and teachers, tried before anybody is trained: is there anything that fits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.chain.keys import key_of
from pipeline.chain.teachers import is_file_of_answers
from pipeline.environment import versions
from pipeline.errors import UsageError
from pipeline.tasks.distillation.teaching import INSIDE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.chain.plan import Plan
    from pipeline.store import Store
    from pipeline.subject import Parts

__all__ = ["try_comparison"]

_VERSION = 1
_RECORDS = "comparisons"
_OF_CLASSIFIERS = {"features", "attention"}


@dataclass(frozen=True, slots=True)
class _Noise:
    """Inputs in place of training images: layers and heads are paired by their shapes."""

    shape: tuple[int, ...]

    def first(self, count: int) -> Tensor:
        """So many inputs, (count, channels, height, width)."""
        import torch

        return torch.randn(count, *self.shape[1:])


def try_comparison(plan: Plan, store: Store) -> None:
    """See that the losses of distill that look into the networks find something to compare in these.

    Args:
        plan: Of the run; each of its networks was tried alone before.
        store: Where it is remembered that they did.

    Raises:
        UsageError: when they do not.
    """
    teaching = plan.recipe.distill
    if "distill" in plan.skipped or not INSIDE & set(teaching.losses):
        return
    _see_the_same(plan)
    key = _key(plan)
    if store.get_record(_RECORDS, key) is not None:
        return
    import torch

    from pipeline.training.beside import Beside
    from pipeline.training.inside_losses import inside_losses

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        student = _network(plan.parts)
        texts = [text for text in teaching.teachers or () if not is_file_of_answers(text)]
        found = inside_losses(
            teaching,
            student,
            lambda: [_network(parts) for parts in plan.teachers],
            _Noise(plan.parts.preprocess.shape),
            [Beside(pairs=teaching.pairs_with(text)) for text in texts],
        )
    if found is not None:
        found.release()
    store.put_record(_RECORDS, key, {"losses": sorted(INSIDE & set(teaching.losses))})


def _see_the_same(plan: Plan) -> None:
    """See that what the student is fed can be normalised for each teacher, to which it is shown in each step.

    A detector looks at images of any size; what a classifier says of others than it was made for is another matter.
    """
    own, losses = plan.parts.preprocess, INSIDE & set(plan.recipe.distill.losses)
    for parts in plan.teachers:
        theirs = parts.preprocess
        alike: list[tuple[str, str, str]] = [("channels", own.channels, theirs.channels)]
        if _OF_CLASSIFIERS & losses:
            alike.append(("size", "x".join(map(str, own.size)), "x".join(map(str, theirs.size))))
        for key, fed, wanted in alike:
            if fed != wanted:
                raise UsageError(
                    "a teacher that runs beside its student is fed what the student is fed, and wants it otherwise",
                    where=parts.model.name,
                    got=f"{fed} for losses of {', '.join(sorted(losses))}",
                    expected=wanted,
                    fix=f"feed the student so with input.{key}, or leave these losses out",
                )


def _network(parts: Parts) -> nn.Module:
    from pipeline.models.build import build_network

    return build_network(parts.model, classes=len(parts.dataset.classes))


def _key(plan: Plan) -> str:
    pairs = plan.recipe.distill.pairs
    named: dict[str, Json] = {"pairs": dict(pairs)} if pairs else {}
    components: dict[str, Json] = named | {
        "stage": "comparison",
        "version": _VERSION,
        "models": [parts.model.identity() for parts in (plan.parts, *plan.teachers)],
        "classes": len(plan.parts.dataset.classes),
        "input": list(plan.parts.preprocess.shape),
        "losses": sorted(INSIDE & set(plan.recipe.distill.losses)),
        "versions": versions(("torch", "torchvision", "timm")),
    }
    return key_of(components)
