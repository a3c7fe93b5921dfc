"""What is installed is at or above the versions that mend known faults, and nothing else than what was locked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)==(?P<version>[^ ;\\]+)")


def _toml(path: str) -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


_LISTED = _toml(".ci/advisories.toml")
_ACCEPTED = _LISTED.pop("accepted")
_LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def _pins(lock: str) -> list[tuple[str, str]]:
    found = [_PINNED.match(line) for line in lock.splitlines()]
    return [(canonicalize_name(one["name"]), one["version"]) for one in found if one]


def _bounds() -> list[tuple[str, str]]:
    """The lowest version of each requirement that pyproject.toml lets in."""
    project = _toml("pyproject.toml")
    extras = project["project"]["optional-dependencies"]
    stated = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(one for extra in extras.values() for one in extra),
    ]
    found = []
    for text in stated:
        required = Requirement(text)
        (lowest,) = [one.version for one in required.specifier if one.operator == ">="]
        found.append((canonicalize_name(required.name), lowest))
    return found


def _open_to(versions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The advisories that these versions are open to, and what mends each."""
    return [
        (fault, f"{name} {version}, mended in {mended}")
        for name, version in versions
        for mended, faults in _LISTED.get(name, {}).items()
        for fault in faults
        if Version(version) < Version(mended)
    ]


def test_what_is_locked_is_open_to_no_known_advisory() -> None:
    assert _open_to(_pins(_LOCK)) == []


def test_what_may_be_installed_is_open_to_none_but_what_is_accepted_with_a_reason() -> None:
    left = _open_to(_bounds())
    assert [one for one in left if one[0] not in _ACCEPTED] == []
    assert set(_ACCEPTED) <= {fault for fault, _ in left}, "accepted for nothing"


def test_what_is_accepted_since_it_is_not_called_is_not_called() -> None:
    called = re.compile(r"\btorch\.jit\b|\bfrom torch import jit\b")
    sources = [
        path for name in ("pipeline", "exporters", "benchmarks", "edgewright") for path in (ROOT / name).rglob("*.py")
    ]
    assert len(sources) > 100
    assert [path.name for path in sources if called.search(path.read_text(encoding="utf-8"))] == []


def test_every_listed_package_is_one_that_is_locked() -> None:
    assert set(_LISTED) <= {name for name, _ in _pins(_LOCK)}


@pytest.mark.parametrize(
    ("version", "open_to"),
    [("1.20.1", True), ("1.21.0", False), ("1.21.0rc1", True), ("1.100", False)],
)
def test_an_older_version_is_noticed(version: str, *, open_to: bool) -> None:
    assert bool(_open_to(_pins(f"onnx=={version} \\\n    --hash=sha256:00\n"))) == open_to


def test_every_pin_has_hashes() -> None:
    """Nothing else is installed then, whatever an index offers under that name."""
    pinned = re.split(r"\n(?=\S)", _LOCK.strip())
    assert len(pinned) == len(_pins(_LOCK)) > 100
    assert [one.split()[0] for one in pinned if not re.search(r"--hash=sha256:[0-9a-f]{64}", one)] == []
