"""The commands that say what a run would be, and run nothing: recipe, explain."""

# No `from __future__ import annotations` here: see options.py.

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEVICE, JSON, takes_recipe

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

__all__ = ["COMMANDS"]


@takes_recipe()
def recipe_(recipe: "Recipe") -> None:
    """Print the fully resolved recipe as YAML.

    Every key with its value, in the form that --recipe takes.

    \b
    edgewright recipe resnet50 --data my_photos > my_recipe.yaml
    edgewright deploy --recipe my_recipe.yaml
    """  # noqa: D301 - click's
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import progress
    from pipeline.recipe.reading import dump_recipe
    from pipeline.store import Store, default_root

    typer.echo(dump_recipe(make_plan(recipe, Store(default_root()), progress()).recipe), nl=False)


@takes_recipe()
def explain(
    recipe: "Recipe", device: Annotated[str | None, DEVICE] = None, as_json: Annotated[bool, JSON] = False
) -> None:
    """Say which stages would run and why.

    The field that changed is named; nothing is run.

    \b
    edgewright explain resnet50 --set distill.temperature=2
    """  # noqa: D301 - click's
    from benchmarks.workers.workplace import HERE
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import progress, say
    from pipeline.devices.device import reached
    from pipeline.runner.explain import explain as look
    from pipeline.store import Store, default_root

    store = Store(default_root())
    with reached(device, progress()) as there:
        found = look(make_plan(recipe, store, progress(), place=there or HERE), store)
    if as_json:
        from pipeline.cli.documents import ExplainDocument, ExplainedStage, print_document

        print_document(ExplainDocument(stages=tuple(ExplainedStage(**asdict(one)) for one in found)))
        return
    for told in found:
        first, *rest = told.reasons or ("",)
        say(f"{told.stage:<24}{told.status:<11}{first}".rstrip(), markup=False)
        for reason in rest:
            say(f"{'':<35}{reason}", markup=False)


COMMANDS = (recipe_, explain)
