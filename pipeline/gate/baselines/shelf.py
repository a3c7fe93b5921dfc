"""The folder of baselines.

::

    <root>/waivers.yaml                       optional
    <root>/<case>/current.json                how many lines the history has, and the last one's hash
    <root>/<case>/history.jsonl               every acceptance, sealed line to line
    <root>/<case>/bundles/<sha256[:16]>/      the accepted bundles, runnable: they are run again beside a candidate
    <root>/devices/<machine class>/...        the same again for every class of devices

A case is a model for a target with an input shape. Numbers of another machine are never compared; bundles are run where
the candidate is: on this machine, or on a device of the class they were accepted on.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.bundle import read_bundle
from exporters.device import verify
from pipeline.copying import copy_folder
from pipeline.errors import BaselineError, IntegrityError
from pipeline.gate.baselines.history import History, HistoryLine, append_line, read_history
from pipeline.leftovers import folder_beside, holding, sweep
from pipeline.replacing import replace_folder
from pipeline.store import room_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.workers.workplace import Workplace
    from exporters.bundle import Bundle

__all__ = ["DEFAULT_ROOT", "Shelf", "case_of"]

DEFAULT_ROOT = Path("baselines")
_DEVICES = "devices"

_MARGINS = {"latency p50": 0.02, "memory": 0.02, "size": 0.02, "accuracy": 0.01}
"""What a loss of each is weighed by: the gate's usual margins."""

_BEST_DAYS, _BEST_LINES = 90, 50
"""The best accepted one is looked for among so many days and lines."""

_TEXTS_BYTES = 1 << 16
"""What a baseline has beside its bundle's files, roomily: the manifest and the history."""
_FIX = "free some space, or choose another --baselines"


