"""The teachers together as they would run on a target: what they say joined, what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporters.ensemble import Member, ensemble_spec
from pipeline.artifact import ArtifactKind, sha256_of_json
from pipeline.catalog import JOINERS, OPENERS
from pipeline.chain.engine_measurement import measure
from pipeline.copying import copy_folder
from pipeline.data.unchanged import refuse_changed
from pipeline.import_path import object_at
from pipeline.session import EngineSpec
from pipeline.tasks import Accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Outputs
    from pipeline.stage import Teacher
    from pipeline.stages.distill import Distill
    from pipeline.tasks import Task

__all__ = ["Ensemble", "answers_alone", "measured_ensemble", "weighed_otherwise"]

_RECORDS = "ensembles"
_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """What the teachers are together.

    Attributes:
        accuracy: Of what they say together on the test split.
        p50_s: All members one after another, seconds.
        size_bytes: Of all.
        memory_bytes: Peak of a process that holds them all; None where that is not told.
        params: Of all.
        summed: Whether latency and memory are those of the members, each measured alone, added up.
    """

    accuracy: Accuracy
    p50_s: float
    size_bytes: int
    memory_bytes: int | None
    params: int
    summed: bool


def answers_alone(teachers: Sequence[Teacher]) -> tuple[str, ...]:
    """The teachers of which only answers are known, and these on training images: no ensemble of them can be run."""
    return tuple(teacher.name for teacher in teachers if teacher.network is None)


def weighed_otherwise(teaching: Distill) -> bool:
    """Whether the teachers count otherwise for their student than where they run together, which is all alike."""
    weighting = teaching.weighting
    alike = len(set(weighting)) == 1 if isinstance(weighting, tuple) else weighting == "uniform"
    return not alike and len(teaching.teachers or ()) > 1


def measured_ensemble(chain: Chain, target: Target, teachers: Sequence[Teacher]) -> Ensemble:
    """All teachers in one process, one after another, what they say joined.

    Members that want images of other sizes cannot share an input: each is then measured alone, with its own.

    Args:
        chain: The run; its target can run.
        target: Where they would run.
        teachers: All networks, with their answers, which say what kind of output each has.
    """
    networks = [teacher.network for teacher in teachers if teacher.network is not None]
    params = sum(network.artifact.facts["params"] for network in networks)
    plan = chain.plan
    about = [chain.about(parts) for parts in plan.teachers]
    if len(networks) == 1:
        return _whole(about[0].measured(networks[0].artifact, target), params)
    engines = [own.engine(network.artifact, target) for own, network in zip(about, networks, strict=True)]
    told = [one.answers.facts["answers"] for one in teachers]
    if any(_geometry(parts.preprocess) != _geometry(plan.parts.preprocess) for parts in plan.teachers):
        return _one_by_one(chain, target, engines, told, params)
    with chain.phases.during("measuring"):
        return _whole(measure(_joined(chain, engines, told), target, plan, chain.store, chain.progress), params)


def _whole(measured: Measured, params: int) -> Ensemble:
    return Ensemble(
        accuracy=measured.accuracy,
        p50_s=measured.p50_s,
        size_bytes=measured.size_bytes,
        memory_bytes=measured.solo.memory_bytes()[0].get("peak"),
        params=params,
        summed=False,
    )


def _one_by_one(
    chain: Chain, target: Target, engines: Sequence[Artifact], told: Sequence[Json], params: int
) -> Ensemble:
    """Each with its own input; what they cost is added up, since they would run one after another."""
    chain.progress.note("the ensemble's members want images of other sizes: each is measured alone, and all added up")
    about = [chain.about(parts) for parts in chain.plan.teachers]
    alone = [own.measured(engine, target) for own, engine in zip(about, engines, strict=True)]
    peaks = [one.solo.memory_bytes()[0].get("peak") for one in alone]
    with chain.phases.during("measuring"):
        accuracy = _accuracy_together(chain, target, engines, told)
    return Ensemble(
        accuracy=accuracy,
        p50_s=sum(one.p50_s for one in alone),
        size_bytes=sum(one.size_bytes for one in alone),
        memory_bytes=None if None in peaks else sum(peak for peak in peaks if peak),
        params=params,
        summed=True,
    )


def _accuracy_together(chain: Chain, target: Target, engines: Sequence[Artifact], told: Sequence[Json]) -> Accuracy:
    """Of what they say of each image, joined; from the store where nothing that decides it changed."""
    plan = chain.plan
    task, test = plan.parts.task, plan.parts.dataset.test
    specs = [EngineSpec.from_json(engine.facts["engine"]) for engine in engines]
    key = sha256_of_json(
        {
            "version": _VERSION,
            "members": [
                {"engine": engine.sha256, "answers": said, "preprocess": parts.preprocess.model_dump(mode="json")}
                for engine, said, parts in zip(engines, told, plan.teachers, strict=True)
            ],
            "machine": plan.place.identity,
            "settings": target.settings(),
            "test": plan.parts.dataset.split_identity("test"),
            "task": task.identity(),
            "versions": dict(plan.place.versions(target.distributions)),
        }
    )
    with chain.store.exclusive(f"{_RECORDS}-{key}"):
        known = chain.store.get_record(_RECORDS, key)
        if known is not None:
            return Accuracy.from_json(known)
        said_by_each = []
        for engine, spec, parts in zip(engines, specs, plan.teachers, strict=True):
            outputs = plan.place.collect_outputs(
                engine.root, spec, OPENERS[spec.target], test, parts.preprocess, chain.progress
            )
            said_by_each.append(parts.task.in_images(outputs, test, parts.preprocess))
        accuracy = task.score(_said_together(task, said_by_each, told), test)
        refuse_changed(test)
        chain.store.put_record(_RECORDS, key, accuracy.to_json())
    return accuracy


def _said_together(task: Task, said_by_each: Sequence[Sequence[Outputs]], told: Sequence[Json]) -> list[Outputs]:
    """Image by image what the members say together, as the session of an ensemble says it.

    Args:
        task: Of all.
        said_by_each: The members' outputs, as of :meth:`~pipeline.tasks.contract.outputs.OutputContract.in_images`.
        told: What is to be known of each member's.
    """
    joined = object_at(JOINERS[task.name])
    told = [task.told_in_images(one) for one in told]
    return [
        tuple(one[0] for one in joined([tuple(np.asarray(part)[None] for part in said) for said in of_image], told))
        for of_image in zip(*said_by_each, strict=True)
    ]


def _geometry(preprocess: PreprocessSpec) -> PreprocessSpec:
    """What of it decides which pixels are seen: all but the normalisation."""
    count = len(preprocess.mean)
    return preprocess.model_copy(update={"mean": (0.0,) * count, "std": (1.0,) * count})


def _renormalising(
    ours: PreprocessSpec, theirs: PreprocessSpec, dtype: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Scale and offset of each channel from inputs of the student to those of a teacher; None where they are alike.

    An engine that takes bytes normalises them itself.
    """
    change = None if dtype == "uint8" else ours.renormalising(theirs)
    return (None, None) if change is None else (change.scale, change.offset)


def _joined(chain: Chain, engines: Sequence[Artifact], answers: Sequence[Json]) -> Artifact:
    """One engine artifact of all members, each in a folder of its number."""
    members = []
    for engine, told, parts in zip(engines, answers, chain.plan.teachers, strict=True):
        spec = EngineSpec.from_json(engine.facts["engine"])
        scale, offset = _renormalising(chain.plan.parts.preprocess, parts.preprocess, spec.input.dtype)
        members.append(Member(spec=spec, opener=OPENERS[spec.target], answers=told, scale=scale, offset=offset))
    with chain.store.workspace() as folder:
        for number, engine in enumerate(engines):
            copy_folder(engine.root, folder / str(number))
        spec = ensemble_spec(members, JOINERS[chain.plan.parts.task.name])
        facts = {"engine": spec.to_json(), "precision": "float", "dialect": None}
        return chain.store.commit(ArtifactKind.ENGINE, folder, facts)
