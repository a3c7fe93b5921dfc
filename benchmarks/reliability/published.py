"""The figures of a run, between two markers of docs/reliability.md."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.environment import this_machine
from pipeline.store import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from benchmarks.reliability.outcome import Outcome

__all__ = ["BEGIN", "END", "Figures", "made_by", "publish", "rendered"]

BEGIN, END = "<!-- figures: written by make reliability -->", "<!-- end of figures -->"
_LONGEST_MINUTES = 40


def made_by(page: Path) -> str:
    """What a run tries and where: version, commit of the repository that the page is in, and machine.

    Args:
        page: Left aside when it is told whether files differ from the commit: the figures themselves go there.
    """
    machine = this_machine()
    where = f"{machine.cores} cores of {machine.cpu}, {machine.ram_gib} GiB, {machine.system}"
    return f"edgewright {__version__}{_commit(page)}, on {where}"


def _commit(page: Path) -> str:
    git = shutil.which("git")
    if git is None:
        return ""

    def told(*words: str) -> str | None:
        command = [git, "-C", str(page.parent), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - git itself
        return done.stdout.strip() if done.returncode == 0 else None

    commit = told("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return ""  # not a checkout: an archive of it, a container
    changed = told("status", "--porcelain", "--", ":/", f":(exclude){page.name}")
    return f" at commit {commit}{' with changes' if changed else ''}"


def rendered(
    outcomes: Sequence[Outcome],
    *,
    seed: int,
    made: str,
    wall_s: float,
    untried: Collection[str] = (),
    ended_in: str = "",
) -> str:
    """A table, a row a promise, what it was made by, and which campaigns were left out.

    Args:
        outcomes: What the campaigns came to.
        seed: Of what was random.
        made: Of :func:`made_by`.
        wall_s: How long the run took so far, with what lies between the campaigns.
        untried: Names of campaigns that were not made.
        ended_in: Name of the campaign that was ended before it was through.
    """
    rows = [f"| {one.promise} | {one.tries} | {len(one.failures)} | {one.seconds:.0f} |" for one in outcomes]
    tries, failures = sum(one.tries for one in outcomes), sum(len(one.failures) for one in outcomes)
    minutes, within = wall_s / 60, sum(one.seconds for one in outcomes) / 60
    made += f", seed {seed}: {tries} tries, {failures} failures"
    made += f", {minutes:.1f} minutes, {within:.1f} of them within the campaigns."
    if minutes > _LONGEST_MINUTES:
        made += f" That is longer than the {_LONGEST_MINUTES} minutes that a whole run may take on two cores."
    if ended_in:
        made += f" Ended before {ended_in} was through."
    if untried:
        made += f" Left out: {', '.join(sorted(untried))}."
    noted = []
    for title, told in (
        ("Failed", [failure for one in outcomes for failure in one.failures]),
        ("Told besides", [note for one in outcomes for note in one.notes]),
    ):
        if told:
            noted += ["", f"{title}:", "", *(f"- {' '.join(line.split())}" for line in told)]
    return "\n".join(["| promise | tries | failures | seconds |", "|---|---:|---:|---:|", *rows, "", made, *noted])


class Figures:
    """What the campaigns of a run came to so far.

    Args:
        made: Of :func:`made_by`.
        seed: Of what is random.
        campaigns: Names of all there are.
        page: Where the figures go; None where they go nowhere.
        clock: Of seconds; the run begins now.
    """

    def __init__(
        self,
        *,
        made: str,
        seed: int,
        campaigns: Collection[str],
        page: Path | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.seed = seed
        self.outcomes: dict[str, Outcome] = {}
        self._made, self._campaigns, self._page, self._name = made, campaigns, page, ""
        self._clock, self._start = clock, clock()

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """While a campaign runs; at its end, however that comes, the figures go into the page."""
        self._name, ended_in = name, name
        try:
            yield
            ended_in = ""
        finally:
            self._name = ""
            if self._page is not None and self.outcomes:
                publish(self._page, self.table(ended_in=ended_in))

    def now(self, outcome: Outcome) -> None:
        """What the campaign that runs has come to."""
        if self._name:
            self.outcomes[self._name] = outcome

    def table(self, *, ended_in: str = "") -> str:
        """As Markdown; the name is that of a campaign that was ended before it was through."""
        return rendered(
            list(self.outcomes.values()),
            seed=self.seed,
            made=self._made,
            wall_s=self._clock() - self._start,
            untried=set(self._campaigns) - set(self.outcomes),
            ended_in=ended_in,
        )


def publish(page: Path, table: str) -> None:
    """Put the table in the place of the one that stands between the markers.

    Raises:
        ValueError: when the page lacks a marker.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the figures: {BEGIN} … {END}")
    write_atomically(page, f"{before}{BEGIN}\n{table}\n{END}{after}")
