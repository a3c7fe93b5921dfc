"""A bundle that is not what was made is refused, on the device as here."""

from __future__ import annotations

import json
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
_EACH = """
import contextlib, io, json, runpy, sys
ends = []
for folder in json.load(sys.stdin):
    sys.argv = [SCRIPT, folder]
    code = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            runpy.run_path(SCRIPT, run_name="__main__")
        except SystemExit as left:
            code = left.code or 0
        except Exception as lost:
            code = repr(lost)
    ends.append(code)
print(json.dumps(ends))
"""


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
    script = str(campaign.bundle / "verify.py")
    done = subprocess.run(  # noqa: S603 - the script under test, with a Python that has its standard library alone
        [sys.executable, "-I", "-S", "-c", f"SCRIPT = {script!r}\n{_EACH}"],
        input=json.dumps([str(folder) for _, folder in made]),
        capture_output=True,
        text=True,
        check=True,
    )
    ends = campaign.job.many(campaign.cache, [("verify", str(folder)) for _, folder in made])
    for (what, folder), alone, end in zip(made, json.loads(done.stdout), ends, strict=True):
        one_error = end.err.startswith("error: ") and "Traceback" not in end.err
        right = (alone, end.code) == (_REFUSED, _REFUSED) and one_error
        outcome.tried(None if right else f"{what}: verify.py {alone}, edgewright verify {end.code}: {end.err[-300:]!r}")
        shutil.rmtree(folder)
        folder.with_name(f"{folder.name}-outside").unlink(missing_ok=True)
