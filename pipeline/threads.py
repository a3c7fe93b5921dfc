"""How idle threads of PyTorch wait: asleep while networks are trained, lowered and calibrated.

OpenMP's threads spin at barriers by default. Alone on a machine that is a little quicker; beside any other work the
spinning threads take the cores that the working ones wait for, and a training step takes many times as long. The
variable is read once, when OpenMP is loaded, so it is set before torch is imported. Engines that are timed get the
user's own environment: how they wait is an option of theirs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WAIT_POLICY", "users_environment", "wait_asleep"]

WAIT_POLICY = "OMP_WAIT_POLICY"
"""Read by the OpenMP runtimes of GNU, LLVM and Intel."""

_MARK = "EDGEWRIGHT_SET_OMP_WAIT_POLICY"
"""Tells processes further down that the policy is ours and not the user's."""


def wait_asleep() -> None:
    """Let threads of this process and its children sleep while they wait, unless the user decided otherwise."""
    if WAIT_POLICY not in os.environ:
        os.environ[WAIT_POLICY] = "PASSIVE"
        os.environ[_MARK] = "1"


def users_environment() -> Mapping[str, str]:
    """The environment as the user has it, for processes whose engines are timed."""
    ours = {WAIT_POLICY, _MARK} if _MARK in os.environ else set()
    return {name: value for name, value in os.environ.items() if name not in ours}
