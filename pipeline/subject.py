"""What a run is about: the network, its weights, the data, the preprocessing and the task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.artifact import Json
    from pipeline.data import Dataset, Sample
    from pipeline.models import ModelSource, WeightsSource
    from pipeline.preprocess import PreprocessSpec
    from pipeline.tasks import Task

__all__ = ["PARTS", "Parts", "Subject"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Everything a run is about, as the runner holds it."""

    model: ModelSource
    weights: WeightsSource
    dataset: Dataset
    preprocess: PreprocessSpec
    task: Task


PARTS = ("model", "weights", "train", "validation", "calibration", "preprocess", "task")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a stage may read of the parts: only what it declared.

    A forgotten declaration is thereby an error at once, and not a stale artifact later. The test split is in no
    subject: nothing that makes an artifact can see it.
    """

    parts: Parts
    readable: frozenset[str] = field(default=frozenset(PARTS))

    def restricted(self, reads: Iterable[str]) -> Subject:
        """A view in which only the named parts can be read, and of these only what could be read before."""
        return replace(self, readable=self.readable & frozenset(reads))

    def at(self, size: tuple[int, int]) -> Subject:
        """The same with inputs of another height and width."""
        return replace(self, parts=replace(self.parts, preprocess=self.parts.preprocess.at(size)))

    def identity(self) -> dict[str, Json]:
        """What of the readable parts decides a result, for the key: part name to its content's identity."""
        return {part: self._identity_of(part) for part in PARTS if part in self.readable}

    def _identity_of(self, part: str) -> Json:
        match part:
            case "model":
                return self.parts.model.identity()
            case "weights":
                return self.parts.weights.identity()
            case "train" | "validation" | "calibration":
                return self.parts.dataset.split_identity(part)
            case "preprocess":
                return self.parts.preprocess.model_dump(mode="json")
            case _:
                return self.parts.task.identity()

    def _check(self, part: str) -> None:
        if part not in self.readable:
            raise ContractError(
                f"a stage read {part!r} without declaring it",
                got=f"reads = {sorted(self.readable)}",
                fix=f"add {part!r} to the stage's `reads`, so that it enters the key",
            )

    @property
    def model(self) -> ModelSource:
        """How to build the network."""
        self._check("model")
        return self.parts.model

    @property
    def weights(self) -> WeightsSource:
        """What the network starts from."""
        self._check("weights")
        return self.parts.weights

    @property
    def preprocess(self) -> PreprocessSpec:
        """How images become inputs."""
        self._check("preprocess")
        return self.parts.preprocess

    @property
    def task(self) -> Task:
        """Loss, metric and deployable form."""
        self._check("task")
        return self.parts.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in the order of the outputs; part of the data."""
        if not self.readable & {"train", "calibration"}:
            self._check("train")
        return self.parts.dataset.classes

    @property
    def train(self) -> tuple[Sample, ...]:
        """The training images."""
        self._check("train")
        return self.parts.dataset.train

    @property
    def validation(self) -> tuple[Sample, ...]:
        """Held back from the training images; may be empty."""
        self._check("validation")
        return self.parts.dataset.validation

    @property
    def calibration(self) -> tuple[Sample, ...]:
        """The calibration images, disjoint from the test split."""
        self._check("calibration")
        return self.parts.dataset.calibration

    def images(self) -> tuple[Sample, ...]:
        """All images that can be read here."""
        dataset = self.parts.dataset
        splits = {"train": dataset.train, "validation": dataset.validation, "calibration": dataset.calibration}
        return tuple(sample for name, split in splits.items() if name in self.readable for sample in split)