def case_of(bundle: Bundle) -> str:
    """What a bundle is compared under: model, target and input, as a folder name."""
    shape = "x".join(str(side) for side in bundle.spec.input.shape)
    name = f"{bundle.manifest['model']}--{bundle.manifest['target']}--{shape}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The baselines below one folder.

    Attributes:
        above: Of a class of devices, the folder that it is part of: what is waived there is waived for it too.
        device: How the device is named for which it was asked; None for this machine.
    """

    root: Path
    above: Path | None = None
    device: str | None = None

    def of(self, place: Workplace) -> Shelf:
        """What was accepted for the place: of a device what was accepted on its class of machines."""
        if place.name is None:
            return self
        return Shelf(self.root / _DEVICES / place.machine.machine_class, above=self.root, device=place.name)

    def cases(self) -> Iterator[tuple[str, History]]:
        """Every case with its history, sorted by name."""
        if not self.root.is_dir():
            return
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith(".")):
            history = read_history(folder)
            if history is not None:
                yield folder.name, history

    def cases_everywhere(self) -> Iterator[tuple[str, History]]:
        """The same with those of every class of devices behind them, as ``devices/<machine class>/<case>``."""
        yield from self.cases()
        devices = self.root / _DEVICES
        for folder in sorted(devices.iterdir()) if devices.is_dir() else ():
            for case, history in Shelf(folder).cases():
                yield f"{_DEVICES}/{folder.name}/{case}", history

    def history(self, case: str) -> History | None:
        """The case's history, None where nothing was accepted for it."""
        return read_history(self.root / case)

    def accepted(self, case: str) -> Bundle:
        """The bundle that is accepted now.

        Raises:
            BaselineError: when nothing was accepted for the case.
            IntegrityError: when its bytes are not those that were accepted.
        """
        history = self.history(case)
        if history is None:
            known = ", ".join(name for name, _ in self.cases())
            there = f" --device {self.device}" if self.device else ""
            raise BaselineError(
                f"no baseline was accepted for {case}",
                where=str(self.root),
                got=f"baselines of {known}" if known else "no baseline at all",
                fix=f"accept one: edgewright baseline accept BUNDLE{there} --reason '...'",
            )
        return self._bundle(case, history.current.bundle)

    def best(
        self, case: str, *, among: Callable[[Bundle], bool] | None = None, now: datetime | None = None
    ) -> Bundle | None:
        """The bundle accepted lately beside which the current one got worst; None when there is no such.

        By the changes that were measured side by side when each was accepted, added up: many small losses of time,
        memory, size or accuracy, each within its margin, are seen beside it.

        Args:
            case: Whose.
            among: Whether a bundle can be it, as one that answers something else cannot; None: each can.
            now: Default: the time.
        """
        history = self.history(case)
        if history is None:
            return None
        since = (now or datetime.now(UTC)) - timedelta(days=_BEST_DAYS)
        drifts = [history.drift(metric, margin) for metric, margin in _MARGINS.items()]
        lately = [
            (max(drift[-1] - drift[number] for drift in drifts), number)
            for number, line in enumerate(history.lines)
            if line.time >= since and number >= len(history.lines) - _BEST_LINES
        ]
        for worst, number in sorted(lately, reverse=True):
            line = history.lines[number]
            if worst <= 0 or line.bundle == history.current.bundle:
                break
            bundle = self._bundle(case, line.bundle)
            if among is None or among(bundle):
                return bundle
        return None

    def _bundle(self, case: str, sha256: str) -> Bundle:
        bundle = read_bundle(self.root / case / "bundles" / sha256[:16])
        if bundle.sha256 != sha256:
            raise IntegrityError(
                "this is not the bundle that was accepted", where=str(bundle.root), got=bundle.sha256, expected=sha256
            )
        return bundle

    def accept(self, bundle: Bundle, line: HistoryLine, *, beside: Sequence[str | None] = ()) -> str:
        """Copy the bundle in and add the line; returns the case.

        Args:
            bundle: Verified.
            line: Of it.
            beside: Hashes, None for no bundle at all: one of these has to be what is accepted now, since the line's
                changes were measured beside it; empty: whatever is.

        Raises:
            IntegrityError: when the case's history is damaged, or the bundle was replaced since it was verified:
                nothing is written then.
            BaselineError: when another one is accepted; nothing is written then either.
            ResourceError: when the disk is full; what was accepted before still is.
        """
        case = case_of(bundle)
        folder = self.root / case
        read_history(folder)
        home = folder / "bundles" / bundle.sha256[:16]
        needed = sum(entry["size_bytes"] for entry in bundle.manifest["files"]) + _TEXTS_BYTES
        with room_for("the baseline", folder, needed, fix=_FIX):
            home.parent.mkdir(parents=True, exist_ok=True)
            with holding(folder):  # of two that accept at once the later one adds its line to the earlier one's
                history = read_history(folder)
                current = history.current.bundle if history else None
                if beside and current not in beside:
                    raise BaselineError(
                        "somebody accepted another bundle meanwhile",
                        where=str(folder),
                        got=str(current),
                        expected=f"{beside[0] or 'none'}, beside which this one was measured",
                        fix="run it again",
                    )
                if _identity(home) != bundle.sha256:  # not there, or damaged: accepting it again heals that
                    _copy(bundle, home)
                append_line(folder, line)
        return case


def _copy(bundle: Bundle, home: Path) -> None:
    """Copy a bundle, whole or not at all; minutes may have passed since it was read, so it is looked at again."""
    with folder_beside(home) as work:
        copy_folder(bundle.root, work)
        copied = _identity(work)
        if copied != bundle.sha256:
            raise IntegrityError(
                "the bundle was replaced or changed meanwhile",
                where=str(bundle.root),
                got=copied or "a bundle that is not what its manifest says",
                expected=bundle.sha256,
                fix="accept it again, once nobody writes it",
            )
        replace_folder(work, home)  # what stood there is now in the temporary folder, which goes
    sweep(home.parent)


def _identity(root: Path) -> str:
    """The hash of the bundle in a folder; empty where none is, or a damaged one."""
    _, sha256, _ = verify.of_one_folder(root, lambda: verify.told_of(os.fspath(root)))
    return sha256
