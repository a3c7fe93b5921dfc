"""The commands that list what there is."""

# No `from __future__ import annotations` here: see options.py.

from typing import Annotated

import typer

from pipeline.cli.options import JSON

__all__ = ["COMMANDS"]


def models(as_json: Annotated[bool, JSON] = False) -> None:
    """List the models that can be named.

    A file of your own is named path/to/file.py:factory or path/to/model.onnx.
    """
    from pipeline.models.names import timm_classifiers, torchvision_classifiers, torchvision_detectors, yolo_detectors

    torchvision, found = (*torchvision_classifiers(), *torchvision_detectors()), timm_classifiers()
    yolo = yolo_detectors()
    if as_json:
        from pipeline.cli.documents import ModelsDocument, print_document

        print_document(ModelsDocument(torchvision=torchvision, timm=found, yolo=yolo))
        return
    for name in (*torchvision, *found, *yolo):
        typer.echo(name)
    if not found:
        typer.echo("timm/NAME needs the extra: pip install 'edgewright[timm]'", err=True)


def targets(as_json: Annotated[bool, JSON] = False) -> None:
    """List where a bundle can run, and what is missing here."""
    from pipeline.catalog import TARGETS
    from pipeline.doctor import state_of_target

    states = tuple(map(state_of_target, TARGETS))
    if as_json:
        from pipeline.cli.documents import TargetsDocument, print_document, target_entry

        print_document(TargetsDocument(targets=tuple(map(target_entry, states))))
        return
    for state in states:
        why = f"can be built here, not run: {state.cannot_run}" if state.cannot_run else "can be built here"
        typer.echo(f"{state.name:<14} {state.description:<36} {state.missing or why}")


COMMANDS = (models, targets)
