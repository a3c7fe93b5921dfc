"""The commands that measure and compare what was made: measure, gate, baseline, selftest."""

# No `from __future__ import annotations` here: see options.py.

import json
import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.failures import guarded
from pipeline.cli.options import DEVICE, JSON

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.devices.device import Device
    from pipeline.gate.two_bundles import GateOptions
    from pipeline.report import Report
    from pipeline.report.comparison import Comparison

__all__ = ["COMMANDS", "baseline_app"]

_BUNDLE = typer.Argument(metavar="BUNDLE", help="Folder with a manifest.json.", show_default=False)
_DATA = typer.Option("--data", help="Images to judge with; default: those the bundle was made with.")
_THREADS = typer.Option("--threads", min=1, help="Threads of the runtime; default: as the bundle says.")
_AFFINITY = typer.Option("--affinity", metavar="0,1", help="Cores to stay on.")
_BASELINES = typer.Option("--baselines", help="Folder of accepted baselines.")


def measure(
    bundle: Annotated[Path, _BUNDLE],
    data: Annotated[str | None, _DATA] = None,
    threads: Annotated[int | None, _THREADS] = None,
    affinity: Annotated[str | None, _AFFINITY] = None,
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
    from pipeline.measuring.bundle_measurement import measure_bundle
    from pipeline.measuring.bundle_measurement_texts import measurement_rows
    from pipeline.store import write_atomically

    found = read_bundle(bundle)
    dataset = _images(found, data)
    with _reached(device) as there:
        measured = measure_bundle(
            found,
            dataset,
            QUICK if quick else FULL,
            progress(),
            threads=threads,
            affinity=_cores_there(there, affinity) if there else _cores(affinity),
            device=there,
        )
    if out is not None:
        write_atomically(out, json.dumps(measured.to_json(), allow_nan=False) + "\n")
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
    data: Annotated[str | None, _DATA] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Six processes, one look.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Twenty processes, one false alarm in a hundred.")] = False,
    margin: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="NAME=VALUE", help="Such as latency_p50=3% or accuracy=0.005; repeatable."),
    ] = None,
    threads: Annotated[int | None, _THREADS] = None,
    affinity: Annotated[str | None, _AFFINITY] = None,
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
    from pipeline.errors import UsageError

    if quick and strict:
        raise UsageError("--quick and --strict exclude each other")
    with _reached(device) as there:
        options = _gate_options(
            effort="strict" if strict else "quick" if quick else "default",
            margins=margin or [],
            threads=threads,
            affinity=_cores_there(there, affinity) if there else _cores(affinity),
            seed=seed,
            place=there,
        )
        if (baseline / "manifest.json").is_file():
            codes = [_gate_pair(baseline, candidate, data, options, out, there)]
        else:
            codes = _gate_accepted(baseline, candidate, data, options, out, there)
    code = min(codes, key=(8, 1, 4, 3, 0).index)
    raise typer.Exit(0 if allow_inconclusive and code == 3 else code)


def _reached(device: str | None) -> "AbstractContextManager[Device | None]":
    """See :func:`pipeline.devices.device.reached`."""
    from pipeline.cli.console import progress
    from pipeline.devices.device import reached

    return reached(device, progress())


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
    _check_there(device, first, second)
    dataset = _images(first, data)
    found = run(first, second, dataset, options, progress())
    _tell([found], report_of_comparison(second, found, dataset, options.place), out, device)
    return found.exit_code


def _check_there(device: "Device | None", *bundles: "Bundle") -> None:
    """Refuse bundles that cannot be run on a device.

    Raises:
        DeviceError: saying why, and what to do.
    """
    from pipeline.devices.fitness import check_fit

    if device is not None:
        for bundle in bundles:
            check_fit(bundle, device)


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
    from pipeline.cli.console import progress, say
    from pipeline.errors import BaselineError, UsageError
    from pipeline.gate.against_baselines import judge
    from pipeline.gate.baselines.shelf import Shelf, case_of
    from pipeline.gate.report import report_of_judgement

    shelf = Shelf(root).of(options.place)
    if not root.is_dir():
        raise BaselineError("neither a bundle nor a folder of baselines", where=str(root))
    alone = (candidate / "manifest.json").is_file()
    folders = [candidate] if alone else sorted(path.parent for path in candidate.rglob("manifest.json"))
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
    _check_there(device, *bundles.values(), *accepted.values())
    codes = []
    if not alone:
        for case, _ in shelf.cases():
            if case not in bundles:
                say(f"REGRESSED {case}: it has a baseline and no candidate", markup=False)
                codes.append(1)
    for case, bundle in bundles.items():
        dataset = _images(accepted[case], data)
        judgement = judge(shelf, bundle, dataset, options, progress())
        found = [one for one in (judgement.comparison, judgement.best) if one is not None]
        folder = out if alone or out is None else out / case
        _tell(found, report_of_judgement(bundle, judgement, dataset, options.place), folder, device)
        codes.append(judgement.deciding.exit_code)
    if not codes:
        raise BaselineError(
            "no baseline and no candidate: there is nothing to compare", where=f"{root} and {candidate}"
        )
    return codes


