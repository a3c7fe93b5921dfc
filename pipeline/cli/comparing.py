"""The command that holds what would be shipped against the runtimes as they come: compare."""

# No `from __future__ import annotations` here: see options.py.

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.deploying import stage_line
from pipeline.cli.options import takes_recipe

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

__all__ = ["COMMANDS"]


@takes_recipe(without=("compute",))
def compare(
    recipe: "Recipe",
    fewer: Annotated[bool, typer.Option("--fewer", help="Six processes and one look a comparison.")] = False,
) -> None:
    """Time what would be shipped beside the plain runtimes.

    ONNX Runtime and OpenVINO with their defaults on the same ONNX files, and PyTorch eager on the network itself, for
    each precision, judged like a gate. Nothing is published. Ends with 1 where the precision that would be shipped is
    slower, with 3 where that cannot be told and with 4 where the machine was too noisy.

    \b
    edgewright compare resnet50 --target auto --skip distill,prune
    """  # noqa: D301 - click's
    from benchmarks.statistics.margins import EFFORTS
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.report.comparison import Verdict
    from pipeline.runner.compare_runtimes import COLUMNS, beside_plain_runtimes, cells
    from pipeline.store import Store, default_root

    store = Store(default_root())
    plan = make_plan(recipe, store, progress())
    for note in (*plan.assumed, *plan.notes):
        say(f"  note: {note}", markup=False)
    chain = Chain(plan, store, progress(), lambda outcome: say(stage_line(outcome), markup=False))
    found = []
    for one in beside_plain_runtimes(chain, effort=EFFORTS["quick" if fewer else "default"]):
        found.append(one)
        say("  " + "  ".join(cells(one)), markup=False)
    say("")
    out_console().print(table(COLUMNS, [cells(one) for one in found]))
    for reason in dict.fromkeys(reason for one in found for reason in one.unfit):
        say(f"  unfit: {reason}", markup=False)
    told = {one.p50.verdict for one in found if one.shipped}
    for verdict, code in ((Verdict.REGRESSED, 1), (Verdict.UNFIT, 4), (Verdict.INCONCLUSIVE, 3)):
        if verdict in told:
            raise typer.Exit(code)


COMMANDS = (compare,)
