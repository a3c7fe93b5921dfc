"""What ``gate`` and ``selftest`` are told, as the gate takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.statistics.margins import EFFORTS

if TYPE_CHECKING:
    from benchmarks.statistics.margins import Margins
    from benchmarks.workers.workplace import Workplace
    from pipeline.gate.two_bundles import GateOptions

__all__ = ["effort_help", "gate_options", "margins_of", "slowdowns_of"]


def effort_help(name: str) -> str:
    """What the help says of an effort."""
    effort = EFFORTS[name]
    return (
        f"{effort.processes} processes a look, at most {effort.looks} looks, "
        f"one false alarm in {round(1 / effort.alpha)} gates."
    )


def gate_options(
    *,
    effort: str,
    margins: list[str],
    threads: int | None,
    affinity: tuple[int, ...],
    seed: int,
    place: Workplace | None,
) -> GateOptions:
    """How a gate judges.

    Args:
        effort: Name of how much evidence.
        margins: As typed, each NAME=VALUE.
        threads: Of the runtime; None: as the bundle says.
        affinity: Cores to stay on; empty for all.
        seed: Of orders and draws.
        place: Where; None: on this machine.

    Raises:
        UsageError: for a margin that is none.
    """
    from benchmarks.pairs.paired_processes import PairProtocol
    from benchmarks.workers.workplace import HERE
    from pipeline.gate.two_bundles import GateOptions

    return GateOptions(
        margins=margins_of(margins),
        effort=EFFORTS[effort],
        protocol=PairProtocol(affinity=affinity),
        threads=threads,
        seed=seed,
        place=place or HERE,
    )


def margins_of(settings: list[str]) -> Margins:
    """The default margins with what was typed in their place.

    Raises:
        UsageError: for an unknown name or a value that is no share.
    """
    from dataclasses import fields

    from benchmarks.statistics.margins import Margins
    from pipeline.errors import UnknownNameError, UsageError

    known = {field.name for field in fields(Margins)}
    given: dict[str, float] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in known:
            raise UnknownNameError("margin", name, known)
        value = _share(text)
        if not equals or value is None:
            raise UsageError("a margin is a share", where=f"--margin {setting}", expected="such as 3% or 0.03")
        if name == "agreement" and value > 1:
            raise UsageError("no more than all answers can agree", where=f"--margin {setting}", expected="at most 1")
        if name == "memory_bytes" and value != int(value):
            raise UsageError(
                "this margin is a number of bytes", where=f"--margin {setting}", expected="such as 1048576"
            )
        given[name] = int(value) if name == "memory_bytes" else value
    return Margins(**given)  # type: ignore[arg-type] # one of the fields is a whole number


def slowdowns_of(typed: list[str]) -> tuple[float, ...]:
    """By which shares the candidates of a self-test are slowed, each once, the least first.

    Args:
        typed: Shares, such as 5% or 0.05.

    Raises:
        UsageError: for one that is no share, or more than the slowed side can be given to do.
    """
    from pipeline.errors import UsageError

    shares = []
    for text in typed:
        share = _share(text)
        if share is None or share > 1:
            raise UsageError(
                "a slowdown is a share of the latency",
                where=f"--slowed {text}",
                expected="0 to 100%, such as 5% or 0.05",
            )
        shares.append(share)
    return tuple(sorted(set(shares)))


def _share(text: str) -> float | None:
    """Typed as 3% or 0.03; None for what is no share."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
