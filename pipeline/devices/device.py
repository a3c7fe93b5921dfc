"""A device that is connected: what it is, the files it has, and engines measured on it."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks.machine.disturbance import MachineState
from benchmarks.workers.launch import lost
from pipeline.artifact import sha256_of_file
from pipeline.devices.connection import Connection
from pipeline.devices.entries import device_entry
from pipeline.devices.facts import DeviceFacts, doubts_of
from pipeline.devices.fitness import check_target, target_lacks
from pipeline.devices.installation import remote_folder, start_agent
from pipeline.devices.sending import Sending
from pipeline.devices.there.jobs import HERE
from pipeline.errors import DeviceError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.engine import Engine
    from exporters.target import Target
    from pipeline.data import Sample
    from pipeline.devices.entries import DeviceEntry
    from pipeline.devices.sending import Sent
    from pipeline.environment import Machine
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.session import EngineSpec, Outputs

__all__ = ["Device", "device_of", "reached"]

_WAIT_S = 3600.0
"""A large test split is scored that long on a small board."""
_ASK_AGAIN_S = 1.0
_CLEAN_S = 600.0
"""A card may take long to forget gigabytes."""
_CODE, _JOB = f"code/{64 * '[0-9a-f]'}.pyz", f"jobs/{32 * '[0-9a-f]'}"
_CLEAN = (
    "cd {folder} || exit; "
    'gone() {{ no=1; for one in "$@"; do test -e "$one" && rm -rf "$one" && no=0; done; return $no; }}; '
    f"gone {_CODE} {_CODE}.*.part && rmdir code; gone {_JOB} {_JOB}.lock && rmdir jobs; "
    "cd / && rmdir {folder}"
)
"""For the device's ``sh``: what lies in its folder beside the agent's cache goes, and folders that held no more than
that. The folder may be a home with ``code`` in it."""


class Device:
    """Connected while its ``with`` block lasts; then nothing of ours runs there.

    It is a :class:`~benchmarks.workers.workplace.Workplace`.

    Args:
        name: What the user calls it.
        entry: How it is reached.
        progress: Told of what is sent and waited for.
        wait_s: How long to wait for somebody else's measurement there.
        as_it_is: Whether it may lack cores that its entry names: to look it over, or to clean it.
        lasting: Whether a connection that was lost while nothing was measured is made again: hours of training may
            lie between two measurements. One that is lost on the way ends them all the same.

    Attributes:
        facts: What it says of itself.
        waited_s: For the measurements of others there, and for what was sent; seconds.
    """

    def __init__(
        self,
        name: str,
        entry: DeviceEntry,
        progress: Progress,
        *,
        wait_s: float = _WAIT_S,
        as_it_is: bool = False,
        lasting: bool = False,
    ) -> None:
        self.name, self.entry = name, entry
        self._sending = Sending(name, progress)
        self._progress, self._wait_s, self._as_it_is, self._lasting = progress, wait_s, as_it_is, lasting
        self._opened = ExitStack()
        self.waited_s = 0.0

    def __enter__(self) -> Self:
        """Connect, send the code if it is not there, and start the agent.

        Raises:
            DeviceError: when one of these cannot be, or it has not the cores that it is kept to.
            ResourceError: when the disk there is full.
        """
        with ExitStack() as opened:
            self.connection = opened.enter_context(Connection(self.name, self.entry.address))
            self._link, code_bytes = start_agent(self.name, self.entry, self.connection, opened)
            self.sent.code_bytes += code_bytes
            self.facts = DeviceFacts.of(self._link.ask({"ask": "facts"}))
            if not self._as_it_is:
                self._check_cores()
            self._opened = opened.pop_all()
        return self

    def _check_cores(self) -> None:
        if strange := sorted(set(self.entry.cores or ()) - set(self.facts.usable)):
            raise DeviceError(
                "the device has not all cores that its entry names",
                where=self.name,
                got=f"no core {', '.join(map(str, strange))}",
                expected=f"some of {list(self.facts.usable)}",
                fix=f"edgewright device add {self.name} {self.entry.address} --cores ...",
            )

    def __exit__(self, *exc_info: object) -> None:
        """Disconnect."""
        self._opened.close()

    @property
    def sent(self) -> Sent:
        """What was sent so far."""
        return self._sending.sent

    @property
    def machine(self) -> Machine:
        """What it is; its cores are those that its entry lets us use."""
        cores = self.entry.cores
        return replace(self.facts.machine, cores=len(cores)) if cores else self.facts.machine

    @property
    def identity(self) -> str:
        """In keys; which cores are used matters where they are not alike, and what chooses their clocks."""
        cores, governors = ",".join(map(str, self.entry.cores or ())), ",".join(self.facts.governors)
        found = f"{self.machine.machine_class} on cores {cores}" if cores else self.machine.machine_class
        if not governors:
            return found
        if "powersave" in self.facts.governors:  # by the driver the lowest clock, or one that follows the load
            governors += f" of {self.facts.clock_driver or 'another driver'}"
        return f"{found} under {governors}"

    def versions(self, distributions: Sequence[str]) -> Mapping[str, str | None]:
        """Everything it told of: which wheel of a runtime is used there is its own affair."""
        return {**dict.fromkeys(distributions), **self.facts.versions, "python": self.facts.python}

    def check(self, target: Target) -> None:
        """Refuse a target that it lacks something for.

        Raises:
            DeviceError: saying what.
        """
        check_target(target, self)

    def cannot_run(self, target: Target) -> str | None:
        """None when it can."""
        return target_lacks(target, self)

    def doubts(self) -> list[str]:
        """What makes figures that were measured there vary, besides heat: each figure tells its own."""
        return doubts_of(self.facts.governors, clock_driver=self.facts.clock_driver)

    def clean(self) -> int:
        """Remove all that was sent; bytes of the models and inputs among it.

        Raises:
            ResourceError: while somebody measures there, or another run is connected to it.
            DeviceError: when some of it cannot be removed; the rest is.
        """
        found = self._link.ask({"ask": "empty"})
        if found.get("error") == "busy":
            raise ResourceError(
                "somebody measures there", where=self.name, got=found["text"], fix="run it again when that has ended"
            )
        self.connection.run(_CLEAN.format(folder=remote_folder(self.entry.folder)), within_s=_CLEAN_S)
        if left := found["left"]:
            raise DeviceError(
                f"{len(left)} files of those that were sent could not be removed; the others were",
                where=self.name,
                got=left[0],
                fix=f"remove them by hand: they lie in {self.entry.folder}/cache",
            )
        return int(found["size"])

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Nothing else of ours is measured on the device while the block lasts.

        Raises:
            ResourceError: when somebody else measures there for longer than one waits.
            DeviceError: when the connection was lost, and could not be made again.
        """
        asked, told = time.monotonic(), False
        self._connect_again()
        until = time.monotonic() + self._wait_s
        while (holder := self._turn_or_holder()) is not None:
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
        self.waited_s += time.monotonic() - asked
        try:
            yield
        finally:  # a connection that was lost has given it back by that
            if not self._link.is_gone:
                self._link.ask({"ask": "give_turn_back"})

    def _turn_or_holder(self) -> str | None:
        """None when the turn is ours from now on, else who has it; nothing is lost with a connection that is gone."""
        try:
            holder: str | None = self._link.ask({"ask": "take_turn"})["holder"]
        except DeviceError:
            if not self._lasting or not self._link.is_gone:
                raise
            self._connect_again()
            holder = self._link.ask({"ask": "take_turn"})["holder"]
        return holder

    def timed(
        self, engine: Engine, request: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], MachineState]:
        """What a fresh process there answers, and the device while it ran.

        Raises:
            EdgewrightError: when the process failed.
            DeviceError: when the connection was lost, or the governor was changed.
        """
        files, asked = self._laid("engine", engine)
        return self._measured("benchmarks.workers.solo_worker", {**asked, **request}, files, environment)

    def side_by_side(
        self, first: Engine, second: Engine, request: Mapping[str, Any], *, apart: bool
    ) -> tuple[dict[str, Any], MachineState]:
        """What a fresh process with two engines answers there, and the device while it ran.

        Raises:
            EdgewrightError: when the process failed.
            DeviceError: when the connection was lost, or the governor was changed.
        """
        files: dict[str, tuple[str, Path]] = {}
        sides: dict[str, Any] = {}
        for name, engine in (("a", first), ("b", second)):
            laid, sides[name] = self._laid(name, engine)
            files |= laid
        worker = "benchmarks.workers.stopped_sides_worker" if apart else "benchmarks.workers.pair_worker"
        return self._measured(worker, {**sides, **request}, files)

    def _measured(
        self,
        worker: str,
        request: Mapping[str, Any],
        files: Mapping[str, tuple[str, Path]],
        environment: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Any], MachineState]:
        asked = {**request, "affinity": request["affinity"] or list(self.entry.cores or ())}
        found = self._work(worker, asked, files, "result.json", environment=environment)
        result: dict[str, Any] = json.loads(found["file"].read_text(encoding="utf-8"))
        found["file"].unlink()
        if (governors := tuple(found["governors"])) != self.facts.governors:  # under which all figures are kept
            raise DeviceError(
                "its governor was changed while it was measured",
                where=self.name,
                got=", ".join(governors) or "none is told",
                expected=f"{', '.join(self.facts.governors) or 'none'}, as when it was connected",
                fix="see that nothing changes it there, then run the same command again: it measures under this one",
            )
        told = {key: found[key] for key in ("celsius", "held_back", "governors")}
        return {**result, **told}, MachineState(**found["state"])

    def collect_outputs(
        self,
        folder: Path,
        spec: EngineSpec,
        opener: str,
        samples: Sequence[Sample],
        preprocess: PreprocessSpec,
        progress: Progress,
    ) -> list[Outputs]:
        """Run every sample through the engine there, read and prepared there; as ``pipeline.evaluation`` does here.

        It takes a turn of its own, for whoever has none: the work would raise the latencies of others.

        Raises:
            EdgewrightError: when the process failed.
            DeviceError: when the connection was lost.
            ResourceError: when somebody else measures there for longer than one waits.
        """
        files = _engine_files("engine", folder, spec)
        images = []
        for sample in samples:
            name = f"images/{sample.sha256}{sample.path.suffix}"
            files[name] = (sample.sha256, sample.path)
            images.append(HERE + name)
        asked = {
            "folder": f"{HERE}engine", "spec": spec.to_json(), "opener": opener,
            "preprocess": preprocess.model_dump(mode="json"), "images": images,
        }  # fmt: skip
        with self.one_at_a_time(), progress.track(f"accuracy on {self.name}", len(samples)) as ticker:
            found = self._work(
                "pipeline.evaluation.worker", asked, files, "outputs.npz", lambda line: ticker.advance(int(line))
            )
        with np.load(found["file"], allow_pickle=False) as arrays:
            stacked = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
        found["file"].unlink()
        return list(zip(*stacked, strict=True))

    def _connect_again(self) -> None:
        """Make a lost connection anew, for a device that lasts.

        Raises:
            DeviceError: when that cannot be, or another machine answers, or one that was changed: its versions, or
                what chooses its clocks.
        """
        if not self._lasting or not self._link.is_gone:
            return
        self._progress.note(f"the connection to {self.name} was lost meanwhile: made again")
        before = self.identity, dict(self.versions(()))
        self._opened.close()
        self._sending.forget()
        self.__enter__()
        now = self.identity, dict(self.versions(()))
        if now != before:  # what is kept next would be kept as of the one before
            raise DeviceError(
                "another machine answers than at the start of this run, or it was changed",
                where=self.name,
                got="class {}, {}".format(*now),
                expected="class {}, {}".format(*before),
                fix="run the same command again: what was measured is measured on this one",
            )

    def _laid(self, name: str, engine: Engine) -> tuple[dict[str, tuple[str, Path]], dict[str, Any]]:
        """The files of an engine with its inputs by where they will lie there, and how a worker is told of it."""
        inputs = f"{name}.bin"
        files = {
            **_engine_files(name, engine.folder, engine.spec),
            inputs: (sha256_of_file(engine.inputs), engine.inputs),
        }
        told = {
            "folder": HERE + name, "spec": engine.spec.to_json(), "opener": engine.opener, "inputs": HERE + inputs,
        }  # fmt: skip
        return files, told

    def _work(
        self,
        module: str,
        request: Mapping[str, Any],
        files: Mapping[str, tuple[str, Path]],
        answer: str,
        tell: Callable[[str], object] = bool,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send what is not there, run a worker, and give what the agent said of its end."""
        self._send(files)
        laid = {name: sha256 for name, (sha256, _) in files.items()}
        message = {
            "ask": "work", "module": module, "request": request, "files": laid, "answer": answer,
            "environment": dict(environment or {}),
        }  # fmt: skip
        found = self._link.ask(message)
        if found.get("error") == "lacking":
            self._sending.forget()
            self._send(files)
            found = self._link.ask(message)
        if found.get("error") == "lacking":
            raise ResourceError(
                "what was sent to the device is removed by others before it is used",
                where=self.name,
                got=found["text"],
                fix="let one run after the other, or give more room: edgewright device add ... --cache-mib",
            )
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

    def _send(self, files: Mapping[str, tuple[str, Path]]) -> None:
        began = time.monotonic()
        self._sending.send(self._link, self.entry, dict(files.values()))
        self.waited_s += time.monotonic() - began


def device_of(text: str, progress: Progress, *, as_it_is: bool = False, lasting: bool = False) -> Device:
    """The device of a name or an address, not yet connected; see :class:`Device`.

    Raises:
        UnknownNameError: when there is no device of that name.
        UsageError: for an address that is none.
    """
    name, entry = device_entry(text)
    return Device(name, entry, progress, as_it_is=as_it_is, lasting=lasting)


def reached(text: str | None, progress: Progress, *, lasting: bool = False) -> AbstractContextManager[Device | None]:
    """The connected device of a name or an address while a block lasts; None where none is named.

    Raises:
        UnknownNameError: when there is no device of that name.
        UsageError: for an address that is none.
    """
    return device_of(text, progress, lasting=lasting) if text else nullcontext()


def _engine_files(name: str, folder: Path, spec: EngineSpec) -> dict[str, tuple[str, Path]]:
    return {f"{name}/{file}": (sha256_of_file(folder / file), folder / file) for file in spec.loaded}
