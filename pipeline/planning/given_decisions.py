"""What an earlier run chose by timing, in a file: with it a run from an empty store makes that run's bundle again.

Times differ from run to run, and with them which layers stay float, which options the runtime gets, how many channels a
goal leaves and which target is fastest. All else follows from recipe, data, versions and machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.artifact import canonical_json, parse_json
from pipeline.errors import ParityError, UsageError, first_line
from pipeline.planning.goal.goal_plan import GoalPlan  # noqa: TC001 - as above
from pipeline.planning.int8_decision import Decision  # noqa: TC001 - read by the fields' types
from pipeline.planning.stored_search import as_json, from_json

__all__ = ["DECISIONS", "Decisions", "read_decisions"]

DECISIONS = "decisions.json"
"""Its file among a target's results."""

_SCHEMA = "edgewright.decisions/3"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """What was chosen for one target, and about what.

    Attributes:
        target: That the bundle is for; the fastest one where that was asked.
        calibration: Hash of the calibration that the INT8 form was looked for in.
        int8: The form, whether it ships, and the runtime's options.
        network: Hash of the network that was planned for; None without a goal.
        goal: What stays of it; None without a goal.
        bundle: Identity of what came out.
        file: Where this was read; for messages.
    """

    target: str
    calibration: str
    int8: Decision
    network: str | None
    goal: GoalPlan | None
    bundle: str
    file: Path | None = field(default=None, compare=False)

    def to_text(self) -> str:
        """As the file has it."""
        value = {"schema": _SCHEMA, **as_json(replace(self, file=None))}
        del value["file"]
        return canonical_json(value) + "\n"

    def about_calibration(self, sha256: str) -> Decision:
        """The choice of the INT8 form, for that calibration.

        Raises:
            ParityError: when it was made about another one.
        """
        self._same("calibration", sha256, self.calibration)
        return self.int8

    def about_network(self, sha256: str, asked: Mapping[str, str]) -> GoalPlan:
        """The plan for the goal, for that network.

        Args:
            sha256: Of the network.
            asked: Key of the recipe to what it says of the goal.

        Raises:
            UsageError: when no goal was planned for, or another one.
            ParityError: when it was made about another network.
        """
        if self.goal is None:
            raise UsageError("the run of this file had no goal", where=str(self.file), fix="leave --goal out")
        self.check_goal(asked)
        self._same("network", sha256, str(self.network))
        return self.goal

    def check_goal(self, asked: Mapping[str, str]) -> None:
        """See that the goal is asked for that was planned for, where one was.

        Args:
            asked: Key of the recipe to what it says of the goal; empty: nothing.

        Raises:
            UsageError: when another one is, or none.
        """
        if self.goal is not None and dict(asked) != self.goal.networks.asked:
            raise UsageError(
                "the run of this file had another goal" if asked else "the run of this file had a goal",
                where=str(self.file),
                got=_goal_told(asked) if asked else None,
                expected=_goal_told(self.goal.networks.asked),
                fix="ask for that goal",
            )

    def refuse_another(self, bundle: str) -> None:
        """See that the same bundle came out.

        Raises:
            ParityError: when another one did.
        """
        self._same("bundle", bundle, self.bundle)

    def _same(self, what: str, found: str, wanted: str) -> None:
        if found != wanted:
            raise ParityError(
                f"this run does not reproduce the earlier one: another {what}",
                where=str(self.file),
                got=found,
                expected=wanted,
                fix="use the recipe, data, library versions and kind of machine of the earlier run; its "
                "bundle's provenance.intoto.json says which they were",
            )


def read_decisions(file: Path) -> Decisions:
    """What such a file says.

    Raises:
        UsageError: when it is no such file.
        OSError: when it cannot be read.
    """
    try:
        value = parse_json(file.read_bytes())
        _check_schema(value.pop("schema"))
        return replace(from_json(Decisions, value), file=file)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            "this is no file of decisions",
            where=str(file),
            got=first_line(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {first_line(error)}",
            expected=f"the {DECISIONS} that an earlier run left among its results",
        ) from error


def _goal_told(asked: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in asked.items())


def _check_schema(schema: object) -> None:
    if schema != _SCHEMA:
        raise ValueError(f"schema {schema!r}")
