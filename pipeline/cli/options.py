"""The options that ``deploy``, ``recipe`` and ``explain`` share, and the recipe they add up to."""

# No `from __future__ import annotations` here: typer is handed these annotations as objects.

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

__all__ = ["DEVICE", "JSON", "recipe_from", "takes_recipe"]

DEVICE = typer.Option("--device", metavar="NAME", help="Measure there; a device's name or ssh://[user@]host[:port].")
"""Without it the machine that the command runs on is measured."""

JSON = typer.Option("--json", help="Print one JSON document instead of text.")
"""Its schema is published: docs/schema/commands.schema.json."""


def _models(incomplete: str) -> list[str]:
    """What a shell offers for MODEL."""
    from pipeline.models.names import timm_classifiers, torchvision_classifiers, torchvision_detectors, yolo_detectors

    own = (*torchvision_classifiers(), *torchvision_detectors(), *yolo_detectors())
    names = timm_classifiers() if incomplete.startswith("timm/") else own
    files = [str(path) for path in Path().glob(f"{incomplete}*.onnx")] if "*" not in incomplete else []
    return [*(name for name in names if name.startswith(incomplete)), *sorted(files)]


def _targets(incomplete: str) -> list[str]:
    """What a shell offers for --target."""
    from pipeline.catalog import TARGETS

    return [name for name in ("auto", *TARGETS) if name.startswith(incomplete)]


def recipe_from(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A torchvision classifier or detector, timm/NAME, yolo/NAME, path/to/file.py:factory, or "
            "path/to/model.onnx.",
            show_default=False,
            autocompletion=_models,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="'digits' or, with boxes, 'digits-detection' (embedded); a folder with train/<class>/* and "
            "val/<class>/*, or with COCO's, YOLO's or Pascal VOC's boxes; or a torchvision set.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="'pretrained', 'none', or a .safetensors, .pt or .pth file."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            autocompletion=_targets,
            help="Where it will run, or 'auto' for the best here; may be given several times.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="YAML file; `edgewright recipe MODEL` prints one to start from.")
    ] = None,
    skip: Annotated[
        str | None, typer.Option("--skip", help="Stages to leave out, of distill, downsample, prune; as distill,prune.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, such as input.size=128."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The only source of randomness.")] = None,
    input_: Annotated[
        str | None,
        typer.Option("--input", help="'uint8': the device feeds the bytes of an image; default float32, normalised."),
    ] = None,
    nms: Annotated[
        str | None,
        typer.Option(
            "--nms", help="Of detectors: 'graph' suppresses overlapping boxes within the model; default 'runner'."
        ),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            "--goal",
            metavar="NAME=VALUE,...",
            help="What it may cost: latency=5ms or 0.5x of the unpruned network, macs, params, size=2MB, memory; and "
            "drop=1%, the accuracy that may be lost. Pixels and channels go, as few as it takes.",
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            "--require",
            help="'int8': fail with exit code 8 rather than ship float when INT8 falls short; 'prune': fail with 2 "
            "rather than leave a network dense that cannot be pruned; 'goal': deploy ends with 8 where --goal is "
            "missed; or several, as int8,goal.",
        ),
    ] = None,
    expect_accuracy: Annotated[
        str | None,
        typer.Option(
            "--expect-accuracy",
            metavar="SHARE",
            help="Such as 76%: end with exit code 8 before anything is built where the network as given makes less.",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher",
            metavar="MODEL[@WEIGHTS]",
            help="A network to learn from, such as resnet101, vgg16@pretrained or big.py:build@big.safetensors; may be "
            "given several times: then MODEL learns from all of them together.",
        ),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            "--student",
            metavar="NAME",
            help="Deploy this network instead, and let MODEL with its weights be its teacher.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", help="Train so many students without and with teachers, for mean and spread."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            help="Time for trying INT8 forms, such as 30s or 5m; training and measuring are not in it; default 2m.",
        ),
    ] = None,
    compute: Annotated[
        str | None,
        typer.Option("--compute", help="For tensorrt-rtx: GPUs to build for, as sm86,sm89; default: the one here."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One epoch of everything: to see that it works, not for figures.")
    ] = False,
) -> "Recipe":
    """The recipe file, overridden by the options, overridden by ``--set``."""
    from pipeline.errors import UsageError
    from pipeline.recipe.goal import goal_settings
    from pipeline.recipe.reading import QUICK, read_recipe

    teachers = list(teacher or ())
    if student is not None:
        if model is None:
            raise UsageError(
                "--student needs a MODEL, which is its teacher",
                got=student,
                fix="put the teacher before it: edgewright deploy MODEL --student NAME",
            )
        teachers.insert(0, f"{model}@{weights}" if weights else model)
        model, weights = student, None
    typed: dict[str, Any] = {
        "model": model,
        "data.source": data,
        "weights": weights,
        "targets": target or None,
        "skip": _names(skip),
        "seed": seed,
        **goal_settings(goal),
        "goal.require": _names(require),
        "goal.expect_accuracy": expect_accuracy,
        "distill.teachers": teachers or None,
        "measure.seeds": seeds,
        "build.budget_s": _seconds(budget),
        "build.input": input_,
        "build.nms": nms,
        "build.tensorrt.capabilities": _names(compute),
    }
    if quick:
        typed |= {key: value for key, value in QUICK.items() if typed.get(key) is None}
    given = {key: value for key, value in typed.items() if value is not None}
    return read_recipe(recipe, given, settings or ())


def _names(text: str | None) -> list[str] | None:
    """``a,b`` as a list."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _seconds(text: str | None) -> float | None:
    """``30s``, ``5m`` or a number of seconds."""
    from pipeline.errors import UsageError

    if text is None:
        return None
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:], 0.0)
    try:
        return float(text[:-1]) * factor if factor else float(text)
    except ValueError as error:
        raise UsageError("--budget is no duration", got=text, expected="such as 30s, 5m or 90") from error


def takes_recipe(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, whose first parameter is a recipe, the options of :func:`recipe_from` before its own.

    Args:
        without: Names of those that would do nothing in this command.
    """
    shared = {name: one for name, one in inspect.signature(recipe_from).parameters.items() if name not in without}

    def give(command: Callable[..., None]) -> Callable[..., None]:
        own = dict(list(inspect.signature(command).parameters.items())[1:])

        def with_options(**values: Any) -> None:  # noqa: ANN401 - whatever the options hold
            command(recipe_from(**{name: values[name] for name in shared}), **{name: values[name] for name in own})

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*shared.values(), *own.values())
        ]
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
        return with_options

    return give
