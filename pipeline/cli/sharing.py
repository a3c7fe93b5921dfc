"""The command by which a teacher's answers leave the house without the teacher."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import takes_recipe

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

__all__ = ["COMMANDS"]


@takes_recipe(
    without=(
        "target",
        "skip",
        "input_",
        "nms",
        "goal",
        "require",
        "expect_accuracy",
        "teacher",
        "student",
        "seeds",
        "budget",
        "compute",
        "quick",
    )
)
def answers(
    recipe: "Recipe",
    out: Annotated[Path, typer.Option("--out", help="File to write, such as theirs.safetensors.")],
) -> None:
    """Write what a network says of the images to a file.

    Network and weights stay here; whoever has the same images, by the same names, distills from the file alone.

    \b
    edgewright answers big.py:build --weights big.safetensors --data shared --out theirs.safetensors
    edgewright deploy resnet18 --data shared --teacher theirs.safetensors --teacher ours.safetensors

    Started by `torchrun --no-python edgewright answers ...`, all its processes ask together.
    """  # noqa: D301 - click's
    from pipeline.chain.chain import Chain
    from pipeline.chain.followers import led
    from pipeline.chain.plan import make_plan
    from pipeline.cli.console import progress, say
    from pipeline.errors import UsageError
    from pipeline.runner.write_answers_file import write_answers_file
    from pipeline.store import Store, default_root

    if out.suffix != ".safetensors" or not out.parent.is_dir():
        raise UsageError(
            "--out names no file that can be written",
            got=str(out),
            expected="a name that ends in .safetensors, in a folder that is there",
        )
    with led() as leading:
        if not leading:
            return
        store = Store(default_root())
        alone = recipe.model_copy(update={"skip": ("distill", "prune")})
        plan = make_plan(alone, store, progress())
        for note in plan.assumed:
            say(f"  assumed: {note}", markup=False)
        for note in plan.notes:
            say(f"  note: {note}", markup=False)
        count = write_answers_file(Chain(plan, store, progress(), lambda _outcome: None), out)
        say(f"answers of {plan.parts.model.name} to {count} images: {out}", markup=False)


COMMANDS = (answers,)
