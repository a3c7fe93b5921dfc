"""The command that takes a model through every stage: deploy."""

# No `from __future__ import annotations` here: see options.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from pipeline.cli.baseline_folder import BASELINES, baseline_folder
from pipeline.cli.options import DEVICE, takes_recipe

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from pipeline.chain.phases import Phases
    from pipeline.environment import Machine
    from pipeline.recipe import Recipe
    from pipeline.runner.publish import Deployed
    from pipeline.runner.report_rows import Outcome

__all__ = ["COMMANDS", "stage_line"]

_COLOURS = {"ok": "green", "improved": "green", "missed": "red", "regressed": "red"}


@takes_recipe()
def deploy(
    recipe: "Recipe",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the results; default deployments/MODEL/TARGET.")
    ] = None,
    baselines: Annotated[Path | None, BASELINES] = None,
    reproducible: Annotated[
        Path | None,
        typer.Option(
            "--reproducible",
            metavar="FILE",
            help="decisions.json of an earlier run: choose again what it chose by timing; another bundle is an error.",
        ),
    ] = None,
    device: Annotated[str | None, DEVICE] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", help="Build for aarch64 or x86_64 without such a device; then nothing is measured."),
    ] = None,
) -> None:
    """Take MODEL through every stage to a bundle.

    Distill, prune, calibrate, export and build, measured after each on the target's own runtime.

    \b
    edgewright deploy resnet50
    edgewright deploy mobilenet_v2 --data my_photos --target ort-cpu
    edgewright deploy net.py:build --weights w.safetensors --data my_photos --skip distill,prune
    edgewright deploy model.onnx --data my_photos
    edgewright deploy resnet50 --device pi

    What did not change since an earlier run is taken from the store, so a killed run goes on where it was. Started by
    `torchrun --no-python edgewright deploy ...`, all its processes train together.
    """  # noqa: D301 - the backslash is click's: keep these lines as they are
    from benchmarks.workers.workplace import HERE
    from pipeline.chain.followers import led
    from pipeline.cli.console import progress, say
    from pipeline.devices.device import reached

    machine = _machine(arch, device)
    with led() as leading:
        if not leading:
            return
        yardsticks = baseline_folder(baselines)
        with reached(device, progress(), lasting=True) as there:
            code = _deploy(recipe, out, yardsticks, reproducible, there or HERE, machine)
            if there is not None:
                say(f"  sent to {device}: {there.sent}", markup=False)
    if code:
        raise typer.Exit(code)


def _machine(arch: str | None, device: str | None) -> "Machine | None":
    """The machine that is built for, where only its architecture is known.

    Raises:
        UsageError: for another architecture than there are, or one beside a device.
    """
    from pipeline.environment import ARCHITECTURES, any_machine, this_machine
    from pipeline.errors import UnknownNameError, UsageError

    if arch is None:
        return None
    if device is not None:
        raise UsageError("a device says itself what it is", got=f"--arch {arch}", fix="leave --arch away")
    if arch not in ARCHITECTURES:
        raise UnknownNameError("architecture", arch, ARCHITECTURES)
    return None if arch == this_machine().architecture else any_machine(arch)


def _deploy(
    recipe: "Recipe",
    out: Path | None,
    baselines: Path,
    reproducible: Path | None,
    place: "Workplace",
    machine: "Machine | None",
) -> int:
    """The exit code."""
    from pipeline.chain.chain import Chain
    from pipeline.chain.phases import Phases
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import out_console, progress, say
    from pipeline.environment import process_age_s
    from pipeline.errors import UsageError
    from pipeline.gate.baselines.shelf import Shelf
    from pipeline.planning.given_decisions import read_decisions
    from pipeline.runner.deploy import deploy as run
    from pipeline.runner.reproduced import for_given_target
    from pipeline.store import Store, default_root

    if out is not None and len(recipe.targets) > 1:
        raise UsageError(
            "--out names the folder of one target",
            got=f"{len(recipe.targets)} targets",
            fix="leave --out away: each target gets deployments/MODEL/TARGET",
        )
    given = None if reproducible is None else read_decisions(reproducible)
    recipe = for_given_target(recipe, given)
    store, phases = Store(default_root()), Phases(before_s=process_age_s())
    with phases.during("reading model and data"):
        plan = make_plan(recipe, store, progress(), place=place, machine=machine)
    measured = f", measured on {place.name}" if place.name else ""
    say(
        f"[bold]{escape(recipe.model)}[/] on {escape(plan.parts.dataset.name)} for {', '.join(recipe.targets)}"
        f"{escape(measured)}"
    )
    for note in plan.assumed:
        say(f"  assumed: {note}", markup=False)
    for note in plan.notes:
        say(f"  note: {note}", markup=False)
    ran: list[str] = []

    def announce(outcome: "Outcome") -> None:
        say(stage_line(outcome), markup=False)
        if outcome.result.status == "ran" or (outcome.measured is not None and not outcome.measured.cached):
            ran.append(outcome.result.stage)

    chain = Chain(plan, store, progress(), announce, phases=phases, given=given)
    results = run(chain, out=out, shelf=Shelf(baselines).of(place))
    if not ran and not chain.fresh:
        say("nothing to do: every stage and every figure came from the store")
    _show_time(phases, recipe)
    for doubt in place.doubts():
        say(f"  note: {doubt}", markup=False)
    for deployed in results:
        _show(deployed)
    if len(results) > 1:
        _show_targets(results)
    out_console().file.flush()
    return max(deployed.exit_code for deployed in results)


