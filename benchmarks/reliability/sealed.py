"""Changing a bundle so that it is whole again: its own verify.py has the rules."""

from __future__ import annotations

import hashlib
import json
import runpy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["identity", "problems", "seal"]


def seal(bundle: Path) -> None:
    """Write the manifest anew for the files as they are now."""
    rules = _rules(bundle)
    path = bundle / rules["MANIFEST"]
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        content = (bundle / entry["path"]).read_bytes()
        entry.update(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    path.write_text(rules["spelled"](rules["sealed"](manifest)) + "\n", encoding="utf-8")


def problems(bundle: Path) -> list[str]:
    """What its verify.py says of it; of one without that script, that it is gone."""
    if not (bundle / "verify.py").is_file():
        return ["verify.py: missing"]
    found: list[str] = _rules(bundle)["verify_bundle"](bundle)
    return found


def identity(bundle: Path) -> str:
    """SHA-256 of its manifest."""
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def _rules(bundle: Path) -> dict[str, Any]:
    return runpy.run_path(str(bundle / "verify.py"))
