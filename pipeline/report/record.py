"""The report as data: the only source of every rendering. Seconds, bytes, fractions of 1."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.artifact import Json  # noqa: TC001 - pydantic reads it
from pipeline.report.choice_record import MeasuredChoice  # noqa: TC001 - as above
from pipeline.report.comparison import Comparison  # noqa: TC001 - as above
from pipeline.report.example_record import ExampleEntry  # noqa: TC001 - as above
from pipeline.report.goal_record import GoalEntry  # noqa: TC001 - as above
from pipeline.report.training_record import TrainingEntry  # noqa: TC001 - as above

__all__ = [
    "AccuracyFigure",
    "BundleEntry",
    "DamageEntry",
    "FloatNode",
    "HistoryPoint",
    "Latency",
    "MachineEntry",
    "Memory",
    "PairedChange",
    "QuantizationEntry",
    "Report",
    "StageRow",
    "StudentEntry",
    "TeacherEntry",
    "Verdict",
]

_Seconds = Annotated[float, Field(gt=0)] | None
_Bytes = Annotated[int, Field(gt=0)] | None
_Interval = Annotated[tuple[float, float], Field(description="95 %")] | None


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Latency(_Record):
    """One inference on the target, seconds; a percentile is null when the samples cannot carry it."""

    p50: _Seconds = None
    p90: _Seconds = None
    p95: _Seconds = None
    p99: _Seconds = None
    n: Annotated[int, Field(ge=0)] = 0


class Memory(_Record):
    """Resident bytes of a fresh process: after importing the runtime, loading, running; and the peak."""

    import_: _Bytes = Field(default=None, alias="import")
    load: _Bytes = None
    run: _Bytes = None
    peak: _Bytes = None


class AccuracyFigure(_Record):
    """The task's metric over the whole test split."""

    metric: str
    value: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=0)] = 0


class StageRow(_Record):
    """One stage and what the model is after it. A number that was not measured is null, and a note says why."""

    name: str
    status: Literal["ran", "cached", "skipped"]
    wall_s: Annotated[float, Field(ge=0)] | None = None
    params: Annotated[int, Field(gt=0)] | None = None
    macs: Annotated[int, Field(gt=0)] | None = None
    size_bytes: _Bytes = None
    latency_s: Latency = Latency()
    memory_bytes: Memory = Memory()
    accuracy: AccuracyFigure
    artifact_sha256: str | None = None
    measured_on: str | None = Field(
        default=None,
        description="the device of latency, memory and accuracy; null: the machine it was made on, or none",
    )
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _absence_has_a_reason(self) -> StageRow:
        figures = (
            self.params, self.macs, self.size_bytes, self.accuracy.value,
            self.latency_s.p50, self.latency_s.p90, self.latency_s.p95, self.latency_s.p99,
            self.memory_bytes.import_, self.memory_bytes.load, self.memory_bytes.run, self.memory_bytes.peak,
        )  # fmt: skip
        if None in figures and not self.notes:
            message = f"stage {self.name!r} has a figure that is null and no note that says why"
            raise ValueError(message)
        return self


class MachineEntry(_Record):
    """Where it was measured; no host or user name."""

    cpu: str
    architecture: str
    cores: int
    ram_gib: int
    isa: tuple[str, ...]
    system: str
    class_: str = Field(alias="class")
    device: str | None = Field(default=None, description="what the user calls it; null: the machine it was made on")
    versions: dict[str, str | None]


class PairedChange(_Record):
    """How much more accurate one stage is than another on the same images, with Newcombe's 95 % interval."""

    change: float
    low: float
    high: float
    n: Annotated[int, Field(gt=0)]


