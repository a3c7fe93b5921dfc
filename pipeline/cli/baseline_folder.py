"""The option --baselines of commands that hold what they make against accepted baselines."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path

import typer

__all__ = ["BASELINES", "baseline_folder"]

BASELINES = typer.Option(
    "--baselines",
    help="Accepted baselines; where there is one of a case, it is the yardstick. Default: baselines, if it is there.",
)


def baseline_folder(typed: Path | None) -> Path:
    """The folder of accepted baselines: the usual one need not be there.

    Args:
        typed: What was typed, None for nothing.

    Raises:
        UsageError: when what was typed is no folder: no gate would be run, and nobody told.
    """
    from pipeline.errors import UsageError
    from pipeline.gate.baselines.shelf import DEFAULT_ROOT

    if typed is not None and not typed.is_dir():
        raise UsageError(
            "there is no such folder of baselines",
            where="--baselines",
            got=str(typed),
            fix="name one that `edgewright baseline accept` wrote, or leave --baselines away",
        )
    return typed or DEFAULT_ROOT
