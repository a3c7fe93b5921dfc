"""The graph's output as every later stage reads it: the one answer, (1, classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.session import Array

__all__ = ["chosen_output", "give_one_answer"]

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
    return answer.dtype.kind == "f" and answer.size == classes


def _named(answers: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {answer.dtype}{list(answer.shape)}" for name, answer in answers.items())


def give_one_answer(model: Any, name: str, shape: Sequence[int]) -> None:  # noqa: ANN401 - ModelProto
    """Rewrite in place: the output of that name alone, as (1, classes), and only what it needs.

    Args:
        model: Computes in float32.
        name: Of the output.
        shape: That the file gave for one image, such as (1, 1000, 1, 1).
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph, classes = model.graph, int(np.prod(shape))
    answer = name
    if tuple(shape) != (1, classes):
        answer = f"{name}_scores"
        graph.initializer.append(numpy_helper.from_array(np.array([1, classes], np.int64), f"{answer}_shape"))
        graph.node.append(helper.make_node("Reshape", [name, f"{answer}_shape"], [answer], name=answer))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(answer, TensorProto.FLOAT, (1, classes)))
    needed, kept = {answer}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= _taken(node)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _taken(node: Any) -> set[str]:  # noqa: ANN401 - NodeProto
    """The tensors a node takes, those of its branches and loops too."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            names |= {output.name for output in inner.output}
            for own in inner.node:
                names |= _taken(own)
    return names
