"""The README of a bundle: how to install and run it, and what of it is doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.bill_of_materials import BILL_OF_MATERIALS
from exporters.provenance import PROVENANCE
from pipeline.plain_markdown import line
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from exporters.bundle import Contents
    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.preprocess import PreprocessSpec

__all__ = ["doubts", "public_name", "readme"]


def readme(engine: Artifact, target: Target, contents: Contents) -> str:
    """The text of ``README.md``."""
    spec = EngineSpec.from_json(engine.facts["engine"])
    pinned = " ".join(f"{name}=={found}" for name, found in contents.versions_of(target).items() if found)
    shape = "x".join(str(side) for side in spec.input.shape)
    return (
        f"# {line(public_name(contents.model))} for {target.name}\n\n"
        f"{contents.task.capitalize()}, {len(contents.classes)} classes, input {spec.input.dtype} {shape}"
        f"{_told_of_bytes(spec, contents.preprocess)}.\n\n"
        "```\n"
        f"pip install {pinned}\n"
        "python run.py IMAGE        # what the model says of it (--help); from Python: `from run import Model`\n"
        "python verify.py           # is this bundle still what was made? (standard library only)\n"
        "```\n\n"
        f"`{spec.model}` is what the runtime loads, `preprocess.json` how an image becomes its input, `classes.txt`\n"
        "the classes in the order of its outputs, `manifest.json` the hash of every file and where they come from,\n"
        f"`{PROVENANCE}` what was built from which recipe and sources, `{BILL_OF_MATERIALS}` what it consists of\n"
        "and needs.\n"
        + _told_of_suppression(engine)
        + "".join(
            f"\nAssumed when it was made, since nobody said otherwise: {line(text)}.\n" for text in contents.assumed
        )
        + "".join(f"\nDoubtful when it was made: {line(text)}\n" for text in doubts(contents))
    )


def doubts(contents: Contents) -> tuple[str, ...]:
    """What is doubted, without the folders of this machine."""
    return tuple(text.replace(contents.model, public_name(contents.model)) for text in contents.doubts)


def _told_of_suppression(engine: Artifact) -> str:
    """What whoever reads the outputs without run.py has to know of them."""
    if engine.facts.get("nms") != "graph":
        return ""
    return "\nThe model suppresses overlapping boxes itself: it gives detections, of which those of score 0 are none.\n"


def _told_of_bytes(spec: EngineSpec, preprocess: PreprocessSpec) -> str:
    """What a device that feeds bytes has to know, which is less than ``preprocess.json`` says."""
    if spec.input.dtype != "uint8":
        return ""
    order = "of a gray image" if preprocess.channels == "gray" else f"of an image in the order {preprocess.channels}"
    return f":\nthe bytes {order}; mean and standard deviation are in the model"


def public_name(model: str) -> str:
    """A model's name without the folders of this machine."""
    files = (".py", ".onnx")
    path = model if model.endswith(files) else model.rpartition(":")[0]  # of file.py:factory
    return model.replace("\\", "/").rpartition("/")[2] if path.endswith(files) else model
