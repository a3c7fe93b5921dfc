"""``python -m benchmarks.distillation RECIPE``: the same student by each loss, and by ever more views.

Each row of the table is a deploy of the recipe with one thing changed, so that both students of a row, without and with
teachers, see the same views for as many steps. Where the recipe writes ``baseline.schedule`` out, the student without
teachers is trained by that in every row, whatever the row's views. Teachers answer once, and rows that have a training
in common make it once. Names after the recipe choose rows; exit code 1 when one of them did not end well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.report.figures import percent, signed_points
from pipeline.report.record import Report

__all__ = ["VARIANTS", "Row", "main", "table"]

VARIANTS: dict[str, tuple[str, ...]] = {
    "kd": (),
    "kd, temperature 2": ("distill.temperature=2",),
    "kd, weight 0.5": ("distill.weight=0.5",),
    "kd, weight 0.7": ("distill.weight=0.7",),
    "kd, no labels": ("distill.weight=1",),
    "kd, standardised": ("distill.standardise=true",),
    "dkd": ("distill.losses={dkd: 1}",),
    "dist": ("distill.losses={dist: 1}", "distill.temperature=1"),
    "kd and features": ("distill.losses={kd: 1, features: 1}",),
    "kd and attention": ("distill.losses={kd: 1, attention: 1}",),
    "1 view": ("distill.schedule.views=1",),
    "4 views": ("distill.schedule.views=4",),
    "16 views": ("distill.schedule.views=16",),
}
"""What is changed in the recipe, by the name of the row."""

_DEPLOY = (sys.executable, "-m", "edgewright", "deploy", "--skip", "prune", "--budget", "5s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One way to teach.

    Attributes:
        name: Of the variant.
        untaught: Accuracy of the student without teachers, a fraction.
        distilled: With them.
        p_value: That both are equally good.
        training_s: What the training with teachers took, once they had answered.
    """

    name: str
    untaught: float
    distilled: float
    p_value: float
    training_s: float

    @classmethod
    def of(cls, name: str, report: Report) -> Row:
        """Read from a run's report."""
        found = report.ensemble
        assert found is not None  # noqa: S101 - a deploy here measures what it trains
        assert found.untaught is not None  # noqa: S101 - as above
        assert found.distilled is not None  # noqa: S101 - as above
        return cls(
            name=name,
            untaught=found.untaught.accuracy,
            distilled=found.distilled.accuracy,
            p_value=found.p_value,
            training_s=found.distilled.wall_s,
        )


def main(arguments: list[str] | None = None) -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation", description=__doc__)
    parser.add_argument("recipe", type=Path, help="with a student, its teachers and a schedule")
    parser.add_argument("rows", nargs="*", choices=[[], *VARIANTS], metavar="ROW", help=f"of: {'; '.join(VARIANTS)}")
    options = parser.parse_args(arguments)
    rows, failed = [], False
    for name in options.rows or VARIANTS:
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            sets = [word for setting in VARIANTS[name] for word in ("--set", setting)]
            done = subprocess.run(  # noqa: S603 - ourselves
                [*_DEPLOY, "--recipe", str(options.recipe), *sets, "--out", folder],
                stdout=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode:
                print(f"{name}: ended with exit code {done.returncode}", file=sys.stderr)  # noqa: T201 - a script
                failed = True
                continue
            rows.append(Row.of(name, Report.model_validate_json((Path(folder) / "report.json").read_text("utf-8"))))
            print(table(rows).splitlines()[-1], file=sys.stderr, flush=True)  # noqa: T201
    print(table(rows))  # noqa: T201
    return int(failed)


def table(rows: list[Row]) -> str:
    """The rows in Markdown; training times as multiples of the first row's."""
    lines = ["| | without teachers | distilled | points gained | p | training time |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {percent(row.untaught)} | {percent(row.distilled)} "
        f"| {signed_points(row.distilled - row.untaught)} | {row.p_value:.2g} "
        f"| {row.training_s:.0f} s, {row.training_s / rows[0].training_s:.2f}x |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
