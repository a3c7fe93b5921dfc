"""Damaged input ends a command by one clear error, or is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.reliability.edits import changed
from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Ended

__all__ = ["mutated_networks", "mutated_recipes", "unclear"]

_DOCUMENTED = frozenset(range(2, 9))
_OF_DATA = ("--data", "colours", "--set", "input.size=16", "--set", "input.mean=0.5", "--set", "input.std=0.25")


def mutated_networks(campaign: Campaign, tries: int) -> Outcome:
    """Change bytes of the bundle's ONNX file and let it be read as a user's model, as far as a plan is made."""
    job = campaign.job
    promise = "A mutated ONNX file is read, or refused by one error with a documented exit code"
    with timed(promise, campaign.shown) as outcome:
        content = next(campaign.bundle.glob("*.onnx")).read_bytes()
        typed = []
        for number in range(tries):
            name = f"mutated-{number}.onnx"
            (job.folder / name).write_bytes(changed(content, campaign.chance(f"onnx {number}")))
            typed.append(("explain", name, *_OF_DATA))
        _judge(outcome, [command[1] for command in typed], job.many(job.folder / "mutated", typed))
    return outcome


def mutated_recipes(campaign: Campaign, tries: int) -> Outcome:
    """Change bytes of the recipe and let it be read, as far as a plan is made."""
    job = campaign.job
    promise = "A mutated recipe is read, or refused by one error with a documented exit code"
    with timed(promise, campaign.shown) as outcome:
        content = (job.folder / "recipe.yaml").read_bytes()
        typed = []
        for number in range(tries):
            name = f"mutated-{number}.yaml"
            (job.folder / name).write_bytes(changed(content, campaign.chance(f"recipe {number}")))
            typed.append(("explain", "--recipe", name))
        _judge(outcome, [command[2] for command in typed], job.many(job.folder / "mutated", typed))
    return outcome


def _judge(outcome: Outcome, names: list[str], ends: list[Ended]) -> None:
    for name, end in zip(names, ends, strict=True):
        outcome.tried(unclear(end) and f"{name}: {unclear(end)}")


def unclear(end: Ended) -> str | None:
    """What is wrong with the end of a command that read something damaged: anything but success or one clear error."""
    one_error = end.code in _DOCUMENTED and end.err.count("error: ") == 1 and "Traceback" not in end.err
    return None if end.code == 0 or one_error else f"ended with {end.code}: {end.err.strip()[-400:]!r}"
