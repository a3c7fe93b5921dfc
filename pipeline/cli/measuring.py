"""The command that measures one bundle alone: measure."""

# No `from __future__ import annotations` here: see options.py.

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.bundle_options import AFFINITY, BUNDLE, DATA, THREADS, images_of
from pipeline.cli.cores import cores_of
from pipeline.cli.options import DEVICE, JSON

__all__ = ["COMMANDS"]


def measure(
    bundle: Annotated[Path, BUNDLE],
    data: Annotated[str | None, DATA] = None,
    threads: Annotated[int | None, THREADS] = None,
    affinity: Annotated[str | None, AFFINITY] = None,
    device: Annotated[str | None, DEVICE] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three processes instead of ten.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the record with all samples as JSON.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Measure one bundle alone, in fresh processes.

    Latency, cold start, memory by phase, accuracy.

    \b
    edgewright measure deployments/resnet50/ort-cpu/bundle --threads 1 --out record.json
    edgewright measure deployments/resnet50/ort-cpu/bundle --device pi
    """  # noqa: D301 - click's
    from benchmarks.solo import FULL, QUICK
    from exporters.bundle import read_bundle
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.devices.device import reached
    from pipeline.measuring.bundle_measurement import measure_bundle
    from pipeline.measuring.bundle_measurement_texts import measurement_rows
    from pipeline.store import room_for, write_atomically

    found = read_bundle(bundle)
    dataset = images_of(found, data)
    with reached(device, progress()) as there:
        measured = measure_bundle(
            found,
            dataset,
            QUICK if quick else FULL,
            progress(),
            threads=threads,
            affinity=cores_of(affinity, there),
            device=there,
        )
    if out is not None:
        text = json.dumps(measured.to_json(), allow_nan=False) + "\n"
        with room_for("the record", out, len(text), fix="free some space, or choose another --out"):
            write_atomically(out, text)
    if as_json:
        from pipeline.cli.documents import measure_document, print_document

        print_document(measure_document(measured))
        return
    place = f", measured on {device}" if device else ""
    say(f"{found.manifest['model']} for {found.manifest['target']}, {found.manifest['precision']}{place}", markup=False)
    out_console().print(table(("figure", "value"), measurement_rows(measured)))
    for warning in (*measured.solo.warnings(), *measured.doubts):
        say(f"  note: {warning}", markup=False)
    if there is not None:
        say(f"  sent to {device}: {there.sent}", markup=False)
    if out is not None:
        say(f"  {out}", markup=False)


COMMANDS = (measure,)
