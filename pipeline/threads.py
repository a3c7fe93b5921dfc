"""How idle threads of PyTorch wait: a moment awake, then asleep, while networks are trained, lowered and calibrated.

OpenMP's threads spin at barriers by default, for milliseconds. Alone on a machine that is quickest; beside any other
work the spinning threads take the cores that the working ones wait for, and a training step takes many times as long.
Threads that fall asleep at once wake too late for networks of many small operations: alone, a step of MobileNetV3 then
takes twice as long. So they look for work for some tens of microseconds first (figures: docs/training.md).

The variables are read once, when OpenMP is loaded, so they are set before torch is imported. Engines that are timed get
the user's own environment: how they wait is an option of theirs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPIN_COUNT", "WAIT_POLICY", "rest_between_work", "users_environment"]

WAIT_POLICY = "OMP_WAIT_POLICY"
"""Read by the OpenMP runtimes of GNU, LLVM and Intel."""

SPIN_COUNT = "GOMP_SPINCOUNT"
"""Read by GNU's, which PyTorch brings on Linux: how often a thread looks for work before it sleeps. It goes before the
policy there, whose own counts are 0 for PASSIVE and, for a machine that is not overcrowded, 300,000 by default."""

_SPINS = "1000"

_MARK = "EDGEWRIGHT_SET_WAITING"
"""Tells processes further down which of the variables are ours and not the user's."""


def rest_between_work() -> None:
    """Let idle threads of this process and its children sleep soon, unless the user decided otherwise."""
    if os.environ.get(WAIT_POLICY, "PASSIVE").upper() != "PASSIVE":
        return
    ours = {WAIT_POLICY: "PASSIVE", SPIN_COUNT: _SPINS}
    missing = {name: value for name, value in ours.items() if name not in os.environ}
    if missing:
        os.environ.update(missing)
        os.environ[_MARK] = " ".join(missing)


def users_environment() -> Mapping[str, str]:
    """The environment as the user has it, for processes whose engines are timed."""
    ours = {_MARK, *os.environ.get(_MARK, "").split()}
    return {name: value for name, value in os.environ.items() if name not in ours}