class Verdict(_Record):
    """What came of it.

    Attributes:
        status: ``ok`` when the goals are held and the whole interval does not say slower than the baseline, ``missed``
            when not; where a gate was run, what it says.
        missed: Whether that was ``missed`` before a gate was run.
        sentence: One line for people, with the figures that matter.
        speedup: Baseline's median time over that of what is shipped, side by side; null where nothing was measured or
            the machine could not tell.
        speedup_low: Lower end of its interval, each end at 95 %; null where there were too few processes.
        speedup_high: Upper end. All three are exactly 1 where the baseline's own engine is shipped, which is not timed.
        shrink: Baseline bytes over the shipped bytes.
        accuracy_change: Shipped minus baseline, fraction of 1.
        agreement: Fraction of the test images on which what is shipped answers like its float network.
    """

    status: Literal["ok", "missed", "improved", "regressed", "inconclusive", "unfit", "unmeasured"]
    missed: bool = False
    sentence: str
    precision: str
    speedup: float | None = None
    speedup_low: float | None = None
    speedup_high: float | None = None
    shrink: float | None = None
    accuracy_change: float | None = None
    agreement: float | None = None


class TeacherEntry(_Record):
    """A member of the ensemble that the student learned from; ``wall_s`` is what its training took."""

    model: str
    params: int
    size_bytes: int
    p50_s: float
    memory_bytes: _Bytes = None
    accuracy: float
    interval: _Interval = None
    calibration_error: float | None = None
    wall_s: float


class StudentEntry(_Record):
    """A student; ``agreement`` is with the ensemble, ``wall_s`` what its training took."""

    params: int
    size_bytes: int
    p50_s: float
    memory_bytes: _Bytes = None
    accuracy: float
    interval: _Interval = None
    calibration_error: float | None = None
    agreement: float | None = None
    wall_s: float


class SeedEntry(_Record):
    """The student's accuracy from one seed, without and with its teachers; ``way`` as of the ensemble, of this seed."""

    seed: int
    untaught: float
    distilled: float
    way: float | None = None


class EnsembleEntry(_Record):
    """The teachers together, as they would run, and what the student has of them.

    Attributes:
        members: How many teachers.
        accuracy: Of what they say together on the test split (classification: the mean of their probabilities); null
            as all that is of them together where they were not measured.
        interval: Of that, 95 %.
        p50_s: All members one after another, seconds.
        memory_bytes: Peak of a process that holds them all.
        summed: Whether latency and memory are those of the members, each measured alone, added up.
        why_not: Why they were not measured together.
        agreement: Share of the test images on which the distilled student answers like the ensemble.
        way: How far the student came from untaught to the ensemble, a fraction of 1, in the mean of the seeds; null
            where the ensemble is not shown to be better than the untaught student, or the distilled one is below that.
        why_no_way: Why there is none, where the ensemble was measured.
        times_faster: The ensemble's median time over that of the distilled student, roughly: each was timed alone.
        p_value: That untaught and distilled students are equally good, two-sided, over all seeds (classification:
            McNemar, exact, of several seeds by flips of each image's sign; else by the paired bootstrap over the
            images).
        calibration_error: Of untaught student, distilled student and ensemble.
        sentence: All that in words.
        seeds: Both students from other seeds, where that was asked for.
        untaught: The student without teachers.
        distilled: The student that learned from them.
        trained_again: Whether the student without teachers was trained for this comparison: the network came trained,
            and its baseline therefore trained nothing.
        other_schedule: Whether it is the baseline and was trained otherwise than the student with teachers, as
            ``baseline.schedule`` asks for.
        other_weights: Whether the student learned from its teachers weighed otherwise than alike, as they are together
            where they run.
    """

    members: Annotated[int, Field(gt=0)]
    accuracy: float | None = None
    interval: _Interval = None
    p50_s: float | None = None
    size_bytes: int | None = None
    memory_bytes: _Bytes = None
    params: int | None = None
    summed: bool = False
    why_not: str | None = None
    agreement: float | None = None
    way: float | None = None
    why_no_way: str | None = None
    times_faster: float | None = None
    p_value: float
    calibration_error: tuple[float | None, float | None, float | None]
    sentence: str
    seeds: tuple[SeedEntry, ...] = ()
    untaught: StudentEntry | None = None
    distilled: StudentEntry | None = None
    trained_again: bool = False
    other_schedule: bool = False
    other_weights: bool = False

    @model_validator(mode="after")
    def _absence_has_a_reason(self) -> EnsembleEntry:
        if self.accuracy is None and not self.why_not:
            message = "an ensemble that was not measured needs a reason"
            raise ValueError(message)
        return self


