"""The machine and the library versions: what a key or a record says about where something was made."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.artifact import Json

__all__ = [
    "ARCHITECTURES",
    "Machine",
    "any_machine",
    "board_name",
    "multiplies_bf16",
    "processes_together",
    "python_version",
    "this_machine",
    "usable_cores",
    "versions",
]

_BOARD = Path("/proc/device-tree/model")

ARCHITECTURES = ("aarch64", "x86_64")
"""Of machines that bundles can be made for without having one, as Linux calls them."""

ISA_FLAGS = (
    "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip
"""CPU features that decide which kernels a runtime picks; the rest of the flags does not matter for speed."""

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of instructions that multiply bfloat16, the last as ARM kernels call it.

Not all are among :data:`ISA_FLAGS`: what is there decides which figures may be compared with those of before.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What decides how fast something runs here; no host name, no user name."""

    cpu: str
    architecture: str
    cores: int
    ram_gib: int
    isa: tuple[str, ...]
    system: str

    @property
    def machine_class(self) -> str:
        """Short identity of all machines whose figures may be compared."""
        return sha256_of_json(self.to_json())[:16]

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "cpu": self.cpu,
            "architecture": self.architecture,
            "cores": self.cores,
            "ram_gib": self.ram_gib,
            "isa": list(self.isa),
            "system": self.system,
        }


def processes_together() -> int:
    """How many processes ``torchrun`` started for this run; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def process_age_s() -> float:
    """How long ago this process was started, seconds; where only Linux could say, the CPU time that it has used."""
    try:
        after_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return time.process_time()
    started_s = int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # field 22, since the machine started
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)


def usable_cores() -> int:
    """Cores this process may run on (containers and taskset count)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def this_machine() -> Machine:
    """Describe the machine this runs on."""
    name, flags = _cpu_name_and_flags()
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=name,
        architecture=platform.machine(),
        cores=usable_cores(),
        ram_gib=round(ram / 2**30),
        isa=tuple(flag for flag in ISA_FLAGS if flag in flags),
        system=platform.system(),
    )


def multiplies_bf16() -> bool | None:
    """Whether this CPU has instructions that multiply bfloat16; None where the system does not tell what it has."""
    _, flags = _cpu_name_and_flags()
    return bool(_BF16_FLAGS & flags) if flags else None


def any_machine(architecture: str) -> Machine:
    """A machine of which no more is known: no instructions are counted on beyond those all of them have."""
    return Machine(cpu="unknown", architecture=architecture, cores=usable_cores(), ram_gib=0, isa=(), system="Linux")


def _cpu_name_and_flags() -> tuple[str, frozenset[str]]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown", frozenset()
    return _told_by(info.read_text(encoding="utf-8", errors="replace"), board_name())


def board_name() -> str | None:
    """Of the device tree, as ARM boards have one: ``Raspberry Pi 5 Model B Rev 1.0``; None where there is none."""
    try:
        return _BOARD.read_text(encoding="utf-8", errors="replace").strip().strip("\0") or None
    except OSError:
        return None


def _told_by(info: str, board: str | None) -> tuple[str, frozenset[str]]:
    """A CPU's name and features from the kernel's text about it.

    ARM kernels print no name of a model but numbers of each core's design: they are the name, of every kind of core
    once, behind the board's.
    """
    fields: dict[str, str] = {}
    kinds: set[str] = set()
    for block in info.split("\n\n"):
        core: dict[str, str] = {}
        for line in block.splitlines():
            key, _, value = line.partition(":")
            core.setdefault(key.strip().lower(), value.strip())
        if "cpu part" in core:
            kinds.add(" ".join(core.get(f"cpu {key}", "?") for key in ("implementer", "part", "variant")))
        fields = {**core, **fields}
    flags = frozenset((fields.get("flags") or fields.get("features") or "").split())
    if kinds:
        cores = f"ARM {', '.join(sorted(kinds))}"
        return f"{board}, {cores}" if board else cores, flags
    return fields.get("model name", platform.processor() or "unknown"), flags


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """Installed version of each distribution, None where it is absent; nothing is imported."""
    found: dict[str, str | None] = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def python_version() -> str:
    """Major and minor version of the running Python."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
