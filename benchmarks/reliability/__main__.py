"""``python -m benchmarks.reliability``: every campaign, a table, and the figures in docs/reliability.md.

Whole it takes up to 40 minutes on two cores; ``--share 0.1`` makes a tenth of the accidents, ``--share 4`` four times
as many. Exit code 1 when anything went otherwise than promised. The same seed makes the same accidents; what they meet
depends on the machine's speed. What was tried stands in the page after each campaign, also when the run is ended.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchmarks.reliability.bars import Bars
from benchmarks.reliability.campaign import begin
from benchmarks.reliability.changed_keys import IRRELEVANT, RELEVANT, changed_keys
from benchmarks.reliability.edited_bundle import edited_bundle, mutated_manifests
from benchmarks.reliability.flipped_store import flipped_index, flipped_store
from benchmarks.reliability.flipped_unfinished import LEFT, flipped_unfinished
from benchmarks.reliability.full_disk import full_disk, full_disk_publishing
from benchmarks.reliability.hostile_input import mutated_networks, mutated_recipes
from benchmarks.reliability.killed import killed
from benchmarks.reliability.killed_publishing import killed_publishing
from benchmarks.reliability.little_memory import little_memory
from benchmarks.reliability.mutated_records import mutated_records
from benchmarks.reliability.no_connection import no_connection
from benchmarks.reliability.outcome import NotPossibleHereError, Outcome
from benchmarks.reliability.published import Figures, made_by
from benchmarks.reliability.same_digest import SURROUNDINGS, same_digest
from benchmarks.reliability.seeded_defects import DEFECTS, seeded_defects
from benchmarks.reliability.signalled import signalled
from benchmarks.reliability.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.reliability.campaign import Campaign

__all__ = ["CAMPAIGNS", "main"]

_PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_LARGEST_SHARE = 100

CAMPAIGNS: dict[str, tuple[int, Callable[[Campaign, int], Outcome]]] = {
    "killed": (50, killed),
    "killed-publishing": (1000, killed_publishing),
    "full-disk": (30, full_disk),
    "full-disk-publishing": (1000, full_disk_publishing),
    "little-memory": (10, little_memory),
    "seeded-defects": (len(DEFECTS), seeded_defects),
    "signalled": (60, signalled),
    "two-at-once": (12, lambda campaign, rounds: together(campaign, [2] * rounds)),
    "eight-at-once": (8, lambda campaign, rounds: together(campaign, [8] * rounds)),
    "flipped-store": (1, flipped_store),
    "flipped-unfinished": (len(LEFT), flipped_unfinished),
    "flipped-index": (10, flipped_index),
    "changed-keys": (len(RELEVANT) + len(IRRELEVANT), changed_keys),
    "same-digest": (len(SURROUNDINGS), same_digest),
    "no-connection": (5, no_connection),
    "edited-bundle": (500, edited_bundle),
    "mutated-manifests": (500, mutated_manifests),
    "mutated-networks": (1000, mutated_networks),
    "mutated-recipes": (500, mutated_recipes),
    "mutated-records": (500, mutated_records),
}
"""Each with how much it does in a whole run: accidents, or rounds of several. Publishing makes fewer than a thousand
calls, so that each of them is tried."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what each campaign came to; 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="make reliability", description="the promises of docs/reliability.md, tried")
    parser.add_argument("--share", type=float, default=1.0, help="of the accidents, such as 0.1 or 4; default: 1")
    parser.add_argument("--seed", type=int, default=0, help="of what is random; default: 0")
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, default=list(CAMPAIGNS), help="some campaigns")
    parser.add_argument(
        "--tries", nargs="+", type=_tries, default=[], metavar="NAME=N", help="so many of some campaigns"
    )
    parser.add_argument(
        "--page", type=Path, help="where the figures go; default: docs/reliability.md, of all campaigns"
    )
    asked = parser.parse_args(arguments)
    if not 0 < asked.share <= _LARGEST_SHARE:
        parser.error(f"--share is above 0 and at most {_LARGEST_SHARE}, not {asked.share}")
    page = asked.page or (_PAGE if set(asked.only) == set(CAMPAIGNS) else None)
    chosen = dict(asked.tries)
    tries = {name: chosen.get(name, math.ceil(CAMPAIGNS[name][0] * asked.share)) for name in asked.only}
    figures = Figures(made=made_by(page or _PAGE), seed=asked.seed, campaigns=CAMPAIGNS, page=page)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory(prefix="edgewright-reliability-") as folder:
            _run(Path(folder), tries, figures)
    finally:
        signal.signal(signal.SIGTERM, before)
    _say(f"\n{figures.table()}")
    if page is None:
        _say("docs/reliability.md stays as it is: not every campaign was run")
    return int(any(outcome.failures for outcome in figures.outcomes.values()))


def _run(folder: Path, tries: Mapping[str, int], figures: Figures) -> None:
    """Make one campaign after the other; what was tried is published however that ends."""
    with Bars() as bars:

        def shown(outcome: Outcome) -> None:
            figures.now(outcome)
            bars.show(outcome)

        with begin(folder, figures.seed, shown) as campaign:
            _say(f"undisturbed: {campaign.wall_s:.1f} s, {campaign.sound().wall_s:.1f} s where libraries are loaded")
            for name, count in tries.items():
                bars.begin(name, count)
                with figures.during(name):
                    _try(name, campaign, count, figures)


def _try(name: str, campaign: Campaign, count: int, figures: Figures) -> None:
    """Make one campaign and say what it came to; what it broke off by is a failure and does not end the others."""
    try:
        outcome = CAMPAIGNS[name][1](campaign, count)
    except NotPossibleHereError as error:  # raised before the first accident
        figures.outcomes.pop(name, None)
        _say(f"{name}: left out, {error}")
        return
    except Exception as error:  # noqa: BLE001 - told, counted, and no reason to lose the other campaigns
        traceback.print_exception(error)
        outcome = figures.outcomes.setdefault(name, Outcome(promise=name))
        outcome.failures.append(f"the campaign broke off: {error!r}")
    _say(f"{name}: {outcome.tries} tries, {len(outcome.failures)} failures, {outcome.seconds:.0f} s")
    for failure in outcome.failures:
        _say(f"  {failure}")


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _tries(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if name not in CAMPAIGNS or not count.isdecimal() or not int(count):
        raise argparse.ArgumentTypeError(f"NAME=N with a NAME of {', '.join(CAMPAIGNS)}, not {text!r}")
    return name, int(count)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
