"""Killed at every call by which publishing changes files, nothing is torn, lost or left lying."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.publisher import Publisher
from benchmarks.reliability.sealed import identity, problems, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.reliability.campaign import Campaign

__all__ = ["earlier_results", "evenly", "killed_calls", "killed_publishing", "resumed", "standing"]

Item = TypeVar("Item")

_PROMISE = (
    "Killed (`kill -9`) at each system call of publishing that changes files, the bundle that stands there is whole, "
    "and the next run makes the undisturbed one and leaves nothing lying"
)
_OLD_ENOUGH_S = 2.2
"""What is younger than two seconds is not swept."""


def killed_publishing(campaign: Campaign, tries: int) -> Outcome:
    """Kill it before each call, over an earlier bundle and where none was; of too many calls evenly spread ones."""
    with timed(_PROMISE, campaign.shown) as outcome, Publisher(campaign) as publisher:
        _kill(campaign, publisher, tries, outcome)
        if failure := campaign.job.store_failure(publisher.cache):
            outcome.failures.append(f"after all of them {failure}")
    return outcome


def killed_calls(campaign: Campaign, publisher: Publisher, tries: int) -> Outcome:
    """The same by a publisher that has been started."""
    with timed(_PROMISE, campaign.shown) as outcome:
        _kill(campaign, publisher, tries, outcome)
    return outcome


def _kill(campaign: Campaign, publisher: Publisher, tries: int, outcome: Outcome) -> None:
    earlier = earlier_results(campaign)
    over_it = Path(shutil.copytree(earlier, campaign.job.folder / "over-earlier"))
    ways = [
        *((call, True) for call in publisher.calls(over_it)),
        *((call, False) for call in publisher.calls(campaign.job.folder / "over-nothing")),
    ]
    killed = []
    for number, (call, over) in enumerate(evenly(ways, tries)):
        out = campaign.job.folder / f"killed-publishing-{number}"
        if over:
            shutil.copytree(earlier, out)
        code, _ = publisher.publish(out, disturbed=f"{call.name}:signal=SIGKILL:when={call.number}")
        what = f"killed at {call.name} {call.number}{' over an earlier bundle' if over else ''}"
        failure = standing(campaign, out, earlier if over else None)
        if code != -signal.SIGKILL:
            failure = f"was not killed, ended with {code}"
        killed.append((what, out, failure))
    time.sleep(_OLD_ENOUGH_S)
    for what, out, failure in killed:
        found = failure or resumed(campaign, publisher, out)
        outcome.tried(found and f"{what}: {found}")
        shutil.rmtree(out)


def earlier_results(campaign: Campaign) -> Path:
    """The results of an earlier run, whose bundle is another one."""
    folder = campaign.job.folder / "earlier-out"
    if not folder.exists():
        shutil.copytree(campaign.bundle.parent, folder)
        readme = folder / "bundle" / "README.md"
        readme.write_text(readme.read_text(encoding="utf-8") + "\nearlier\n", encoding="utf-8")
        seal(folder / "bundle")
    return folder


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """So many of them, evenly spread; all when there are no more."""
    return [items[number * len(items) // count] for number in range(count)] if count < len(items) else list(items)


def standing(campaign: Campaign, out: Path, earlier: Path | None) -> str | None:
    """Why what stands at ``out`` is neither the earlier bundle, or none, nor the new one; None when all is well."""
    bundle = out / "bundle"
    if not bundle.exists():
        return None if earlier is None else "the earlier bundle is gone"
    if found := problems(bundle):
        return f"the bundle is torn: {found[0]}"
    allowed = {campaign.digest} | ({identity(earlier / "bundle")} if earlier else set())
    return None if identity(bundle) in allowed else f"another bundle, {identity(bundle)[:12]}"


def resumed(campaign: Campaign, publisher: Publisher, out: Path) -> str | None:
    """What publishing again did otherwise than leaving exactly the undisturbed results."""
    code, err = publisher.again(out)
    if code:
        return f"the next run ended with {code}: {err[-300:]}"
    if identity(out / "bundle") != campaign.digest or problems(out / "bundle"):
        return "the next run made another bundle"
    wanted = {path.relative_to(publisher.out) for path in publisher.out.rglob("*")}
    left = sorted(str(path) for path in {path.relative_to(out) for path in out.rglob("*")} - wanted)
    return f"left lying: {left}" if left else None