def _images(bundle: "Bundle", data: str | None) -> "Dataset":
    from pipeline.cli.console import progress
    from pipeline.measuring.bundle_images import images_for
    from pipeline.store import Store, default_root

    return images_for(bundle, data, Store(default_root()), progress())


def _tell(found: "list[Comparison]", report: "Report", out: Path | None, device: "Device | None" = None) -> None:
    """The verdict and its table; the reports; and what GitHub Actions shows, where it runs."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.report.gate_texts import GATE_COLUMNS, gate_notes, gate_rows
    from pipeline.report.github import step_summary, workflow_commands
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
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(found):
            say(line, markup=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(step_summary(render_markdown(report)))


def _gate_options(
    *,
    effort: str,
    margins: list[str],
    threads: int | None,
    affinity: tuple[int, ...],
    seed: int,
    place: "Workplace | None",
) -> "GateOptions":
    from benchmarks.pairs.paired_processes import PairProtocol
    from benchmarks.statistics.margins import EFFORTS
    from benchmarks.workers.workplace import HERE
    from pipeline.gate.two_bundles import GateOptions

    return GateOptions(
        margins=_margins(margins),
        effort=EFFORTS[effort],
        protocol=PairProtocol(affinity=affinity),
        threads=threads,
        seed=seed,
        place=place or HERE,
    )


def _margins(settings: list[str]) -> Any:  # noqa: ANN401 - benchmarks.statistics.margins.Margins, imported late
    """The default margins with what was typed in their place.

    Raises:
        UsageError: for an unknown name or a value that is no share.
    """
    from dataclasses import fields

    from benchmarks.statistics.margins import Margins
    from pipeline.errors import UnknownNameError, UsageError

    known = {field.name for field in fields(Margins)}
    given: dict[str, float] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in known:
            raise UnknownNameError("margin", name, known)
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            value = -1.0
        if not equals or not 0 <= value < float("inf"):
            raise UsageError("a margin is a share", where=f"--margin {setting}", expected="such as 3% or 0.03")
        if name == "agreement" and value > 1:
            raise UsageError("no more than all answers can agree", where=f"--margin {setting}", expected="at most 1")
        if name == "memory_bytes" and value != int(value):
            raise UsageError(
                "this margin is a number of bytes", where=f"--margin {setting}", expected="such as 1048576"
            )
        given[name] = int(value) if name == "memory_bytes" else value
    return Margins(**given)  # type: ignore[arg-type] # one of the fields is a whole number


def _cores(text: str | None, usable: Collection[int] | None = None) -> tuple[int, ...]:
    """``0,1`` or ``0-3`` as core numbers; of those that are usable, by default for this process.

    Raises:
        UsageError: when it is neither, or names a core this process may not use.
    """
    from pipeline.errors import UsageError

    if text is None:
        return ()
    spans = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            spans.append((int(first), int(last if dash else first)))
    except ValueError as error:
        raise UsageError("not a list of cores", where=f"--affinity {text}", expected="such as 0,1 or 0-3") from error
    if usable is None:
        usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    # Ends first: a slip such as 0-100000000 must not be counted through.
    sound = all(low <= high <= max(usable) for low, high in spans)
    cores = {core for low, high in spans for core in range(low, high + 1)} if sound else set()
    if not cores or not cores <= set(usable):
        raise UsageError(
            "cores that cannot be used here", where=f"--affinity {text}", expected=f"some of {sorted(usable)}"
        )
    return tuple(sorted(cores))


def _cores_there(device: "Device", text: str | None) -> tuple[int, ...]:
    """The cores of a device that were typed, else those of its entry.

    Raises:
        UsageError: when they are none of the device's.
    """
    chosen = text or ",".join(map(str, device.entry.cores or ()))
    return _cores(chosen or None, device.facts.usable)


def selftest(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="Default: a small network made for it.", show_default=False),
    ] = None,
    gates: Annotated[int, typer.Option("--gates", min=1, help="Gates of each kind.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Quick gates instead of default ones.")] = False,
    data: Annotated[str | None, _DATA] = None,
    threads: Annotated[int | None, _THREADS] = None,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Prove what the gate can see on this machine.

    Gates without any difference, and against a candidate slowed by a known amount of real work.

    The slowdown is real work behind every inference of one side. Ends with 0 when no false alarm was raised and every
    fit gate saw the large slowdown; with 4 when the machine was unfit for all of them.
    """
    from exporters.bundle import read_bundle
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.gate.selftest import COLUMNS, rows_of, run_selftest, worst_code
    from pipeline.runner.selftest_bundle import made_for_selftest
    from pipeline.store import Store, default_root

    store = Store(default_root())
    with _reached(device) as there:
        options = _gate_options(
            effort="quick" if quick else "default", margins=[], threads=threads, affinity=(), seed=0, place=there
        )
        found = read_bundle(bundle) if bundle else made_for_selftest(store, progress(), options.place)
        _check_there(there, found)
        results = run_selftest(
            found, _images(found, data), options, progress(), gates=gates, tell=lambda line: say(line, markup=False)
        )
    out_console().print(table(COLUMNS, rows_of(results)))
    raise typer.Exit(worst_code(results))


