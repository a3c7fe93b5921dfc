"""Whether results may be put into a folder: nothing of somebody else's goes, and nothing that the run reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.device.verify import MANIFEST
from pipeline.errors import EdgewrightError, IntegrityError, UsageError
from pipeline.models.one_file import NETWORK_FILE
from pipeline.report.training_files import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.chain.plan import Plan

__all__ = ["BUNDLE", "CURVES", "RECIPE", "check_results_folder", "check_writable"]

BUNDLE, CURVES, RECIPE = "bundle", "tensorboard", "recipe.yaml"
"""What lies in the folder of a target's results, beside the network and the reports."""

_OF_A_RECIPE = "edgewright.recipe/"
_ELSEWHERE = "name another folder with --out"


def check_writable(folder: Path) -> None:
    """See that a folder is there or can be made, and written to.

    Raises:
        UsageError: when not.
    """
    place = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not place.is_dir():
        raise UsageError("results cannot be put here", where=str(folder), got=f"{place} is a file", expected="a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(
            "results cannot be put here",
            where=str(folder),
            got=f"{place} may not be written to",
            fix=_ELSEWHERE,
        )


def check_results_folder(folder: Path, plan: Plan) -> None:
    """See that what a deployment writes takes the place of earlier results alone.

    Args:
        folder: Of the results of one target.
        plan: What will run.

    Raises:
        UsageError: when it cannot be written to, lies within the folder of the data, holds what no run has left there
            in the place of results, or what this one reads.
    """
    check_writable(folder)
    data = plan.recipe.data.source
    if data and Path(data).is_dir() and _is_in(folder, Path(data)):
        raise UsageError(
            "results within the folder of the data would be taken for data",
            where=str(folder),
            got=f"--data {data}",
            fix=_ELSEWHERE,
        )
    for foreign in filter(None, (_foreign_bundle(folder), _foreign_curves(folder), _foreign_file(folder))):
        raise UsageError(
            "results would take the place of what is not of an earlier run", where=str(foreign), fix=_ELSEWHERE
        )
    for file in _read_by(plan):
        if any(_is_in(file, place) for place in (folder / NETWORK_FILE, folder / BUNDLE)):
            raise UsageError("results would take the place of what they are made of", where=str(file), fix=_ELSEWHERE)


def _foreign_bundle(folder: Path) -> Path | None:
    bundle = folder / BUNDLE
    if not os.path.lexists(bundle) or (bundle / MANIFEST).is_file():
        return None
    return None if bundle.is_dir() and not any(bundle.iterdir()) else bundle


def _foreign_curves(folder: Path) -> Path | None:
    curves = folder / CURVES
    if not os.path.lexists(curves):
        return None
    if not curves.is_dir():
        return curves
    files = (path for path in curves.rglob("*") if not path.is_dir())
    return next((path for path in files if not path.name.startswith(EVENTS)), None)


def _foreign_file(folder: Path) -> Path | None:
    recipe, network = folder / RECIPE, folder / NETWORK_FILE
    if recipe.is_file() and _OF_A_RECIPE not in recipe.read_text(encoding="utf-8", errors="replace"):
        return recipe
    return network if network.is_file() and not _is_ours(network) else None


def _is_ours(network: Path) -> bool:
    from pipeline.models.one_file import architecture_in

    try:
        return architecture_in(network) is not None
    except IntegrityError:
        return True  # and damaged
    except EdgewrightError:
        return False


def _read_by(plan: Plan) -> Iterator[Path]:
    """The files of models, weights and answers."""
    for parts in (plan.parts, *plan.teachers):
        backbone = parts.weights.backbone
        yield from filter(None, (parts.model.file, parts.weights.file, backbone.file if backbone else None))
    for answers in plan.answer_files:
        yield answers.file


def _is_in(path: Path, place: Path) -> bool:
    return path.resolve().is_relative_to(place.resolve())
