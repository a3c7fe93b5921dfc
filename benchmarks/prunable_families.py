"""What pruning makes of every family of torchvision, classifiers and detectors: a small member, from network to INT8.

``python -m benchmarks.prunable_families`` prints the rows of docs/stages/prune.md; names choose some families.

Each network has random weights, since what can be cut does not depend on them, and half of its channels go. It is
written and read back as the pruner leaves it, lowered to ONNX, held against PyTorch in ONNX Runtime, quantised with
random images and run again. Nothing is trained, so nothing here says how accurate a pruned network becomes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import EdgewrightError
from pipeline.threads import rest_between_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.models.source import ModelSource
    from pipeline.session import Array
    from pipeline.tasks import Task

__all__ = ["FAMILIES", "Family", "Pruned", "main", "prune_family", "quantise"]

_CLASSES = 10
_IMAGES = 8
_DIALECT = "ort-x86"


@dataclass(frozen=True, slots=True)
class Family:
    """A small member of a family.

    Attributes:
        name: Of torchvision's.
        side: Pixels of a side of its input: 64, or the least the member takes.
    """

    name: str
    side: int = 64

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of its input, with the batch."""
        return (1, 3, self.side, self.side)


FAMILIES = (
    Family("alexnet"),
    Family("vgg11_bn"),
    Family("resnet18"),
    Family("resnext50_32x4d"),
    Family("densenet121"),
    Family("squeezenet1_1"),
    Family("googlenet"),
    Family("inception_v3", 75),
    Family("mobilenet_v2"),
    Family("mobilenet_v3_small"),
    Family("mnasnet0_5"),
    Family("shufflenet_v2_x0_5"),
    Family("efficientnet_b0"),
    Family("efficientnet_v2_s"),
    Family("regnet_y_400mf"),
    Family("convnext_tiny"),
    Family("vit_b_32", 224),
    Family("swin_t"),
    Family("swin_v2_t"),
    Family("maxvit_t", 224),
    Family("ssdlite320_mobilenet_v3_large", 160),
    Family("ssd300_vgg16", 300),
    Family("retinanet_resnet50_fpn_v2", 128),
    Family("fcos_resnet50_fpn", 128),
    Family("fasterrcnn_mobilenet_v3_large_320_fpn", 160),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """A pruned network, rebuilt from what was written of it, and its graph.

    Attributes:
        params: Before and after.
        macs: Multiply-accumulates of an image, before and after.
        by_parts: Whether only channels inside blocks and heads could go.
        blocks: How many residual blocks it had that can be left out.
        rebuilt: The network as it was read back, in eval mode.
        difference: Of its answers, a detector's heads', to those of the network that was written; of the largest.
        exporter: Of torch's, whose graph was kept.
        onnx_difference: Of ONNX Runtime's answers to PyTorch's, of the largest.
    """

    params: tuple[int, int]
    macs: tuple[int, int]
    by_parts: bool
    blocks: int
    rebuilt: nn.Module
    difference: float
    exporter: str
    onnx_difference: float


def prune_family(family: Family, folder: Path, *, ratio: float = 0.5, blocks: int = 0) -> Pruned:
    """Prune, write, read back, lower to ``float.onnx``, compare.

    Args:
        family: Which member.
        folder: Where to write; exists.
        ratio: Fraction of the channels that go; 0: none.
        blocks: How many residual blocks go, the first ones.

    Raises:
        EdgewrightError: when it cannot be pruned, or its graph computes something else.
    """
    import torch

    from pipeline.lowering.lower import lower
    from pipeline.lowering.parity import answers_of
    from pipeline.models.build import build_network
    from pipeline.models.count import count_macs, count_parameters
    from pipeline.models.files import load_network, save_network
    from pipeline.models.resolve import resolve_model
    from pipeline.pruning.channel_groups import ChannelGroups
    from pipeline.pruning.kept_channels import kept_channels
    from pipeline.pruning.residual_blocks import remove_blocks, residual_blocks
    from pipeline.tasks.classification import Classification
    from pipeline.tasks.detection.detection import Detection

    torch.manual_seed(0)
    source: ModelSource = resolve_model(family.name)
    task: Task = Detection() if source.task == "detection" else Classification()
    network = build_network(source, classes=_CLASSES)
    _let_all_weights_count(_seen(network, task, family), family)
    before = count_parameters(network), count_macs(network, family.shape)
    found = residual_blocks(network, family.shape)
    remove_blocks(network, found[:blocks])
    cutter = ChannelGroups(
        network,
        input_shape=family.shape,
        outputs=_CLASSES,
        follow=lambda whole: task.followed(whole, family.shape),
    )
    if ratio:
        groups = cutter.groups()
        whole = {group.root: group.channels for group in groups}
        cutter.cut(kept_channels(groups, ratio=ratio, scope="layer", round_to=8, of=whole))
    save_network(network, source, folder, classes=_CLASSES)
    rebuilt = load_network(folder, source)
    batch = torch.cat([torch.from_numpy(image) for image in _images(family, 2)])
    ours, theirs = (_answers(_seen(one, task, family), batch) for one in (rebuilt, network))
    form = task.deployable(rebuilt, family.shape)
    lowered = lower(form, _images(family, 2), folder / "float.onnx", answers=answers_of(task))
    return Pruned(
        params=(before[0], count_parameters(rebuilt)),
        macs=(before[1], count_macs(rebuilt, family.shape)),
        by_parts=cutter.by_parts,
        blocks=len(found),
        rebuilt=rebuilt,
        difference=max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True)),
        exporter=lowered.exporter,
        onnx_difference=lowered.max_relative_error,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantised:
    """A graph in INT8, as ONNX Runtime runs it.

    Attributes:
        int8: How many of its convolutions and matrix products are.
        total: Of how many.
        noise: Energy of the answers' difference to the float graph's, over that of the float graph's; of a detector
            what it chooses its candidates from.
    """

    int8: int
    total: int
    noise: float


