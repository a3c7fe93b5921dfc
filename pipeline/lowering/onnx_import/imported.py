"""An ONNX file as the float graph that calibration starts from: rewritten step by step, compared with the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import ParityError, ResourceError, UsageError, first_line
from pipeline.lowering.lower import PARITY_LIMIT, rounding_notes
from pipeline.lowering.onnx_import.answer_form import give_one_answer
from pipeline.lowering.onnx_import.child import OnnxChild
from pipeline.lowering.onnx_import.file_reference import FileReference
from pipeline.lowering.onnx_import.float32 import compute_in_float32
from pipeline.lowering.onnx_import.image_form import take_float_image
from pipeline.lowering.onnx_import.opset import opsets_to_try
from pipeline.lowering.parity import compare, named_images, probe_inputs
from pipeline.models.onnx_file import load_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.lowering.parity import Parity
    from pipeline.models.onnx_file import ImageInput, OnnxFile
    from pipeline.progress import Progress
    from pipeline.session import Array

__all__ = ["FloatFromOnnx", "Imported"]

_HALF_LIMIT = 2e-2
"""Largest difference to a file of 16-bit floats, as a fraction of the largest output: its own rounding, not ours."""
_LEAST_IR = 8
"""Before the fourth version of the format constants had to be listed among the inputs, and converters insist on it."""
_SAME = 1e-6
"""Two answers for the same image differ by no more, as a fraction of the largest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """How the import went.

    Attributes:
        opset: Of the graph that was written.
        max_relative_error: Largest difference to the file over the inputs compared.
        checked_inputs: How many inputs were compared.
        notes: What the user should know: which output was taken, what had to be done without.
    """

    opset: int
    max_relative_error: float
    checked_inputs: int
    notes: tuple[str, ...]


def FloatFromOnnx(  # noqa: N802, PLR0913 - conversions are named <Target>From<Source>
    file: OnnxFile,
    images: Sequence[Array],
    path: Path,
    *,
    classes: int,
    output: str | None,
    opset: int,
    progress: Progress,
) -> Imported:
    """Write the file's network to ``path``: float32 (1, 3, height, width) in, (1, classes) out, simplified.

    Args:
        file: The user's.
        images: Real inputs, each float32 (1, 3, height, width).
        path: Where to write.
        classes: That it has to answer for.
        output: Which of several outputs is the answer; None: the one called logits, or the first with that many scores.
        opset: Operator set to write, 17 to 20.
        progress: Told of what is tried.

    Raises:
        UsageError: when the file does not run, does not end, does not take the images, or does not answer for the
            classes.
        ParityError: when no form of it computes what the file computes.
    """
    import onnx

    where = str(file.path)
    model = load_onnx(file.path)
    with OnnxChild() as runner, OnnxChild() as rewriter:
        reference = FileReference(file, model, runner)
        shape = reference.choose_answer(images[0], asked=output, classes=classes)
        _check_answers(reference, images[0], where)
        plain = onnx.ModelProto()
        plain.CopyFrom(model)
        plain.ir_version = max(plain.ir_version, _LEAST_IR)
        halves = compute_in_float32(plain)
        take_float_image(plain, file.image, (images[0].shape[2], images[0].shape[3]))
        give_one_answer(plain, reference.answer, shape, reference.one_number)
        limit = _HALF_LIMIT if halves else PARITY_LIMIT
        inputs = _inputs(images, file.image)
        refused: list[str] = []
        forms = [(number, simplify) for number in opsets_to_try(file.opset, opset) for simplify in (True, False)]
        with progress.track(f"reading {file.path.name}", len(forms)) as ticker:
            for number, simplify in forms:
                name = f"opset {number}{'' if simplify else ', not simplified'}"
                try:
                    graph = rewriter.rewritten(plain, opset=number, simplify=simplify)
                    parity = compare(graph, reference, inputs, limit=limit)
                except (UsageError, ResourceError):
                    raise  # the file itself fails on an input, or memory is out
                except TimeoutError:
                    refused.append(f"{name}: rewriting it did not end")
                    continue
                except Exception as error:  # noqa: BLE001 - runtimes have no common base; the next is tried
                    refused.append(f"{name}: {first_line(error)}")
                    continue
                finally:
                    ticker.advance()
                if parity.relative_error <= limit:
                    onnx.save(graph, path)
                    return Imported(
                        opset=number,
                        max_relative_error=parity.relative_error,
                        checked_inputs=parity.inputs,
                        notes=_notes(file, parity, reference, refused, halves=halves),
                    )
                refused.append(f"{name}: {parity.difference}")
    raise ParityError(
        "no form of this ONNX file computes what the file computes",
        where=where,
        got="; ".join(refused),
        expected=f"a difference of at most {limit:g} of the largest output",
        fix=f"export it again with opset {opset}, for one image of a fixed size",
    )


def _check_answers(reference: FileReference, image: Array, where: str) -> None:
    """See that the file is one function of its input."""
    ((first,), (second,)) = (reference.outputs(image) for _ in range(2))
    if not np.isfinite(first).all():
        raise UsageError(
            "this ONNX file answers with values that are no numbers",
            where=where,
            got=f"for the first calibration image, in {reference.answer!r}",
            fix="look at its weights, and at the preprocessing (input.mean, input.std)",
        )
    if np.abs(first - second).max() > _SAME * (np.abs(first).max() or 1.0):
        raise UsageError(
            "this ONNX file answers the same image differently each time",
            where=where,
            fix="export it in evaluation mode",
        )


def _inputs(images: Sequence[Array], image: ImageInput) -> list[tuple[str, Array]]:
    """Real images and made-up ones; for a graph that takes bytes these are bytes as well."""
    if image.dtype != "uint8":
        return probe_inputs(images, tuple(images[0].shape))
    pixels = np.random.default_rng(0).integers(0, 256, images[0].shape).astype(np.float32)
    return [*named_images(images), ("zeros", np.zeros_like(pixels)), ("noise", pixels)]


def _notes(
    file: OnnxFile, parity: Parity, reference: FileReference, refused: Sequence[str], *, halves: bool
) -> tuple[str, ...]:
    image, answer = file.image, reference.answer
    told: list[Any] = [f"form refused: {reason}" for reason in refused]
    if len(file.outputs) > 1:
        told.append(f"of {len(file.outputs)} outputs {answer!r} is the answer; --set network.output=NAME takes another")
    if reference.one_number is not None:
        told.append(f"the file answers with one {reference.one_number}, taken as that of the second class")
    if halves:
        told.append("its 16-bit floats are float32 here, from which every precision is built")
    if image.batch is not None and image.batch > 1:
        told.append(f"the file takes {image.batch} images at once, the bundle one")
    return (*told, *rounding_notes(parity, "the file"))