def stage_line(outcome: "Outcome") -> str:
    """A stage in one line: what it gave and how long it took."""
    from pipeline.report import figures

    result, measured = outcome.result, outcome.measured
    took = "from the store" if result.status == "cached" else figures.seconds(result.wall_s)
    if measured is None:
        return f"{result.stage:<10}{'not measured: the target cannot run here':<43}{took}"
    return (
        f"{result.stage:<10}{figures.milliseconds(measured.p50_s):>10} {figures.megabytes(measured.size_bytes):>9} "
        f"{figures.percent(measured.accuracy.value):>9} {measured.accuracy.metric}   {took}"
    )


def _show(deployed: "Deployed") -> None:
    """The table of all stages, the verdict, and where everything is."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.report.gate_texts import GATE_COLUMNS, gate_rows
    from pipeline.report.texts import (
        STAGE_COLUMNS,
        TEACHER_COLUMNS,
        at_a_glance,
        beside_verdict,
        stage_cells,
        teacher_rows,
    )

    report = deployed.report
    say("")
    out_console().print(table(STAGE_COLUMNS, [stage_cells(row) for row in report.stages]))
    for found in (report.gate, report.best):
        if found is not None:
            say("")
            out_console().print(table(GATE_COLUMNS, gate_rows(found)))
    if networks := teacher_rows(report):
        say("")
        out_console().print(table(TEACHER_COLUMNS, networks))
    say("")
    colour = _COLOURS.get(report.verdict.status, "yellow")
    say(f"[{colour}]{escape(report.verdict.sentence)}[/]")
    for text in at_a_glance(report):
        say(f"  {text}", markup=False)
    for label, text in beside_verdict(report):
        say(f"  {label}: {text}", markup=False)
    for path in deployed.files:
        say(f"  {path}{'/' if path.is_dir() else ''}", markup=False)
    say(f"  bundle sha256 {report.bundle.sha256}")


def _show_time(phases: "Phases", recipe: "Recipe") -> None:
    """Where the time of the command went, and how much of it --budget is about."""
    from pipeline.cli.console import say
    from pipeline.planning.runtime_options import LEAST_S
    from pipeline.report.figures import seconds
    from pipeline.report.texts import time_spent

    spent_s = phases.spent_s()
    say(f"  took {time_spent(spent_s)}", markup=False)
    if "looking for the INT8 form" in spent_s:
        say(
            f"  of --budget {seconds(recipe.build.budget_s)}: no INT8 form is begun after it, one that was begun is "
            f"finished; trying runtime options may take what is left of it, or {seconds(LEAST_S)}",
            markup=False,
        )


def _show_targets(results: "tuple[Deployed, ...]") -> None:
    """All targets beside each other, also as a page above their folders."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.report.targets import TARGET_COLUMNS, render_targets, target_rows
    from pipeline.store import room_for, write_atomically

    reports = [deployed.report for deployed in results]
    page = results[0].folder.parent / "targets.md"
    text = render_targets(reports)
    with room_for("the page of all targets", page, len(text.encode())):
        write_atomically(page, text)
    say("")
    out_console().print(table(TARGET_COLUMNS, target_rows(reports)))
    say(f"  {page}", markup=False)


COMMANDS = (deploy,)
