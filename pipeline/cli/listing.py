"""The commands that list what there is."""

from __future__ import annotations

import typer

__all__ = ["COMMANDS"]


def models() -> None:
    """List the models that can be named.

    A file of your own is named path/to/file.py:factory or path/to/model.onnx.
    """
    from pipeline.models.names import timm_classifiers, torchvision_classifiers

    found = timm_classifiers()
    for name in (*torchvision_classifiers(), *found):
        typer.echo(name)
    if not found:
        typer.echo("timm/NAME needs the extra: pip install 'edgewright[timm]'", err=True)


def targets() -> None:
    """List where a bundle can run, and what is missing here."""
    from pipeline.catalog import TARGETS, target_named

    for name in TARGETS:
        target = target_named(name)
        state = target.missing() or (f"can be built here, not run: {why}" if (why := target.cannot_run()) else None)
        typer.echo(f"{name:<14} {target.description:<36} {state or 'can be built here'}")


COMMANDS = (models, targets)
