"""edgewright from Python: what the command line does, as a few typed functions.

::

    import edgewright

    (shipped,) = edgewright.deploy("resnet18", quick=True)
    with edgewright.Bundle.open(shipped.folder / "bundle") as bundle:
        print(bundle.run("photo.jpg"))

Importing it loads neither PyTorch nor a runtime: what a function needs comes in when it is called. Every error a
caller can do something about is an :class:`EdgewrightError`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgewright.bundle import Answer, Bundle, Found
from pipeline import __version__
from pipeline.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from exporters.bundle import Bundle as VerifiedBundle
    from pipeline.data import Dataset
    from pipeline.measuring.bundle_measurement import BundleMeasurement
    from pipeline.progress import Progress
    from pipeline.report.comparison import Comparison
    from pipeline.runner.publish import Deployed

__all__ = [
    "Answer",
    "Bundle",
    "EdgewrightError",
    "Found",
    "__version__",
    "deploy",
    "gate",
    "measure",
    "network",
    "verify",
]


def deploy(  # noqa: PLR0913 - the options of the command line
    model: str | None = None,
    *,
    data: str | Path | None = None,
    weights: str | Path | None = None,
    targets: Sequence[str] = (),
    skip: Sequence[str] = (),
    recipe: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    out: Path | None = None,
    device: str | None = None,
    quick: bool = False,
    reproducible: Path | None = None,
    show_progress: bool = False,
) -> tuple[Deployed, ...]:
    """Take a model through every stage to a bundle for each target, as ``edgewright deploy`` does.

    Args:
        model: A torchvision classifier or detector, ``timm/NAME``, ``yolo/NAME``, ``path/to/file.py:factory`` or
            ``path/to/model.onnx``; None: as the recipe says.
        data: ``digits``, ``digits-detection``, a folder of images by class or with boxes, or a torchvision data set.
        weights: ``pretrained``, ``none`` or a file.
        targets: Where it will run; none: the default, ``ort-cpu``.
        skip: Stages to leave out, of ``distill``, ``downsample`` and ``prune``.
        recipe: A YAML file that the other arguments override.
        settings: Any key of the recipe by its dotted name, such as ``{"input.size": 128}``.
        out: Folder of a single target's results; default ``deployments/<model>/<target>``.
        device: Name of a device, or ``ssh://[user@]host[:port]``, where everything is measured; None: here.
        quick: One epoch of everything: to see that it works, not for figures.
        reproducible: ``decisions.json`` of an earlier run, whose choices by timing are made again.
        show_progress: Whether progress is printed on standard error.

    Returns:
        For each target its report and where its files are.

    Raises:
        EdgewrightError: when it cannot be done; ``exit_code`` says of what kind, as the command line ends.
    """
    if "torch" not in sys.modules:  # which has decided by then how its idle threads wait
        from pipeline.threads import rest_between_work

        rest_between_work()
    from benchmarks.workers.workplace import HERE
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import make_plan
    from pipeline.devices.device import reached
    from pipeline.planning.given_decisions import read_decisions
    from pipeline.recipe.dotted import dotted
    from pipeline.recipe.reading import QUICK, read_recipe
    from pipeline.runner.deploy import deploy as run
    from pipeline.runner.reproduced import for_given_target
    from pipeline.store import Store, default_root

    typed: dict[str, Any] = {
        "model": model,
        "data.source": None if data is None else str(data),
        "weights": None if weights is None else str(weights),
        "targets": list(targets) or None,
        "skip": list(skip) or None,
    }
    store, progress = Store(default_root()), _progress(show_progress)
    said = {key: value for key, value in typed.items() if value is not None}
    wishes = dotted(settings or {}, where="settings")
    asked = read_recipe(recipe, {**said, **(QUICK if quick else {}), **wishes})
    given = None if reproducible is None else read_decisions(reproducible)
    with reached(device, progress, lasting=True) as there:
        plan = make_plan(for_given_target(asked, given), store, progress, place=there or HERE)
        return run(Chain(plan, store, progress, lambda _: None, given=given), out=out)


def verify(folder: Path | str) -> Bundle:
    """The bundle in a folder, once every byte of it is what its manifest says.

    Raises:
        EdgewrightError: when it is not.
    """
    return Bundle.open(folder)


def measure(
    bundle: Path | str,
    *,
    data: str | Path | None = None,
    threads: int | None = None,
    quick: bool = False,
    show_progress: bool = False,
) -> BundleMeasurement:
    """How fast, how large in memory and how accurate a bundle is on this machine, in fresh processes.

    Args:
        bundle: Its folder.
        data: Images to measure with; None: those it was made with.
        threads: Of the runtime; None: as the bundle says.
        quick: Three processes instead of ten.
        show_progress: Whether progress is printed on standard error.

    Raises:
        EdgewrightError: when the bundle is damaged or does not run here.
    """
    from benchmarks.solo import FULL, QUICK
    from exporters.bundle import read_bundle
    from pipeline.measuring.bundle_measurement import measure_bundle

    found, progress = read_bundle(Path(bundle)), _progress(show_progress)
    images = _images(found, data, progress)
    return measure_bundle(found, images, QUICK if quick else FULL, progress, threads=threads)


def gate(
    baseline: Path | str,
    candidate: Path | str,
    *,
    data: str | Path | None = None,
    effort: Literal["quick", "default", "strict"] = "default",
    threads: int | None = None,
    show_progress: bool = False,
) -> Comparison:
    """Whether one bundle is slower, bigger or less accurate than another; both run side by side on this machine.

    Args:
        baseline: Folder of the bundle that is held against.
        candidate: Folder of the bundle that is judged.
        data: Images to judge with; None: those the baseline was made with.
        effort: How much evidence.
        threads: Of both runtimes; None: as each bundle says.
        show_progress: Whether progress is printed on standard error.

    Returns:
        The verdict and everything it rests on; ``exit_code`` as the command line would end.

    Raises:
        EdgewrightError: when a bundle is damaged or does not run here, or the two cannot be compared.
    """
    from benchmarks.statistics.margins import EFFORTS
    from exporters.bundle import read_bundle
    from pipeline.gate.two_bundles import GateOptions
    from pipeline.gate.two_bundles import gate as run

    first, second = read_bundle(Path(baseline)), read_bundle(Path(candidate))
    progress = _progress(show_progress)
    options = GateOptions(effort=EFFORTS[effort], threads=threads)
    return run(first, second, _images(first, data, progress), options, progress)


def network(file: Path | str, model: str | None = None) -> nn.Module:
    """The network of a deployment, distilled and pruned as it was exported: to look at, or to train further.

    Args:
        file: ``network.safetensors`` of the deployment's folder.
        model: ``path/to/file.py:factory`` of a network of one's own; None: the file names its builder.

    Returns:
        It in evaluation mode, on the CPU.

    Raises:
        EdgewrightError: for a file that is damaged, or not of that network.
    """
    from pipeline.models.open_network import open_network

    return open_network(Path(file), model)


def _images(bundle: VerifiedBundle, data: str | Path | None, progress: Progress) -> Dataset:
    from pipeline.measuring.bundle_images import images_for
    from pipeline.store import Store, default_root

    return images_for(bundle, None if data is None else str(data), Store(default_root()), progress)


def _progress(shown: bool) -> Progress:  # noqa: FBT001 - what the caller was asked
    from pipeline.progress import SilentProgress

    if not shown:
        return SilentProgress()
    from pipeline.cli.console import progress

    return progress()
