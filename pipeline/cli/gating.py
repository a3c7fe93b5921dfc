"""The command that says whether a bundle is worse than another one: gate."""

# No `from __future__ import annotations` here: see options.py.

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.bundle_options import AFFINITY, DATA, THREADS, check_there, images_of
from pipeline.cli.cores import cores_of
from pipeline.cli.gate_options import effort_help, gate_options
from pipeline.cli.options import DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.bundle import Bundle
    from pipeline.devices.device import Device
    from pipeline.gate.two_bundles import GateOptions
    from pipeline.report import Report
    from pipeline.report.comparison import Comparison

__all__ = ["COMMANDS"]


def gate(
    baseline: Annotated[
        Path,
        typer.Argument(metavar="BASELINE", help="A bundle, or a folder of accepted baselines.", show_default=False),
    ],
    candidate: Annotated[
        Path,
        typer.Argument(
            metavar="CANDIDATE", help="A bundle; or, beside baselines, a folder of them.", show_default=False
        ),
    ],
    data: Annotated[str | None, DATA] = None,
    quick: Annotated[bool, typer.Option("--quick", help=effort_help("quick"))] = False,
    strict: Annotated[bool, typer.Option("--strict", help=effort_help("strict"))] = False,
    margin: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="NAME=VALUE", help="Such as latency_p50=3% or accuracy=0.005; repeatable."),
    ] = None,
    threads: Annotated[int | None, THREADS] = None,
    affinity: Annotated[str | None, AFFINITY] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for report.json, .html, .md and junit.xml.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of orders and draws.")] = 0,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="End with 0 where nothing could be shown.")
    ] = False,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Say whether CANDIDATE is worse than BASELINE.

    Both run side by side in the same processes: is it slower, bigger or less accurate by more than a margin?

    \b
    edgewright gate old/bundle new/bundle
    edgewright gate baselines/ deployments/resnet50/ort-cpu/bundle --out gate/
    edgewright gate baselines/ deployments/          every accepted case; a missing one fails
    edgewright gate old/bundle new/bundle --device pi

    \b
    Exit code: 0 ok or improved, 1 regressed, 2 usage, 3 inconclusive, 4 machine unfit,
    5 no baseline, 6 damaged, 7 disk or memory, 8 accuracy or parity.
    """  # noqa: D301 - click's
    from pipeline.cli.console import progress
    from pipeline.devices.device import reached
    from pipeline.errors import UsageError

    if quick and strict:
        raise UsageError("--quick and --strict exclude each other", fix="leave one of them out")
    with reached(device, progress()) as there:
        options = gate_options(
            effort="strict" if strict else "quick" if quick else "default",
            margins=margin or [],
            threads=threads,
            affinity=cores_of(affinity, there),
            seed=seed,
            place=there,
        )
        if (baseline / "manifest.json").is_file():
            codes = [_gate_pair(baseline, candidate, data, options, out, there)]
        else:
            codes = _gate_accepted(baseline, candidate, data, options, out, there)
    code = min(codes, key=(8, 1, 4, 3, 0).index)
    raise typer.Exit(0 if allow_inconclusive and code == 3 else code)


def _gate_pair(
    baseline: Path,
    candidate: Path,
    data: str | None,
    options: "GateOptions",
    out: Path | None,
    device: "Device | None" = None,
) -> int:
    from exporters.bundle import read_bundle
    from pipeline.cli.console import progress
    from pipeline.gate.report import report_of_comparison
    from pipeline.gate.two_bundles import gate as run

    first, second = read_bundle(baseline), read_bundle(candidate)
    check_there(device, first, second)
    dataset = images_of(first, data)
    found = run(first, second, dataset, options, progress())
    _tell([found], report_of_comparison(second, found, dataset, options.place), out, device)
    _annotate({"": [found]})
    return found.exit_code


def _gate_accepted(
    root: Path,
    candidate: Path,
    data: str | None,
    options: "GateOptions",
    out: Path | None,
    device: "Device | None" = None,
) -> list[int]:
    """Every candidate against its case's accepted baseline; a case without a candidate fails."""
    from exporters.bundle import read_bundle
    from pipeline.cli.console import progress
    from pipeline.errors import BaselineError, UsageError
    from pipeline.gate.against_baselines import judge
    from pipeline.gate.baselines.shelf import Shelf, case_of
    from pipeline.gate.report import report_of_judgement

    shelf = Shelf(root).of(options.place)
    if not root.is_dir():
        raise BaselineError(
            "neither a bundle nor a folder of baselines",
            where=str(root),
            expected="a bundle's folder, or one that `edgewright baseline accept` filled",
        )
    alone = (candidate / "manifest.json").is_file()
    folders = [candidate] if alone else _bundles_below(candidate)
    bundles: dict[str, Bundle] = {}
    for bundle in map(read_bundle, folders):
        first = bundles.setdefault(case_of(bundle), bundle)
        if first is not bundle:
            raise UsageError(
                "two candidates of one case",
                where=str(bundle.root),
                got=f"another is {first.root}",
                fix="name one of them",
            )
    accepted = {case: shelf.accepted(case) for case in bundles}  # before the work: one without a baseline ends it
    check_there(device, *bundles.values(), *accepted.values())
    absent = [] if alone else [case for case, _ in shelf.cases() if case not in bundles]
    codes, found = [1] * len(absent), dict[str, list["Comparison"]]()
    try:
        for case in absent:
            _tell_absent(case, out)
        for case, bundle in bundles.items():
            dataset = images_of(accepted[case], data)
            judgement = judge(shelf, bundle, dataset, options, progress())
            found[case] = [one for one in (judgement.comparison, judgement.best) if one is not None]
            folder = out if alone or out is None else out / case
            _tell(found[case], report_of_judgement(bundle, judgement, dataset, options.place), folder, device)
            codes.append(judgement.deciding.exit_code)
    finally:  # what was judged before an error counts
        _annotate(found, absent)
    if not codes:
        raise BaselineError(
            "no baseline and no candidate: there is nothing to compare",
            where=f"{root} and {candidate}",
            fix="`edgewright baseline accept BUNDLE` accepts one; `edgewright deploy` makes candidates",
        )
    return codes


