"""Several runs at once on one store make each thing once, and the same bundle."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.reliability.campaign import Campaign

__all__ = ["together"]


def together(campaign: Campaign, rounds: Sequence[int]) -> Outcome:
    """Start so many runs at once on an empty store, round by round; each round is one try."""
    counts = " or ".join(str(count) for count in sorted(set(rounds)))
    with timed(
        f"{counts} runs at once on one store all end well, make each stage once and one bundle; the store is whole",
        campaign.shown,
    ) as outcome:
        for number, count in enumerate(rounds):
            failure = _failure(campaign, number, count)
            outcome.tried(failure and f"{count} at once: {failure}")
    return outcome


def _failure(campaign: Campaign, number: int, count: int) -> str | None:
    job = campaign.job
    cache = job.folder / f"together-{count}-{number}"
    outs = [job.folder / f"together-{count}-{number}-out" / str(one) for one in range(count)]
    ends = [job.ended(process) for process in [campaign.deploy(cache, out) for out in outs]]
    bad = [f"{end.code} ({end.err.strip()[-300:]})" for end in ends if end.code]
    if bad:
        return f"ended with {', '.join(bad)}"
    if {end.digest for end in ends} != {campaign.digest}:
        return f"bundles {sorted({end.digest[:12] for end in ends})}"
    reports = [json.loads((out / "report.json").read_text(encoding="utf-8")) for out in outs]
    made = Counter(stage["name"] for report in reports for stage in report["stages"] if stage["status"] == "ran")
    if several := {stage: times for stage, times in made.items() if times > 1}:
        return f"made more than once: {several}"
    failure = job.store_failure(cache)
    for folder in (cache, outs[0].parent):
        shutil.rmtree(folder)
    return failure
