"""The bundle: everything a device needs, with a manifest that vouches for every byte."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters.bill_of_materials import BILL_OF_MATERIALS, bill_of_materials
from exporters.bundle_readme import doubts, public_name, readme
from exporters.device import verify
from exporters.provenance import PROVENANCE, statement
from pipeline.artifact import FileEntry, canonical_json, parse_json, sha256_of_file
from pipeline.environment import versions
from pipeline.errors import IntegrityError, first_line
from pipeline.leftovers import folder_beside, sweep
from pipeline.preprocess import PreprocessSpec
from pipeline.replacing import replace_folder
from pipeline.session import EngineSpec
from pipeline.store import room_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporters.provenance import Step
    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.environment import Machine

__all__ = ["Bundle", "Contents", "read_bundle", "run_script", "write_bundle"]

_DEVICE = Path(__file__).parent / "device"
_PIPELINE = Path(__file__).parent.parent / "pipeline"
_START, _END = "# --- the bundle's run.py starts here ---\n", "# --- the bundle's run.py ends here ---"
_TEXTS_BYTES = 1 << 17
"""Scripts, texts and a folder's own blocks, roomily."""
_TOLD: dict[str, type] = {
    "model": str, "task": str, "target": str, "precision": str, "machine": dict, "versions": dict, "provenance": dict
}  # fmt: skip
"""What every manifest tells, and the kind of it."""
_ARCHITECTURES = {"x86_64": ["x86_64", "amd64"], "aarch64": ["aarch64", "arm64"], "arm64": ["aarch64", "arm64"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What goes into a bundle besides the engine.

    Attributes:
        model: As typed by the user; only its last part is written, paths stay here.
        provenance: Stage name to the artifact it made, and what else tells where the model comes from.
        answers: What whoever reads the outputs has to know of them, in the task's own form; of a classification
            ``logits``, or ``probabilities`` of a network that ends in softmax or sigmoid.
        assumed: What nobody said and the accuracy rests on.
        doubts: What speaks against that, or against the training; of the model only its public name is written.
        steps: The stages that made the engine, in their order.
        versions: Of what the target's engines need, where it was measured; None: here.
    """

    model: str
    task: str
    preprocess: PreprocessSpec
    classes: Sequence[str]
    provenance: Mapping[str, Json]
    answers: Json = "logits"
    assumed: Sequence[str] = ()
    doubts: Sequence[str] = ()
    steps: Sequence[Step] = ()
    versions: Mapping[str, str | None] | None = None

    def versions_of(self, target: Target) -> dict[str, str | None]:
        """The versions of what a target's engines need."""
        found = self.versions if self.versions is not None else versions(target.runtime)
        return {name: found.get(name) for name in target.runtime}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes:
        sha256: Its identity: the hash of its manifest.
        signer: Name of the key that its signature says it was made with; None where it has none. Not checked.
        signature: Its bytes.
    """

    root: Path
    sha256: str
    spec: EngineSpec
    preprocess: PreprocessSpec
    classes: tuple[str, ...]
    manifest: Mapping[str, Any]
    signer: str | None = None
    signature: bytes | None = None


def write_bundle(
    engine: Artifact,
    target: Target,
    machine: Machine,
    contents: Contents,
    out: Path,
    *,
    refuse: Callable[[str], None] | None = None,
) -> Bundle:
    """Write the bundle folder ``out``, or where it leads; what stood there before is replaced in one step.

    The bytes depend on the engine and the contents alone: no time, no path, no name of this machine.

    Args:
        engine: What the target loads.
        target: Which.
        machine: That it was made for.
        contents: What else goes into it.
        out: The bundle's folder.
        refuse: Called with the bundle's identity before it is published; what it raises leaves all as it was.

    Raises:
        ResourceError: when the disk is full; what stood there before still does.
        IntegrityError: when the engine's files are not those it was made of; as before.
    """
    place = out.resolve()
    with ExitStack() as opened:
        with room_for("the bundle", out, engine.size_bytes + _TEXTS_BYTES):
            place.parent.mkdir(parents=True, exist_ok=True)
            work = opened.enter_context(folder_beside(place))
        with room_for("the bundle", out, engine.size_bytes + _TEXTS_BYTES):
            spec = EngineSpec.from_json(engine.facts["engine"])
            for entry in engine.files:
                shutil.copyfile(engine.root / entry.path, work / entry.path)
            _write_texts(work, engine, target, contents)
            _write_origin(work, spec, target, engine, contents)
            _write_manifest(work, spec, target, machine, engine, contents)
            if refuse is not None:
                refuse(sha256_of_file(work / verify.MANIFEST))
            _publish(work, place)
    sweep(place.parent)
    return read_bundle(out)


def read_bundle(root: Path) -> Bundle:
    """Verify a bundle and read what it says of itself; all of it of one publishing, also while another one comes.

    Raises:
        IntegrityError: when it is not what its manifest says.
    """
    return verify.of_one_folder(root, lambda: _read_bundle(root))


def _read_bundle(root: Path) -> Bundle:
    problems = verify.problems_of(os.fspath(root))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise IntegrityError(
            "this bundle is not what its manifest says",
            where=str(root),
            got=problems[0] + more,
            fix="copy it again from where it was made, or make it anew with `edgewright deploy`",
        )
    try:
        return _as_told(root)
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            "this bundle is whole, and yet none of ours",
            where=str(root),
            got=f"{type(error).__name__}: {first_line(error)}",
            fix="make it anew with `edgewright deploy`",
        ) from error


def _as_told(root: Path) -> Bundle:
    manifest = parse_json((root / verify.MANIFEST).read_bytes())
    for name, kind in _TOLD.items():
        if not isinstance(manifest[name], kind):
            message = f"{name} in {verify.MANIFEST} is {manifest[name]!r}"
            raise TypeError(message)
    signed = verify.read_signature(os.fspath(root))
    return Bundle(
        root=root,
        sha256=sha256_of_file(root / verify.MANIFEST),
        spec=EngineSpec.from_json(manifest["engine"]),
        preprocess=PreprocessSpec.model_validate_json((root / "preprocess.json").read_text(encoding="utf-8")),
        classes=tuple((root / "classes.txt").read_bytes().decode().split("\n")[:-1]),
        manifest=manifest,
        signer=signed and signed[0],
        signature=signed and signed[1],
    )


def _write_texts(work: Path, engine: Artifact, target: Target, contents: Contents) -> None:
    (work / "run.py").write_text(run_script(target, contents.task), encoding="utf-8")
    shutil.copyfile(_DEVICE / "verify.py", work / "verify.py")
    (work / "preprocess.json").write_text(
        canonical_json(contents.preprocess.model_dump(mode="json")) + "\n", encoding="utf-8"
    )
    (work / "classes.txt").write_bytes("".join(f"{name}\n" for name in contents.classes).encode())
    (work / "README.md").write_text(readme(engine, target, contents), encoding="utf-8")


def _write_origin(work: Path, spec: EngineSpec, target: Target, engine: Artifact, contents: Contents) -> None:
    """What the bundle is made of, then what everything so far was built from."""
    described = {
        "model": public_name(contents.model),
        "task": contents.task,
        "target": target.name,
        "precision": engine.facts["precision"],
    }
    data, runtime = contents.provenance.get("data", {}), contents.versions_of(target)
    loaded = [FileEntry.of(work, work / name) for name in spec.loaded]
    limits = (*contents.assumed, *doubts(contents))
    bill = bill_of_materials(described, spec, loaded, data=data, runtime=runtime, limits=limits)
    (work / BILL_OF_MATERIALS).write_text(canonical_json(bill) + "\n", encoding="utf-8")
    built = statement(described, contents.steps, _files_of(work), data=data, runtime=runtime)
    (work / PROVENANCE).write_text(canonical_json(built) + "\n", encoding="utf-8")


def _files_of(work: Path) -> list[FileEntry]:
    return [FileEntry.of(work, path) for path in sorted(path for path in work.rglob("*") if path.is_file())]


def run_script(target: Target, task: str) -> str:
    """The text of ``run.py``: what the runtime, the preprocessing and the task need, in one file.

    Args:
        target: Whose runtime.
        task: Name of the task, whose outputs it reads.
    """
    template = (_DEVICE / "run.py.template").read_text(encoding="utf-8")
    filled = {
        "@@PREPROCESS@@": _part_for_devices(_PIPELINE / "image_input.py"),
        "@@FOLDER@@": _part_for_devices(_DEVICE / "verify.py"),
        "@@RUNTIME@@": (_DEVICE / target.run_template).read_text(encoding="utf-8").strip(),
        "@@READING@@": _part_for_devices(_PIPELINE / "tasks" / "reading" / f"{task}.py"),
        "@@MODEL@@": (_DEVICE / f"run_{task}.py.template").read_text(encoding="utf-8").strip(),
        "@@DRAWING@@": _part_for_devices(_DEVICE / "drawing.py"),
        "@@NEEDS@@": _needs(target),
    }
    for name, text in filled.items():
        template = template.replace(name, text)
    return template


def _part_for_devices(module: Path) -> str:
    """The functions of a module of ours that stand in ``run.py`` too."""
    source = module.read_text(encoding="utf-8")
    functions = source[source.index(_START) + len(_START) : source.index(_END)].strip()
    return re.sub(r"NDArray\[[\w.]+\]", "NDArray", functions)


def _needs(target: Target) -> str:
    """What ``run.py`` imports, as a list in words."""
    *others, last = ("Pillow" if name == "pillow" else name for name in target.runtime)
    return f"{', '.join(others)} and {last}"


def _write_manifest(
    work: Path, spec: EngineSpec, target: Target, machine: Machine, engine: Artifact, contents: Contents
) -> None:
    files = _files_of(work)
    if changed := [entry.path for entry in engine.files if entry not in files]:
        raise IntegrityError(
            "the engine changed while it was copied into the bundle",
            where=str(engine.root),
            got=", ".join(changed),
            fix="start again; `edgewright store check` says whether the store is whole",
        )
    architectures = _ARCHITECTURES.get(machine.architecture, [machine.architecture.lower()])
    manifest = {
        "schema": verify.SCHEMA,
        "model": public_name(contents.model),
        "task": contents.task,
        "target": target.name,
        "precision": engine.facts["precision"],
        "dialect": engine.facts["dialect"],
        "answers": contents.answers,
        **({"nms": engine.facts["nms"]} if "nms" in engine.facts else {}),
        "engine": spec.to_json(),
        "machine": {"architectures": architectures, "isa": list(machine.isa)},
        "versions": contents.versions_of(target),
        "provenance": dict(contents.provenance),
        "files": [entry.to_json() for entry in files],
    }
    (work / verify.MANIFEST).write_text(verify.spelled(verify.sealed(manifest)) + "\n", encoding="utf-8")


def _publish(work: Path, out: Path) -> None:
    """Fsync everything, then put the new folder where the old one was."""
    for path in (*work.rglob("*"), work):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    replace_folder(work, out)  # what stood there is now in the temporary folder, which goes