def _bundles_below(folder: Path) -> list[Path]:
    """Where bundles lie; what is hidden is one that is being written, or was when its writer was killed."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if "manifest.json" in files:
            found.append(Path(place))
    return sorted(found)


def _tell(found: "list[Comparison]", report: "Report", out: Path | None, device: "Device | None" = None) -> None:
    """The verdict and its table, the reports, and the summary of GitHub Actions' step."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.report.gate_texts import GATE_COLUMNS, gate_notes, gate_rows
    from pipeline.report.markdown import render_markdown
    from pipeline.report.render import write_reports

    for comparison in found:
        say(comparison.sentence, markup=False)
        out_console().print(table(GATE_COLUMNS, gate_rows(comparison)))
        for note in gate_notes(comparison):
            say(f"  note: {note}", markup=False)
        if comparison.wall_s is not None:
            say(f"  {len(comparison.processes)} processes in {comparison.wall_s:.0f} s", markup=False)
    if device is not None:
        say(f"  both ran on {device.name}; sent there: {device.sent}", markup=False)
        for doubt in device.doubts():
            say(f"  note: {doubt}", markup=False)
    for path in write_reports(report, out) if out is not None else ():
        say(f"  {path}", markup=False)
    _summarise(render_markdown(report))


def _tell_absent(case: str, out: Path | None) -> None:
    """That a case has a baseline and no candidate, where the verdicts of the others are."""
    from pipeline.cli.console import say
    from pipeline.report.junit import render_absent
    from pipeline.store import write_atomically

    told = f"REGRESSED {case}: it has a baseline and no candidate"
    say(told, markup=False)
    if out is not None:
        write_atomically(out / case / "junit.xml", render_absent(case))
        say(f"  {out / case / 'junit.xml'}", markup=False)
    _summarise(f"{told}\n\n")


def _annotate(found: "Mapping[str, Sequence[Comparison]]", absent: "Sequence[str]" = ()) -> None:
    """What GitHub Actions shows beside the code, where it runs: all cases at once, since a step has ten lines."""
    from pipeline.cli.console import say
    from pipeline.report.github import workflow_commands

    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(found, absent=absent):
            say(line, markup=False)


def _summarise(markdown: str) -> None:
    """Add to the summary of GitHub Actions' step, where there is one."""
    from pipeline.report.github import step_summary

    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(step_summary(markdown))


COMMANDS = (gate,)
