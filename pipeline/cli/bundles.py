"""The commands that have to do with what a run left: report, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["COMMANDS"]


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with a report.json.", show_default=False)],
) -> None:
    """Write report.md and report.html anew from DIR/report.json."""
    from pipeline.cli.console import say
    from pipeline.report.render import read_report, write_reports

    for path in write_reports(read_report(folder), folder if folder.is_dir() else folder.parent):
        say(str(path), markup=False)


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with a manifest.json.", show_default=False)],
) -> None:
    """Check a bundle against its manifest, byte for byte.

    Exit code 6 when it is not what the manifest says.
    """
    from exporters.bundle import read_bundle
    from pipeline.cli.console import say

    found = read_bundle(bundle)
    say(f"intact  sha256 {found.sha256}", markup=False)


COMMANDS = (report, verify)
