"""What the user's file answers under a runtime that rewrites nothing: the reference of everything made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.lowering.onnx_import.answer_form import chosen_output, kind_of_one_number, two_scores
from pipeline.lowering.onnx_import.child import ChildError

if TYPE_CHECKING:
    from pipeline.lowering.onnx_import.child import OnnxChild
    from pipeline.lowering.parity import Difference
    from pipeline.models.onnx_file import OnnxFile
    from pipeline.models.source import OneNumber
    from pipeline.session import Array

__all__ = ["FileReference"]

_LIMIT_S = 120.0
"""For one image: a hundred times what large networks take that are worth deploying to a small device."""


class FileReference:
    """The file, fed as it wants to be.

    Args:
        file: What is known of it.
        model: Its ModelProto, with weights.
        child: Where it is run; ended by whoever made it.

    Raises:
        UsageError: when ONNX Runtime does not take it.
    """

    def __init__(self, file: OnnxFile, model: Any, child: OnnxChild) -> None:  # noqa: ANN401 - ModelProto
        self._file, self._model, self._child = file, model, child
        self._session = self._opened(model)
        self._nudged: int | None = None
        self.answer = ""
        """The output that is compared, once it is chosen."""
        self.one_number: OneNumber | None = None
        """What that is, where it is one number for two classes."""

    def _opened(self, model: Any) -> int:  # noqa: ANN401 - ModelProto
        try:
            return self._child.load(model)
        except (ChildError, TimeoutError) as error:
            raise UsageError(
                "ONNX Runtime does not take this file",
                where=str(self._file.path),
                got=str(error) or "no end of loading it",
                fix="export it again with opset 18, and see that onnxruntime.InferenceSession opens it",
            ) from error

    def choose_answer(self, image: Array, *, asked: str | None, classes: int) -> tuple[int, ...]:
        """Settle which output is the answer; returns the shape that the file gives it in.

        Args:
            image: float32 (1, channels, height, width).
            asked: As of :func:`chosen_output`.
            classes: Of the data.

        Raises:
            UsageError: as of :func:`chosen_output` and :meth:`answers`.
        """
        answers = self.answers(image)
        self.answer = chosen_output(answers, asked=asked, classes=classes, where=str(self._file.path))
        shape = answers[self.answer].shape
        self.one_number = kind_of_one_number(self._model, self.answer, shape) if classes == 2 else None
        return shape

    def answers(self, image: Array) -> dict[str, Array]:
        """Every output for one image, as the file gives it for the first of its batch.

        Args:
            image: float32 (1, channels, height, width).

        Raises:
            UsageError: when the file fails on it, does not end, or answers with something else than tensors.
        """
        return self._run(self._session, image)

    def _run(self, session: int, image: Array) -> dict[str, Array]:
        given = self._file.image
        batch = image.transpose(0, 2, 3, 1) if given.layout == "NHWC" else image
        if given.dtype == "uint8":
            batch = np.clip(np.rint(batch), 0, 255)
        count = given.batch or 1
        batch = np.ascontiguousarray(np.repeat(batch, count, axis=0).astype(given.dtype))
        try:
            values = self._child.run(session, given.name, batch, limit_s=_LIMIT_S * count)
        except TimeoutError as error:
            raise UsageError(
                "running this ONNX file does not end",
                where=str(self._file.path),
                got=f"no answer to {count} image{'s' if count > 1 else ''} within {_LIMIT_S * count:g} s",
                expected="a network that answers in seconds",
                fix="look at its loops (Loop, Scan): how many turns they make; or export it without control flow",
            ) from error
        except ChildError as error:
            shown = "x".join(map(str, batch.shape))
            raise UsageError(
                f"this file does not take an input of {shown}",
                where=str(self._file.path),
                got=str(error),
                fix="set input.size to what it was made for",
            ) from error
        named = dict(zip(self._file.outputs, values, strict=True))
        tensors = {name: value for name, value in named.items() if value is not None}
        if len(tensors) < len(named):
            raise UsageError(
                "this file answers with something else than tensors",
                where=str(self._file.path),
                got=next(name for name in named if name not in tensors),
                expected="tensors of scores",
                fix="export it without that output, such as the list of maps that scikit-learn's converter appends",
            )
        return {name: value[:1] if count > 1 and value.ndim else value for name, value in tensors.items()}

    def outputs(self, image: Array) -> list[Array]:
        """The chosen answer as float32 (1, classes)."""
        return [self._scores(self.answers(image))]

    def _scores(self, answers: dict[str, Array]) -> Array:
        scores = answers[self.answer].astype(np.float32).reshape(1, -1)
        return scores if self.one_number is None else two_scores(scores, self.one_number)

    def own_rounding(self, image: Array, outputs: list[Array], difference: Difference) -> float:
        """How far the answer moves when every weight moves by half a unit of float32's last place."""
        if self._nudged is None:
            self._nudged = self._opened(_nudged(self._model))
        return difference(outputs, [self._scores(self._run(self._nudged, image))])


def _nudged(model: Any) -> Any:  # noqa: ANN401 - ModelProto
    import onnx
    from onnx import TensorProto, numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    generator = np.random.default_rng(0)
    for item in copy.graph.initializer:
        if item.data_type == TensorProto.FLOAT:
            value = numpy_helper.to_array(item)
            signs = generator.choice([-1.0, 1.0], value.shape)
            item.CopyFrom(numpy_helper.from_array((value * (1 + signs * 2.0**-24)).astype(np.float32), item.name))
    return copy
