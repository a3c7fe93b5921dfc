"""Whether trainings are asked for in bf16 on a CPU that does not multiply it, which makes each many times as long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.chain.asked_schedules import asked_schedules
from pipeline.environment import multiplies_bf16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.recipe import Recipe

__all__ = ["slow_bf16"]


def slow_bf16(recipe: Recipe, skipped: Mapping[str, str], *, comes_trained: bool = False) -> str | None:
    """One sentence with the keys of the recipe that ask for it; None where none does or bf16 is multiplied here.

    Nothing is said where the system does not tell what the CPU multiplies.

    Args:
        recipe: As the user gave it, with what the task fills in.
        skipped: The stages that are left out.
        comes_trained: Whether the network has weights, so that its baseline is trained only where they do not fit.
    """
    asked = [key for key, schedule in asked_schedules(recipe, skipped).items() if schedule.precision == "bf16"]
    if not asked or multiplies_bf16() is not False:  # asked first: PyTorch takes seconds to import
        return None
    import torch

    if torch.cuda.is_available():
        return None
    keys = " and ".join(f"{key}.precision" for key in asked)
    unsure = comes_trained and all(_is_of_baseline_alone(key, skipped) for key in asked)
    condition = ", should the weights not fit the data, so that the baseline is trained" if unsure else ""
    return (
        f"{keys}{condition}: this CPU does not multiply bf16, so that a training step takes many times as long as in "
        "float32 (8 to 14 times where it was measured); precision=auto takes float32 here"
    )


def _is_of_baseline_alone(key: str, skipped: Mapping[str, str]) -> bool:
    """Whether only the baseline is trained by a schedule: it has that of distill where it has none of its own."""
    return key.startswith("baseline.") or (key == "distill.schedule" and "distill" in skipped)
