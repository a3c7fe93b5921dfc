"""The command that finds out how a trained network wants to be fed: preprocess."""

# No `from __future__ import annotations` here: see options.py.

from typing import TYPE_CHECKING

from pipeline.cli.options import takes_recipe

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

__all__ = ["COMMANDS"]

_OF_WHAT_FOLLOWS = (
    "target", "skip", "input_", "nms", "goal", "require", "expect_accuracy", "teacher", "seeds", "budget", "compute",
    "quick",
)  # fmt: skip
"""Options that say nothing about the network and its images."""


@takes_recipe(without=_OF_WHAT_FOLLOWS)
def preprocess(recipe: "Recipe") -> None:
    """Find out how a trained network wants to be fed.

    The usual sizes, normalisations and orders of channels are tried on calibration images, with their labels; the test
    images are not looked at. For a network whose baseline is far below what it made in its training.

    \b
    edgewright preprocess net.py:build --weights w.pth --data my_photos
    """  # noqa: D301 - click's
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import out_console, progress, say, table
    from pipeline.report.figures import percent
    from pipeline.runner.preprocess_search import try_preprocessings
    from pipeline.store import Store, default_root

    plan = make_plan(recipe, Store(default_root()), progress())
    found = try_preprocessings(plan, progress())
    rows = [
        (
            one.name,
            percent(one.accuracy),
            str(one.images),
            f"{one.loss:.2f}",
            "x".join(map(str, one.spec.size)),
            str(one.spec.resize),
            one.spec.channels,
        )
        for one in found
    ]
    columns = ("normalisation", plan.parts.task.metric, "images", "loss", "size", "resize", "channels")
    out_console().print(table(columns, rows))
    say(f"\nthe best: {found[0].settings()}", markup=False)


COMMANDS = (preprocess,)
