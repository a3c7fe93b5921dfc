"""What is said of a network whose channels cannot be pruned."""

from __future__ import annotations

from pipeline.errors import EdgewrightError

__all__ = ["unprunable"]


def unprunable(why: str) -> EdgewrightError:
    """The error of one, with the reason in a line."""
    return EdgewrightError(
        "this network's channels cannot be pruned", where="prune", got=why, fix="run without it: --skip prune"
    )
