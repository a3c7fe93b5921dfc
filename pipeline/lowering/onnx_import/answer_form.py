"""The graph's output as every later stage reads it: the one answer, (1, classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.lowering.canonical import names_used

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.models.source import OneNumber
    from pipeline.session import Array

__all__ = ["chosen_output", "give_one_answer", "kind_of_one_number", "two_scores"]

_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast"})

_CUSTOMARY = "logits"


def chosen_output(answers: Mapping[str, Array], *, asked: str | None, classes: int, where: str) -> str:
    """Which of a file's outputs is the answer.

    Args:
        answers: What the file answered for one image, by the names of its outputs, in their order.
        asked: Name or place of the one that the recipe names.
        classes: Of the data.
        where: The file.

    Raises:
        UsageError: when there is no such output, or the one meant holds no score for each class.
    """
    names = list(answers)
    if asked is not None:
        if asked not in names and not (asked.isdigit() and int(asked) < len(names)):
            raise UsageError("this graph has no such output", where=where, got=asked, expected=_named(answers))
        name = asked if asked in names else names[int(asked)]
    else:
        fitting = [name for name in names if _scores(answers[name], classes)]
        name = _CUSTOMARY if _CUSTOMARY in names else (fitting or names)[0]
    if not _scores(answers[name], classes):
        raise UsageError(
            f"this graph does not answer with {classes} classes",
            where=where,
            got=_named({name: answers[name]} if asked else answers),
            expected=f"scores of shape (1, {classes})",
            fix="name the classes that the network knows in the data's classes.txt, or the output with "
            "--set network.output=NAME",
        )
    return name


def _scores(answer: Array, classes: int) -> bool:
    """One score for each class, or one for two: that of the second."""
    return answer.dtype.kind == "f" and (answer.size == classes or (classes == 2 and answer.size == 1))


def kind_of_one_number(model: Any, name: str, shape: Sequence[int]) -> OneNumber | None:  # noqa: ANN401 - ModelProto
    """What the one number is that the graph answers with; None where it answers with several."""
    if int(np.prod(shape)) != 1:
        return None
    maker = {output: node for node in model.graph.node for output in node.output}
    while name in maker and maker[name].op_type in _MOVES:
        name = maker[name].input[0]
    return "probability" if name in maker and maker[name].op_type == "Sigmoid" else "logit"


def two_scores(column: Array, one_number: OneNumber) -> Array:
    """(1, 2) for one number: as :func:`pipeline.models.one_output.answer_with_one_tensor` does for networks."""
    first = 1 - column if one_number == "probability" else -0.5 * column
    second = column if one_number == "probability" else 0.5 * column
    return np.concatenate((first, second), axis=1)


def _named(answers: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {answer.dtype}{list(answer.shape)}" for name, answer in answers.items())


def give_one_answer(
    model: Any,  # noqa: ANN401 - ModelProto
    name: str,
    shape: Sequence[int],
    one_number: OneNumber | None = None,
) -> None:
    """Rewrite in place: the output of that name alone, as (1, classes), and only what it needs.

    Args:
        model: Computes in float32.
        name: Of the output.
        shape: That the file gave for one image, such as (1, 1000, 1, 1).
        one_number: Where that is one number for two classes, what it is.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, classes = model.graph, int(np.prod(shape))
    answer = name
    if tuple(shape) != (1, classes):
        answer = f"{name}_scores"
        graph.initializer.append(numpy_helper.from_array(np.array([1, classes], np.int64), f"{answer}_shape"))
        graph.node.append(helper.make_node("Reshape", [name, f"{answer}_shape"], [answer], name=answer))
    if one_number is not None:
        answer, classes = _append_two_scores(graph, answer, one_number), 2
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(answer, TensorProto.FLOAT, (1, classes)))
    needed, kept = {answer}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= names_used([node])
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _append_two_scores(graph: Any, answer: str, one_number: OneNumber) -> str:  # noqa: ANN401 - GraphProto
    """Nodes that compute :func:`two_scores`; returns the name of what they give."""
    from onnx import helper, numpy_helper

    made = f"{answer}_of_both"
    one, half = (numpy_helper.from_array(np.array([[value]], np.float32), f"{made}_{value}") for value in (1.0, 0.5))
    first, second = f"{made}_first", f"{made}_second"
    if one_number == "probability":
        graph.initializer.append(one)
        graph.node.append(helper.make_node("Sub", [one.name, answer], [first], name=first))
        second = answer
    else:
        graph.initializer.append(half)
        graph.node.append(helper.make_node("Mul", [answer, half.name], [second], name=second))
        graph.node.append(helper.make_node("Neg", [second], [first], name=first))
    graph.node.append(helper.make_node("Concat", [first, second], [made], name=made, axis=1))
    return made
