"""What is said about the machine and the installed libraries, checked against what the system says itself."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from pipeline import environment
from pipeline.environment import (
    ISA_FLAGS,
    Machine,
    process_age_s,
    python_version,
    this_machine,
    usable_cores,
    versions,
)

SOME = Machine(cpu="Some CPU", architecture="x86_64", cores=4, ram_gib=16, isa=("avx", "avx2"), system="Linux")

_HAS_PROC = Path("/proc/cpuinfo").exists() and Path("/proc/meminfo").exists()
needs_proc = pytest.mark.skipif(not _HAS_PROC, reason="this system has no /proc to compare with")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_machines_of_one_class_agree_in_everything_that_is_said() -> None:
    text = '{"architecture":"x86_64","cores":4,"cpu":"Some CPU","isa":["avx","avx2"],"ram_gib":16,"system":"Linux"}'
    assert SOME.machine_class == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "Other CPU"},
        {"architecture": "aarch64"},
        {"cores": 8},
        {"ram_gib": 8},
        {"isa": ("avx",)},
        {"system": "Darwin"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_machine_that_differs_in_one_thing_is_of_another_class(change: dict[str, object]) -> None:
    assert replace(SOME, **change).machine_class != SOME.machine_class


def test_neither_host_nor_user_is_among_what_is_said() -> None:
    assert set(this_machine().to_json()) == {"cpu", "architecture", "cores", "ram_gib", "isa", "system"}


@needs_proc
def test_this_machine_has_the_memory_the_kernel_tells() -> None:
    words = Path("/proc/meminfo").read_text(encoding="ascii").split()
    kibibytes = int(words[words.index("MemTotal:") + 1])
    assert abs(this_machine().ram_gib - kibibytes / 2**20) <= 1


@needs_proc
def test_this_machine_has_the_features_the_kernel_tells_and_no_other() -> None:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").lower().splitlines()
    told = next(line for line in lines if line.startswith(("flags", "features")))
    words = set(told.split(":")[1].split())
    assert set(this_machine().isa) == words & set(ISA_FLAGS)


@needs_proc
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 kernels name the model")
def test_this_machine_has_the_name_the_kernel_tells() -> None:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    assert this_machine().cpu in {line.split(": ", 1)[1] for line in lines if line.startswith("model name")}


_PI = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

processor\t: 1
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU variant\t: 0x0
CPU part\t: 0xd08

Revision\t: c03112
Serial\t\t: 10000000abcdef01
Model\t\t: Raspberry Pi 4 Model B Rev 1.2
"""


def test_an_arm_cpu_is_named_by_its_board_and_every_kind_of_its_cores() -> None:
    pi = environment._told_by(_PI, "Raspberry Pi 4 Model B Rev 1.2")
    assert pi == ("Raspberry Pi 4 Model B Rev 1.2, ARM 0x41 0xd08 0x0", {"fp", "asimd", "evtstrm", "crc32", "cpuid"})
    assert environment._told_by(_PI.replace("0xd08", "0xd03", 1), None)[0] == "ARM 0x41 0xd03 0x0, 0x41 0xd08 0x0"
    assert environment._told_by("model name\t: Some CPU\nflags\t: avx\n\n", None) == ("Some CPU", {"avx"})


def test_architecture_and_system_are_those_of_the_kernel() -> None:
    assert (this_machine().architecture, this_machine().system) == (os.uname().machine, os.uname().sysname)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_only_cores_the_process_may_run_on_are_usable() -> None:
    code = (
        "import os; from pipeline.environment import usable_cores; "
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(usable_cores())"
    )
    assert _python(code) == "1"
    assert usable_cores() == len(os.sched_getaffinity(0))


def test_versions_are_those_of_the_installed_distributions() -> None:
    assert versions(["numpy", "pillow"]) == {"numpy": metadata.version("numpy"), "pillow": metadata.version("pillow")}


def test_a_distribution_that_is_absent_has_no_version() -> None:
    assert versions(["no-such-distribution"]) == {"no-such-distribution": None}


def test_asking_for_versions_imports_nothing() -> None:
    code = (
        "import sys; from pipeline.environment import versions; "
        "print(versions(['torch'])['torch'] is not None, 'torch' in sys.modules)"
    )
    assert _python(code) == "True False"


def test_the_python_version_is_major_and_minor() -> None:
    assert python_version() == ".".join(platform.python_version_tuple()[:2])


def test_how_long_a_process_has_been_there_goes_on_with_the_clock() -> None:
    first = process_age_s()
    time.sleep(0.05)

    assert 0 < first < process_age_s()


@pytest.mark.parametrize(
    ("info", "multiplied"),
    [
        ("model name\t: Zen 3\nflags\t: avx avx2 fma\n\n", False),
        ("model name\t: Cascade Lake\nflags\t: avx2 avx512f avx512_vnni\n\n", False),
        ("model name\t: Cooper Lake\nflags\t: avx2 avx512f avx512_bf16\n\n", True),
        ("model name\t: Sapphire Rapids\nflags\t: avx2 amx_bf16 amx_tile\n\n", True),
        (_PI, False),
        (_PI.replace("crc32", "crc32 bf16"), True),
        (_PI.replace("Features\t: fp asimd evtstrm crc32 cpuid\n", ""), None),
    ],
)
def test_whether_bf16_is_multiplied_is_read_of_the_cpu_s_features(
    info: str, *, multiplied: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_cpu_name_and_flags", lambda: environment._told_by(info, None))
    assert environment.multiplies_bf16() is multiplied