def quantise(folder: Path, family: Family) -> Quantised:
    """Make ``qdq-ort-x86.onnx`` of the folder's ``float.onnx``, with ranges over random images, and run both.

    Args:
        folder: Written by :func:`prune_family`.
        family: Whose images it takes.
    """
    import onnx

    from pipeline.progress import SilentProgress
    from pipeline.quantization.choices import smooth_outputs, watching
    from pipeline.quantization.coverage import int8_coverage
    from pipeline.quantization.dialects import dialect_named
    from pipeline.quantization.graph import Graph
    from pipeline.quantization.observe import observe
    from pipeline.quantization.plan import tensors_to_observe
    from pipeline.quantization.ranges import METHODS
    from pipeline.quantization.sensitivity import outputs_of
    from pipeline.quantization.write import QdqFromFloat
    from pipeline.tasks.noise import output_noise

    model = onnx.load(folder / "float.onnx")
    images = _images(family, _IMAGES)
    with SilentProgress().track("watching", 2 * len(images)) as ticker:
        seen = observe(model, tensors_to_observe(Graph(model)), lambda: images, ticker)
    ranges = {name: limits for name, one in seen.items() if (limits := METHODS["mse"](one.histogram))}
    means = {name: one.channel_mean for name, one in seen.items() if one.channel_mean is not None}
    quantised = QdqFromFloat(model, ranges, dialect_named(_DIALECT), means=means)
    path = folder / f"qdq-{_DIALECT}.onnx"
    onnx.save(quantised, path)
    coverage = int8_coverage(path)
    watched = smooth_outputs(Graph(model))("")
    noise = output_noise(*(outputs_of(watching(one, watched), images) for one in (quantised, model)))
    return Quantised(int8=coverage.int8, total=coverage.total, noise=noise)


def _seen(network: nn.Module, task: Task, family: Family) -> nn.Module:
    """The network, or of a detector what leads to its heads' answers: one tensor in."""
    followed = task.followed(network, family.shape)
    return network if followed is None else followed.module


def _answers(network: nn.Module, batch: Tensor) -> tuple[Tensor, ...]:
    import torch

    with torch.no_grad():
        said = network(batch)
    return said if isinstance(said, tuple) else (said,)


def _images(family: Family, count: int) -> list[Array]:
    """Normal noise, the same each time."""
    import numpy as np

    draw = np.random.default_rng(0)
    return [draw.standard_normal(family.shape, dtype=np.float32) for _ in range(count)]


def _let_all_weights_count(network: nn.Module, family: Family) -> None:
    """Some networks start with weights of zero, as for the classes: what is wrong behind these would not be seen.

    Batch norms get the statistics of noise, without which answers of deep networks vanish or overflow. In eval mode
    afterwards.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
        network.train()(torch.cat([torch.from_numpy(image) for image in _images(family, _IMAGES)]))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    network.eval()


def _row(family: Family, folder: Path) -> str:
    try:
        pruned = prune_family(family, folder)
    except EdgewrightError as error:
        return f"| {family.name} | {family.side} | stays dense: {error.what}: {error.got} |"
    quantised = quantise(folder, family)
    params, macs = (
        " → ".join(f"{number / 1e6:{'.0f' if number >= 1e8 else '.2f'}} M" for number in counted)
        for counted in (pruned.params, pruned.macs)
    )
    return (
        f"| {family.name} | {family.side} | {params} | {macs} | {'inside blocks' if pruned.by_parts else 'all'} "
        f"| {pruned.blocks} | {pruned.onnx_difference:.0e} | {quantised.int8} of {quantised.total} "
        f"| {100 * quantised.noise:.2g} % |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row a family."""
    parser = argparse.ArgumentParser(description="every torchvision family, pruned, exported, in INT8")
    parser.add_argument("names", nargs="*", help="members; default: all")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - {family.name for family in FAMILIES})
    if unknown:
        parser.error(f"no such member: {', '.join(unknown)}; there are {', '.join(one.name for one in FAMILIES)}")
    rest_between_work()
    for family in FAMILIES:
        if not asked.names or family.name in asked.names:
            with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
                sys.stdout.write(_row(family, Path(folder)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