baseline_app = typer.Typer(
    name="baseline", help="Accept bundles as baselines, and list what was accepted.", rich_markup_mode=None,
    no_args_is_help=True,
)  # fmt: skip


def _accept(
    bundle: Annotated[Path, _BUNDLE],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")],
    baselines: Annotated[Path, _BASELINES] = Path("baselines"),
    data: Annotated[str | None, _DATA] = None,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Make BUNDLE the baseline of its case; measured alone, and beside what was accepted before.

    With --device of its case on devices of that class.
    """
    from benchmarks.workers.workplace import HERE
    from exporters.bundle import read_bundle
    from pipeline.cli.console import progress, say
    from pipeline.errors import UsageError
    from pipeline.gate.against_baselines import accept
    from pipeline.gate.baselines.shelf import Shelf

    if not reason.strip():
        raise UsageError("a reason is needed", where="--reason", fix="say why this one may be the yardstick")
    found = read_bundle(bundle)
    with _reached(device) as there:
        shelf, images = Shelf(baselines).of(there or HERE), _images(found, data)
        case, line = accept(shelf, found, images, progress(), reason=reason.strip(), device=there)
    changes = ", ".join(
        f"{name} {100 * change:+.1f} %" for name, change in line.changes.items() if name == "latency p50"
    )
    say(f"accepted {case}  {line.bundle[:12]}  {changes or 'the first of its case'}", markup=False)


def _list(
    baselines: Annotated[Path, _BASELINES] = Path("baselines"),
    history: Annotated[bool, typer.Option("--history", help="Every acceptance, not only the current one.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the accepted baselines."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.report import figures

    cases = {case: found.lines if history else (found.current,) for case, found in Shelf(baselines).cases()}
    if as_json:
        from pipeline.cli.documents import BaselineCase, BaselinesDocument, print_document

        print_document(BaselinesDocument(cases=tuple(BaselineCase(case=case, accepted=cases[case]) for case in cases)))
        return
    rows = []
    for case, lines in cases.items():
        for line in lines:
            told = line.figures
            rows.append(
                (
                    case,
                    line.time.strftime("%Y-%m-%d %H:%M"),
                    line.bundle[:12],
                    figures.milliseconds(told.latency_p50_s),
                    figures.megabytes(told.size_bytes),
                    figures.percent(told.accuracy),
                    told.machine_class,
                    line.reason,
                )
            )
    if not rows:
        say(f"nothing was accepted in {baselines}", markup=False)
        return
    columns = ("case", "accepted", "bundle", "p50 then", "size", "accuracy", "machine", "reason")
    out_console().print(table(columns, rows))


_SUBCOMMANDS: dict[str, Callable[..., None]] = {"accept": _accept, "list": _list}
for _name, _command in _SUBCOMMANDS.items():
    baseline_app.command(name=_name)(guarded(_command))

COMMANDS = (measure, gate, selftest)
