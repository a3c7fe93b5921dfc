"""``edgewright``: the commands and how they end. Heavy libraries come in within the command that needs them."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli import (
    baselines,
    bundles,
    comparing,
    deploying,
    devices,
    doctor,
    explaining,
    fleets,
    gating,
    listing,
    measuring,
    preprocessing,
    self_testing,
    sharing,
    storing,
)
from pipeline.cli.failures import end_well, guarded
from pipeline.threads import rest_between_work

__all__ = ["app", "main"]

_HELP = """A trained PyTorch vision model in; a small, fast, verified bundle for one device out.

\b
Start here:
  edgewright deploy resnet50                       everything, on embedded data: no download, no GPU
  edgewright deploy resnet50 --data my_photos      on your images: train/<class>/*, val/<class>/*
  edgewright deploy net.py:build --weights w.pth --data my_photos --skip distill,prune
                                                   your trained network: only INT8, ONNX, runtime
  edgewright deploy model.onnx --data my_photos    the same from an ONNX file, whoever exported it
  edgewright deploy resnet18 --data my_photos --teacher resnet101 --teacher vgg16
                                                   one small network learns from several large ones
\b
Then:
  edgewright explain resnet50                      what would run again, and why
  python deployments/resnet50/ort-cpu/bundle/run.py photo.jpg
"""

app = typer.Typer(
    name="edgewright", help=_HELP, rich_markup_mode=None, no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip

_COMMANDS = (
    deploying, explaining, comparing, preprocessing, fleets, measuring, gating, self_testing, bundles, listing, doctor,
    sharing,
)  # fmt: skip
for command in (command for module in _COMMANDS for command in module.COMMANDS):
    app.command(name=command.__name__.rstrip("_"))(guarded(command))
app.add_typer(baselines.baseline_app)
app.add_typer(devices.device_app)
app.add_typer(storing.store_app)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"edgewright {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command; both are seen to elsewhere."""


def main() -> None:
    """The console script."""
    rest_between_work()
    logging.captureWarnings("--debug" not in sys.argv)  # a library's warnings are for its users: the code, not a person
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    end_well(lambda: app(args=arguments), debug="--debug" in sys.argv)  # what no command sees: --help on a full disk
