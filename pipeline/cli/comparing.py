"""The command that holds what would be shipped against the runtimes as they come: compare."""

# No `from __future__ import annotations` here: see options.py.

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.deploying import stage_line
from pipeline.cli.gate_options import effort_help
from pipeline.cli.options import DEVICE, takes_recipe

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

__all__ = ["COMMANDS"]


@takes_recipe(without=("compute", "seeds"))
def compare(
    recipe: "Recipe",
    fewer: Annotated[bool, typer.Option("--fewer", help=f"For each comparison {effort_help('quick')}")] = False,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Time what would be shipped beside the plain runtimes.

    ONNX Runtime and OpenVINO with their defaults on the same ONNX files, and PyTorch eager on the network itself, for
    each precision, judged like a gate. Nothing is published. Ends with 1 where what would be shipped is slower, with 3
    where that cannot be told and with 4 where the machine was too noisy.

    \b
    edgewright compare resnet50 --target auto --skip distill,prune
    edgewright compare resnet50 --skip distill,prune --device pi
    """  # noqa: D301 - click's
    from benchmarks.statistics.margins import EFFORTS
    from benchmarks.workers.workplace import HERE
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.devices.device import reached
    from pipeline.report.comparison import Verdict
    from pipeline.runner.compare_runtimes import COLUMNS, beside_plain_runtimes, cells
    from pipeline.store import Store, default_root

    store, found = Store(default_root()), []
    with reached(device, progress(), lasting=True) as there:
        place = there or HERE
        plan = make_plan(recipe, store, progress(), place=place)
        for note in (*plan.assumed, *plan.notes):
            say(f"  note: {note}", markup=False)
        chain = Chain(plan, store, progress(), lambda outcome: say(stage_line(outcome), markup=False))
        for one in beside_plain_runtimes(chain, effort=EFFORTS["quick" if fewer else "default"]):
            found.append(one)
            say("  " + "  ".join(cells(one)), markup=False)
        doubts = place.doubts()
    say("")
    out_console().print(table(COLUMNS, [cells(one) for one in found]))
    if there is not None:
        say(f"  all ran on {device}, where there is no PyTorch to compare with; sent there: {there.sent}", markup=False)
    for doubt in doubts:
        say(f"  note: {doubt}", markup=False)
    for reason in dict.fromkeys(reason for one in found for reason in one.unfit):
        say(f"  unfit: {reason}", markup=False)
    told = {one.p50.verdict for one in found if one.shipped}
    if not told:
        say("  note: no plain runtime computes in the precision that would be shipped: there is nothing beside it")
        raise typer.Exit(3)
    for verdict, code in ((Verdict.REGRESSED, 1), (Verdict.UNFIT, 4), (Verdict.INCONCLUSIVE, 3)):
        if verdict in told:
            raise typer.Exit(code)


COMMANDS = (compare,)
