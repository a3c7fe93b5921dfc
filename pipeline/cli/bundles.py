"""The commands that have to do with what a run left: report, verify."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import JSON

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
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Check a bundle against its manifest, byte for byte.

    Exit code 6 when it is not what the manifest says.
    """
    from exporters.bundle import read_bundle
    from pipeline.cli.console import say

    found = read_bundle(bundle)
    if as_json:
        from pipeline.cli.documents import VerifyDocument, print_document

        told = {name: found.manifest[name] for name in ("model", "target", "precision")}
        print_document(VerifyDocument(sha256=found.sha256, files=len(found.manifest["files"]), **told))
        return
    say(f"intact  sha256 {found.sha256}", markup=False)


COMMANDS = (report, verify)
