"""How long a worker stays with an engine that is slow: a board may take a hundred times as long as a workstation.

What is asked is a number of inferences, which on most machines are seconds. Where they would be many minutes, each part
of a measurement ends after the time given here with fewer of them, and the record tells how many there were.
"""

from __future__ import annotations

__all__ = ["FEWEST_PAIRS", "FEWEST_TIMED", "LEAST_WINDOW", "PART_S", "TIMED_S"]

PART_S = 10.0
"""Of the warm-up, of the first answers, and of one input asked again and again."""

TIMED_S = 30.0
"""Of the timed loop of one engine."""

FEWEST_TIMED = 11
"""Timed inferences that are made however long they take: as many as a median needs (``benchmarks.statistics``)."""

FEWEST_PAIRS = 4
"""Pairs that are made however long they take."""

LEAST_WINDOW = 3
"""Inferences whose median is compared in the warm-up where there is no time for more."""
