"""A bundle that is not what was made is refused, on the device as here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.reliability.edits import EDITS, changed
from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign

__all__ = ["edited_bundle", "mutated_manifests"]

_REFUSED = 6


def edited_bundle(campaign: Campaign, tries: int) -> Outcome:
    """Edit copies of the bundle, each once, over all its files."""
    with timed(
        "A bundle with a single edit is refused by `verify.py` on the standard library and by `edgewright verify`",
        campaign.shown,
    ) as outcome:
        made = []
        for number in range(tries):
            chance = campaign.chance(f"edit {number}")
            folder = _copy(campaign, f"edited-{number}")
            made.append((EDITS[number % len(EDITS)](folder, chance), folder))
        _judge(campaign, outcome, made)
    return outcome


def mutated_manifests(campaign: Campaign, tries: int) -> Outcome:
    """Change bytes of the manifest alone."""
    with timed("A manifest with other bytes is refused by both, with one error", campaign.shown) as outcome:
        made = []
        for number in range(tries):
            folder = _copy(campaign, f"manifest-{number}")
            path = folder / "manifest.json"
            path.write_bytes(changed(path.read_bytes(), campaign.chance(f"manifest {number}")))
            made.append((f"manifest {number}", folder))
        _judge(campaign, outcome, made)
    return outcome


def _copy(campaign: Campaign, name: str) -> Path:
    folder = campaign.job.folder / name
    shutil.copytree(campaign.bundle, folder)
    return folder


def _judge(campaign: Campaign, outcome: Outcome, made: list[tuple[str, Path]]) -> None:
    ends = campaign.job.many(campaign.cache, [("verify", str(folder)) for _, folder in made])
    script = (campaign.bundle / "verify.py").read_bytes()
    for (what, folder), end in zip(made, ends, strict=True):
        alone = _alone(campaign.bundle, folder, script)
        one_error = end.err.startswith("error: ") and "Traceback" not in end.err
        right = (alone, end.code) == (_REFUSED, _REFUSED) and one_error
        outcome.tried(None if right else f"{what}: verify.py {alone}, edgewright verify {end.code}: {end.err[-300:]!r}")
        shutil.rmtree(folder)
        folder.with_name(f"{folder.name}-outside").unlink(missing_ok=True)


def _alone(bundle: Path, folder: Path, script: bytes) -> int:
    """What ``python verify.py`` ends with, as the bundle's README says it: without options, in the folder.

    A script that was itself edited vouches for nothing: that of the bundle judges the folder in its place.
    """
    own = folder / "verify.py"
    untouched = own.is_file() and not own.is_symlink() and own.read_bytes() == script
    command = ["verify.py"] if untouched else [str(bundle.resolve() / "verify.py"), "."]
    # Not its output, which may be anything.
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, check=False).returncode  # noqa: S603
