"""``python -m benchmarks.reliability``: every campaign, a table, and the figures in docs/reliability.md.

Whole it takes up to 40 minutes on two cores; ``--share 0.1`` makes a tenth of the accidents. Exit code 1 when anything
went otherwise than promised. The same seed makes the same accidents; what they meet depends on the machine's speed.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.campaign import begin
from benchmarks.reliability.edited_bundle import edited_bundle, mutated_manifests
from benchmarks.reliability.flipped_store import flipped_index, flipped_store
from benchmarks.reliability.full_disk import full_disk, full_disk_publishing
from benchmarks.reliability.hostile_input import mutated_networks, mutated_recipes
from benchmarks.reliability.killed import killed
from benchmarks.reliability.killed_publishing import killed_publishing
from benchmarks.reliability.little_memory import little_memory
from benchmarks.reliability.outcome import NotPossibleHereError
from benchmarks.reliability.published import publish, rendered
from benchmarks.reliability.seeded_defects import DEFECTS, seeded_defects
from benchmarks.reliability.signalled import signalled
from benchmarks.reliability.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.outcome import Outcome

__all__ = ["CAMPAIGNS", "main"]

_PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

CAMPAIGNS: dict[str, tuple[int, Callable[[Campaign, int], Outcome]]] = {
    "killed": (50, killed),
    "killed-publishing": (1000, killed_publishing),
    "full-disk": (30, full_disk),
    "full-disk-publishing": (1000, full_disk_publishing),
    "little-memory": (10, little_memory),
    "seeded-defects": (len(DEFECTS), seeded_defects),
    "signalled": (60, signalled),
    "two-at-once": (6, lambda campaign, rounds: together(campaign, [2] * rounds)),
    "eight-at-once": (3, lambda campaign, rounds: together(campaign, [8] * rounds)),
    "flipped-store": (6, flipped_store),
    "flipped-index": (30, flipped_index),
    "edited-bundle": (500, edited_bundle),
    "mutated-manifests": (500, mutated_manifests),
    "mutated-networks": (1000, mutated_networks),
    "mutated-recipes": (500, mutated_recipes),
}
"""Each with how much it does in a whole run: accidents, or rounds of several. Publishing makes fewer than a thousand
calls, so that each of them is tried."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what each campaign came to; 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="make reliability", description="the promises of docs/reliability.md, tried")
    parser.add_argument("--share", type=float, default=1.0, help="of the accidents, above 0 up to 1; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of what is random; default: 0")
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, default=list(CAMPAIGNS), help="some campaigns")
    parser.add_argument(
        "--tries", nargs="+", type=_tries, default=[], metavar="NAME=N", help="so many of some campaigns"
    )
    parser.add_argument(
        "--page", type=Path, help="where the figures go; default: docs/reliability.md, of all campaigns"
    )
    asked = parser.parse_args(arguments)
    if not 0 < asked.share <= 1:
        parser.error(f"--share is above 0 and at most 1, not {asked.share}")
    page = asked.page or (_PAGE if set(asked.only) == set(CAMPAIGNS) else None)
    chosen = dict(asked.tries)
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="edgewright-reliability-") as folder:
        campaign = begin(Path(folder), asked.seed)
        _say(f"undisturbed: {campaign.wall_s:.1f} s")
        for name in asked.only:
            whole, run = CAMPAIGNS[name]
            try:
                outcome = outcomes[name] = run(campaign, chosen.get(name, math.ceil(whole * asked.share)))
            except NotPossibleHereError as error:
                _say(f"{name}: left out, {error}")
                continue
            _say(f"{name}: {outcome.tries} tries, {len(outcome.failures)} failures, {outcome.seconds:.0f} s")
            for failure in outcome.failures:
                _say(f"  {failure}")
            table = rendered(list(outcomes.values()), seed=asked.seed, untried=[*(set(CAMPAIGNS) - set(outcomes))])
            if page is not None:
                publish(page, table)  # also of a run that is ended before it is through
    _say(f"\n{table}")
    if page is None:
        _say("docs/reliability.md stays as it is: not every campaign was run")
    return int(any(outcome.failures for outcome in outcomes.values()))


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
