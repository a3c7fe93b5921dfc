"""A device that is connected: what it is, the files it has, and engines measured on it."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks.machine.disturbance import MachineState
from benchmarks.workers.launch import lost
from pipeline.artifact import sha256_of_file
from pipeline.devices.connection import Connection
from pipeline.devices.facts import DeviceFacts, doubts_of
from pipeline.devices.installation import remote_folder, start_agent
from pipeline.devices.there.jobs import HERE
from pipeline.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.engine import Engine
    from pipeline.data import Sample
    from pipeline.devices.entries import DeviceEntry
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.session import EngineSpec, Outputs

__all__ = ["Device", "Sent"]

_MIB = 1 << 20
_WAIT_S = 600.0
_ASK_AGAIN_S = 1.0


class Sent:
    """What went to a device: files and bytes, of models and inputs; and the measuring code, if it was not there."""

    def __init__(self) -> None:
        self.files = self.bytes = self.code_bytes = 0

    def __str__(self) -> str:
        """For people."""
        code = f", {self.code_bytes / 1000:.0f} kB of measuring code" if self.code_bytes else ""
        return f"{self.files} files, {self.bytes / 1e6:.1f} MB{code}" if self.files or code else "nothing"


class Device:
    """Connected while its ``with`` block lasts; then nothing of ours runs there.

    It is a :class:`~benchmarks.workers.workplace.Workplace`.

    Args:
        name: What the user calls it.
        entry: How it is reached.
        progress: Told of what is sent and waited for.
        wait_s: How long to wait for somebody else's measurement there.

    Attributes:
        facts: What it says of itself.
        sent: What was sent so far.
    """

    def __init__(self, name: str, entry: DeviceEntry, progress: Progress, *, wait_s: float = _WAIT_S) -> None:
        self.name, self.entry = name, entry
        self.sent = Sent()
        self._progress, self._wait_s = progress, wait_s
        self._opened = ExitStack()
        self._there: set[str] = set()
        self._celsius: list[float] = []

    def __enter__(self) -> Self:
        """Connect, send the code if it is not there, and start the agent.

        Raises:
            DeviceError: when one of these cannot be.
            ResourceError: when the disk there is full.
        """
        with ExitStack() as opened:
            self.connection = opened.enter_context(Connection(self.name, self.entry.address))
            self._link, self.sent.code_bytes = start_agent(self.name, self.entry, self.connection, opened)
            self.facts = DeviceFacts.of(self._link.ask({"ask": "facts"}))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Disconnect."""
        self._opened.close()

    def doubts(self) -> list[str]:
        """What makes figures that were measured there vary."""
        return doubts_of(self.facts.governors, max([*self._celsius, self.facts.celsius or 0.0]))

    def clean(self) -> int:
        """Remove all that was sent; bytes of the models and inputs among it.

        Raises:
            ResourceError: while somebody measures there.
        """
        found = self._link.ask({"ask": "empty"})
        if found.get("error") == "busy":
            raise ResourceError(
                "somebody measures there", where=self.name, got=found["text"], fix="run it again when that has ended"
            )
        folder = remote_folder(self.entry.folder)
        self.connection.run(f"cd {folder} && rm -rf cache code jobs; cd / && rmdir {folder}")
        return int(found["size"])

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Nothing else of ours is measured on the device while the block lasts.

        Raises:
            ResourceError: when somebody else measures there for longer than one waits.
        """
        until, told = time.monotonic() + self._wait_s, False
        while (holder := self._link.ask({"ask": "take_turn"})["holder"]) is not None:
            if time.monotonic() > until:
                raise ResourceError(
                    "somebody else measures on the device",
                    where=self.name,
                    got=holder,
                    fix="run the same command again when that has ended",
                )
            if not told:
                self._progress.note(f"waiting for the measurement of another on {self.name} ({holder})")
                told = True
            time.sleep(_ASK_AGAIN_S)
        yield
        self._link.ask({"ask": "give_turn_back"})  # after an error too: the agent's end does it

    def timed(self, engine: Engine, request: Mapping[str, Any]) -> tuple[dict[str, Any], MachineState]:
        """What a fresh process there answers, and the device while it ran.

        Raises:
            EdgewrightError: when the process failed.
            DeviceError: when the connection was lost.
        """
        laid = self._engine_files(engine.folder, engine.spec)
        files = {**laid, "inputs.bin": (sha256_of_file(engine.inputs), engine.inputs)}
        asked = {
            "folder": f"{HERE}engine", "spec": engine.spec.to_json(), "opener": engine.opener,
            "inputs": f"{HERE}inputs.bin", **request,
        }  # fmt: skip
        found = self._work("benchmarks.workers.solo_worker", asked, files, "result.json")
        result: dict[str, Any] = json.loads(found["file"].read_text(encoding="utf-8"))
        found["file"].unlink()
        self._celsius += [value for value in found["celsius"] if value is not None]
        return {**result, "celsius": found["celsius"]}, MachineState(**found["state"])

    def collect_outputs(
        self, folder: Path, spec: EngineSpec, opener: str, samples: Sequence[Sample], preprocess: PreprocessSpec
    ) -> list[Outputs]:
        """Run every sample through the engine there, read and prepared there; as ``pipeline.evaluation`` does here.

        Raises:
            EdgewrightError: when the process failed.
            DeviceError: when the connection was lost.
        """
        files = self._engine_files(folder, spec)
        images = []
        for sample in samples:
            name = f"images/{sample.sha256}{sample.path.suffix}"
            files[name] = (sample.sha256, sample.path)
            images.append(HERE + name)
        asked = {
            "folder": f"{HERE}engine", "spec": spec.to_json(), "opener": opener,
            "preprocess": preprocess.model_dump(mode="json"), "images": images,
        }  # fmt: skip
        with self._progress.track(f"accuracy on {self.name}", len(samples)) as ticker:
            found = self._work(
                "pipeline.evaluation.worker", asked, files, "outputs.npz", lambda line: ticker.advance(int(line))
            )
        with np.load(found["file"], allow_pickle=False) as arrays:
            stacked = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
        return list(zip(*stacked, strict=True))

    def _engine_files(self, folder: Path, spec: EngineSpec) -> dict[str, tuple[str, Path]]:
        return {f"engine/{name}": (sha256_of_file(folder / name), folder / name) for name in spec.loaded}

    def _work(
        self,
        module: str,
        request: Mapping[str, Any],
        files: Mapping[str, tuple[str, Path]],
        answer: str,
        tell: Callable[[str], object] = bool,
    ) -> dict[str, Any]:
        """Send what is not there, run a worker, and give what the agent said of its end."""
        self._send(dict(files.values()))
        laid = {name: sha256 for name, (sha256, _) in files.items()}
        message = {"ask": "work", "module": module, "request": request, "files": laid, "answer": answer}
        found = self._link.ask(message)
        while "progress" in found:
            tell(found["progress"])
            found = self._link.answer()
        if found.get("error") == "worker":
            error = lost(module, found["code"], found["text"])
            raise type(error)(
                error.what,
                where=f"a fresh process on {self.name}",
                got=error.got,
                expected=error.expected,
                fix=error.fix,
            )
        return found

    def _send(self, files: Mapping[str, Path]) -> None:
        """Send those files, by SHA-256, that the device has not."""
        if set(files) <= self._there:
            return
        sizes = {sha256: path.stat().st_size for sha256, path in files.items()}
        lacking = self._link.ask({"ask": "lacking", "sizes": sizes})["lacking"]
        total = sum(sizes[sha256] for sha256 in lacking)
        if lacking:
            limits = {"limit": self.entry.cache_mib * _MIB, "least_free": self.entry.least_free_mib * _MIB}
            self._link.ask({"ask": "room", "size": total, "keep": list(sizes), **limits})
            with self._progress.track(f"sending to {self.name}", len(lacking)) as ticker:
                self._link.put_all(((sha256, files[sha256]) for sha256 in lacking), ticker.advance)
        self._there = set(files)  # older ones may have had to go
        self.sent.files += len(lacking)
        self.sent.bytes += total
