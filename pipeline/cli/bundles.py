"""The commands that have to do with what a run left: report, sign, verify."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.bundle_options import BUNDLE
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


def sign(
    bundle: Annotated[Path, BUNDLE],
    key: Annotated[Path, typer.Option("--key", help="Ed25519 private key, PEM.", show_default=False)],
) -> None:
    """Sign a bundle with a key of yours.

    The signature goes into the bundle, as signature.dsse.json; its identity stays. A later deploy publishes an unsigned
    bundle.

    \b
    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out pub.pem
    edgewright sign deployments/resnet50/ort-cpu/bundle --key key.pem
    edgewright verify deployments/resnet50/ort-cpu/bundle --require-signature --key pub.pem
    """  # noqa: D301 - click's
    from exporters.signature import sign as run
    from pipeline.cli.console import say

    say(f"signed  by the key {run(bundle, key)}", markup=False)


def verify(
    bundle: Annotated[Path, BUNDLE],
    require_signature: Annotated[
        bool, typer.Option("--require-signature", help="Refuse it unless it was signed with the key.")
    ] = False,
    key: Annotated[Path | None, typer.Option("--key", help="Ed25519 public key, PEM, for --require-signature.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Check a bundle against its manifest, byte for byte.

    Exit code 6 when it is not what the manifest says, or not signed with the key that is required.
    """
    from exporters.bundle import read_bundle
    from pipeline.cli.console import say

    _check_asked(key, required=require_signature)
    found = read_bundle(bundle)
    signer = found.signer
    if key is not None:
        from exporters.signature import check_signature

        signer = check_signature(found, key)
    if as_json:
        from pipeline.cli.documents import VerifyDocument, print_document

        told = {name: found.manifest[name] for name in ("model", "target", "precision")}
        files = len(found.manifest["files"])
        print_document(
            VerifyDocument(sha256=found.sha256, files=files, signer=signer, signature_checked=key is not None, **told)
        )
        return
    say(f"intact  sha256 {found.sha256}", markup=False)
    if signer is not None:
        checked = "" if key is not None else ", which was not checked: --require-signature --key PUBLIC does"
        say(f"signed  by the key {signer}{checked}", markup=False)


def _check_asked(key: Path | None, *, required: bool) -> None:
    """A key without the demand would let a bundle pass whose signature was taken away; a demand needs to know whose."""
    from pipeline.errors import UsageError

    if required != (key is not None):
        raise UsageError(
            "--require-signature and --key belong together",
            got="--require-signature alone" if required else "--key alone",
            fix="edgewright verify BUNDLE --require-signature --key pub.pem",
        )


COMMANDS = (report, sign, verify)
