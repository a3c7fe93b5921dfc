"""Killed at every call by which publishing changes files, nothing is torn, lost or left lying."""

from __future__ import annotations

import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.reliability.campaign import OLD_ENOUGH_S
from benchmarks.reliability.lanes import LANES
from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.publisher import Publisher
from benchmarks.reliability.sealed import identity, problems, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.publisher import Call

__all__ = ["earlier_results", "evenly", "killed_calls", "killed_publishing", "resumed", "standing"]

Item = TypeVar("Item")

_PROMISE = (
    "Killed (`kill -9`) at each system call of publishing that changes files, the bundle that stands there is whole, "
    "and the next run makes the undisturbed one and leaves nothing lying"
)


def killed_publishing(campaign: Campaign, tries: int) -> Outcome:
    """Kill it before each call, over an earlier bundle and where none was; of too many calls evenly spread ones."""
    with timed(_PROMISE, campaign.shown) as outcome, ExitStack() as stack:
        publishers = [stack.enter_context(Publisher(campaign, name=f"published-{lane}")) for lane in range(LANES)]
        _kill(campaign, publishers, tries, outcome)
        for publisher in publishers:
            if failure := campaign.job.store_failure(publisher.cache):
                outcome.failures.append(f"after all of them {failure}")
    return outcome


def killed_calls(campaign: Campaign, publisher: Publisher, tries: int) -> Outcome:
    """The same by a publisher that has been started."""
    with timed(_PROMISE, campaign.shown) as outcome:
        _kill(campaign, [publisher], tries, outcome)
    return outcome


def _kill(campaign: Campaign, publishers: Sequence[Publisher], tries: int, outcome: Outcome) -> None:
    """Share the calls out among publishers, which run side by side."""
    over_it = Path(shutil.copytree(earlier_results(campaign), campaign.job.folder / "over-earlier"))
    ways = [
        *((call, True) for call in publishers[0].calls(over_it)),
        *((call, False) for call in publishers[0].calls(campaign.job.folder / "over-nothing")),
    ]
    chosen, lanes = list(enumerate(evenly(ways, tries))), len(publishers)
    with ThreadPoolExecutor(lanes) as pool:
        shares = (chosen[lane::lanes] for lane in range(lanes))
        for found in pool.map(lambda one, share: _kill_each(campaign, one, share), publishers, shares):
            for failure in found:
                outcome.tried(failure)


def _kill_each(
    campaign: Campaign, publisher: Publisher, chosen: Sequence[tuple[int, tuple[Call, bool]]]
) -> list[str | None]:
    """What went wrong at each call, by its number, over an earlier bundle or where none was."""
    earlier, killed, found = earlier_results(campaign), [], list[str | None]()
    for number, (call, over) in chosen:
        out = campaign.job.folder / f"killed-publishing-{number}"
        if over:
            shutil.copytree(earlier, out)
        code, _ = publisher.publish(out, disturbed=f"{call.name}:signal=SIGKILL:when={call.number}")
        what = f"killed at {call.name} {call.number}{' over an earlier bundle' if over else ''}"
        failure = standing(campaign, out, earlier if over else None)
        if code != -signal.SIGKILL:
            failure = f"was not killed, ended with {code}"
        killed.append((what, out, failure))
    time.sleep(OLD_ENOUGH_S)
    for what, out, failure in killed:
        failure = failure or resumed(campaign, publisher, out)  # noqa: PLW2901 - what is known of it by now
        found.append(failure and f"{what}: {failure}")
        shutil.rmtree(out)
    return found


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