class FloatNode(_Record):
    """A convolution or matrix product that runs in float, and why."""

    node: str
    why: str


class DamageEntry(_Record):
    """What one layer's INT8 alone does to the output: energy of the change over energy of the output."""

    node: str
    layer: str = Field(description="name of its weight in the network")
    noise: Annotated[float, Field(ge=0)]
    kept_float: bool


class QuantizationEntry(_Record):
    """How the INT8 file compares with its float graph on the test split.

    Attributes:
        agreement: Fraction of images with the same answer.
        int8_nodes: Convolutions and matrix products that run in INT8.
        total_nodes: All convolutions and matrix products.
        int8_macs: Fraction of their multiply-accumulates that are INT8.
        float_nodes: Those that stay float.
        damages: Layers, the worst first.
    """

    dialect: str
    method: str
    agreement: float | None
    float_accuracy: float | None
    int8_accuracy: float | None
    int8_nodes: int | None = None
    total_nodes: int | None = None
    int8_macs: float | None = None
    float_nodes: tuple[FloatNode, ...] = ()
    damages: tuple[DamageEntry, ...] = ()


class HistoryPoint(_Record):
    """One accepted baseline of the case, in order."""

    time: datetime
    bundle: str
    reason: str
    machine_class: str
    latency_p50_s: float
    accuracy: float
    size_bytes: int
    new_level: bool = Field(default=False, description="whether the latency's level changed here")


class BundleEntry(_Record):
    """The bundle, by its place relative to the report and its identity."""

    path: str
    sha256: str
    size_bytes: int


class Report(_Record):
    """One run for one target."""

    schema_: Literal["edgewright.report/1"] = Field(default="edgewright.report/1", alias="schema")
    edgewright: str
    model: str
    task: str
    target: str
    data: str
    machine: MachineEntry
    made_on: MachineEntry | None = Field(
        default=None, description="where it was trained and built; null: where it was measured"
    )
    verdict: Verdict
    stages: tuple[StageRow, ...] = Field(description="empty in the report of a gate alone")
    teachers: tuple[TeacherEntry, ...] = ()
    ensemble: EnsembleEntry | None = None
    goal: GoalEntry | None = Field(default=None, description="what was asked of its cost, and what came of it")
    choices: tuple[MeasuredChoice, ...] = Field(
        default=(), description="what was chosen by measuring: among what, what was tried, and why this one"
    )
    trainings: tuple[TrainingEntry, ...] = Field(default=(), description="the curves of what was trained")
    quantization: QuantizationEntry | None = None
    examples: tuple[ExampleEntry, ...] = Field(
        default=(), description="a few test images, with what is on them and what was found"
    )
    bundle: BundleEntry
    gate: Comparison | None = Field(default=None, description="the shipped bundle against the accepted baseline")
    best: Comparison | None = Field(default=None, description="the same against the best one accepted lately")
    history: tuple[HistoryPoint, ...] = ()
    phases_s: dict[str, float] = Field(
        default_factory=dict, description="where this run's time went; what came from the store took none"
    )
    conditions: dict[str, Json] = Field(
        default_factory=dict, description="what the runtime was told: threads, spinning, arena and the like"
    )
    shipped_change: PairedChange | None = Field(default=None, description="what is shipped against the baseline")
    taught_change: PairedChange | None = Field(
        default=None,
        description="distill against the student without teachers: the baseline, or where ensemble.trained_again says "
        "so ensemble.untaught",
    )
    assumed: tuple[str, ...] = Field(default=(), description="what nobody said and the figures rest on")
    doubts: tuple[str, ...] = Field(default=(), description="why the network may be fed otherwise than in its training")
    warnings: tuple[str, ...] = ()

    def stage(self, name: str) -> StageRow | None:
        """The row of that name."""
        return next((row for row in self.stages if row.name == name), None)
