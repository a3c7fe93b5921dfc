"""A device over a real SSH connection: what it says, what is sent, what engines answer and cost there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.loopback import running_from
from benchmarks.pairs.paired_processes import PairProtocol
from benchmarks.solo import Profile
from benchmarks.workers.workplace import HERE
from exporters.bundle import Bundle
from pipeline.catalog import OPENERS
from pipeline.devices import connection
from pipeline.devices import device as device_module
from pipeline.devices.checkup import checkup
from pipeline.devices.device import _CLEAN, Device
from pipeline.environment import this_machine
from pipeline.errors import DeviceError, EdgewrightError, ResourceError
from pipeline.evaluation import collect_outputs
from pipeline.gate.against_baselines import accept
from pipeline.gate.baselines.shelf import Shelf
from pipeline.gate.two_bundles import GateOptions, gate
from pipeline.measuring.bundle_measurement import BundleMeasurement, engine_of, measure_bundle
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pipeline.data import Dataset

MakeDevice = Callable[..., Device]
Loopback = Any  # of conftest.py
Remake = Callable[..., Bundle]

SHORT = Profile(processes=1, iterations=64, min_iterations=64, max_s=2.0, warmup_s=0.0, warmup_limit=40)
LONG = Profile(processes=1, iterations=10**9, min_iterations=1, max_s=60.0, warmup_s=0.0, warmup_limit=40)
PAIRS = PairProtocol(target_s=0.05, min_pairs=16, max_pairs=16, max_s=2.0, warmup_s=0.0, warmup_limit=40)
_GONE_S = 5.0


def _until(true: Callable[[], object], *, within_s: float) -> float:
    """Seconds until it is true."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < within_s
        time.sleep(0.05)
    return time.monotonic() - start


def _measure(bundle: Bundle, colours: Dataset, device: Device, profile: Profile = SHORT) -> BundleMeasurement:
    return measure_bundle(bundle, colours, profile, SilentProgress(), threads=1, device=device)


def test_it_says_what_it_is_and_lacks_nothing(device: MakeDevice) -> None:
    with device() as connected:
        found = checkup(connected)

    assert connected.facts.machine == this_machine()
    assert (found.missing, dict(found.lines)["Python"]) == ((), sys.version.split()[0])
    assert dict(found.lines)["onnxruntime"] == connected.facts.versions["onnxruntime"]


def test_a_bundle_is_measured_there_and_what_was_sent_once_is_not_sent_again(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    with device() as connected:
        first = _measure(trained, colours, connected)
        sent = connected.sent
    with device() as connected:
        connected.name = connected.entry.address
        second = _measure(trained, colours, connected)

    assert second.to_json()["device"] == "a device"  # an address tells users and hosts
    assert (first.device, first.machine, first.accuracy.value, first.accuracy.n) == ("board", this_machine(), 1.0, 72)
    assert first.to_json()["device"] == "board"
    assert len(first.solo.samples_s()) == 64
    assert first.solo.memory_bytes()[0]["peak"] is not None
    assert first.solo.states[0].others is not None
    distinct = len({sample.sha256 for sample in colours.test})
    assert (sent.files, str(sent)[-14:]) == (distinct + 2, "measuring code")  # and the model and the timed inputs
    assert (connected.sent.files, connected.sent.bytes, str(connected.sent)) == (0, 0, "nothing")
    assert second.accuracy == first.accuracy
    assert not running_from(tmp_path / "there")
    assert list((tmp_path / "there" / "jobs").iterdir()) == []


def test_it_answers_bit_for_bit_what_the_same_worker_answers_here(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    engine = engine_of(trained, colours, tmp_path / "inputs.bin", threads=1)
    what = (trained.root, engine.spec, engine.opener, colours.test, trained.preprocess)
    with device() as connected:
        there = connected.collect_outputs(*what, SilentProgress())
    here = collect_outputs(*what, SilentProgress())

    assert len(there) == len(here) == 72
    assert all(np.array_equal(a, b) for one, other in zip(there, here, strict=True) for a, b in zip(one, other))  # noqa: B905


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["together", "apart"])
def test_two_engines_take_turns_there(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path, *, apart: bool
) -> None:
    engine = engine_of(trained, colours, tmp_path / "inputs.bin", threads=1)
    core = max(os.sched_getaffinity(0))
    with device(cores=[core]) as connected, connected.one_at_a_time():
        raw, state = connected.side_by_side(engine, engine, {"seed": 0, **PAIRS.to_json()}, apart=apart)
        sent = connected.sent.files

    assert len(raw["a_ns"]) == len(raw["b_ns"]) == 16
    assert raw["mismatched"] == {"a": 0, "b": 0}
    assert raw["facts"]["a"]["threads"] == 1
    assert (sent, state.others is None) == (2, False)  # one model and its inputs, for both sides
    assert not running_from(tmp_path / "there")


@pytest.mark.slow
def test_a_gate_runs_both_there(
    device: MakeDevice, trained: Bundle, bigger: Bundle, colours: Dataset, cheap: GateOptions
) -> None:
    with device() as connected:
        found = gate(trained, bigger, colours, replace(cheap, place=connected), SilentProgress())
        sent = connected.sent.files

    size, accuracy = found.metric("size"), found.metric("accuracy")
    assert size is not None
    assert accuracy is not None
    assert (str(size.verdict), str(accuracy.verdict)) == ("regressed", "ok")
    assert [point.pairs for point in found.processes] == [16, 16]
    assert sent == len({sample.sha256 for sample in colours.test}) + 3  # two models, the timed inputs once


@pytest.mark.slow
def test_what_was_accepted_on_a_device_is_a_shelf_of_its_class(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    with device() as connected:
        shelf = Shelf(tmp_path / "baselines").of(connected)
        case, line = accept(shelf, trained, colours, SilentProgress(), reason="a test", device=connected)

    assert line.figures.machine_class == this_machine().machine_class
    assert shelf.root == tmp_path / "baselines" / "devices" / this_machine().machine_class
    assert shelf.accepted(case).sha256 == trained.sha256
    assert list(Shelf(tmp_path / "baselines").of(HERE).cases()) == []


def test_a_device_that_lasts_is_connected_again_and_another_one_does_not_take_its_place(
    device: MakeDevice, arm_python: str, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test[:3], trained.preprocess, SilentProgress())
    with device(lasting=True) as connected:
        first = connected.collect_outputs(*what)
        _cut(connected)
        second = connected.collect_outputs(*what)
        _cut(connected)
        connected.entry = connected.entry.model_copy(update={"python": f"TMPDIR={tmp_path} {arm_python}"})
        with pytest.raises(DeviceError, match="another machine answers than at the start"):
            connected.collect_outputs(*what)

    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))

    with device() as connected:
        _cut(connected)
        with pytest.raises(DeviceError, match="the connection was lost"):
            connected.collect_outputs(*what)


def _cut(connected: Device) -> None:
    os.kill(connected.connection.master_pid, signal.SIGKILL)
    _until(lambda: connected._link.is_gone, within_s=10)


def test_what_keeps_an_engine_from_running_is_told_as_the_worker_said_it(
    device: MakeDevice, trained: Bundle, remake: Remake, colours: Dataset
) -> None:
    broken = remake({"model.onnx": b"no model"})
    with device() as connected, pytest.raises(EdgewrightError, match="the model could not be measured") as raised:
        _measure(broken, colours, connected)

    assert raised.value.where == "a fresh process on board"
    assert "model.onnx" in (raised.value.got or "")


def test_a_bundle_for_another_architecture_is_refused_before_anything_is_sent(
    device: MakeDevice, remake: Remake, colours: Dataset
) -> None:
    arm = remake({"machine": {"architectures": ["aarch64", "arm64"], "isa": []}})
    with device() as connected:
        with pytest.raises(DeviceError, match="for another architecture"):
            _measure(arm, colours, connected)
        assert connected.sent.files == 0


def test_a_python_without_the_runtime_is_told_the_command_that_installs_it(
    device: MakeDevice, trained: Bundle, colours: Dataset
) -> None:
    bare = f"{sys.executable} -S"
    with device(python=bare) as connected:
        with pytest.raises(DeviceError, match="the device has no onnxruntime and no numpy") as raised:
            _measure(trained, colours, connected)
        (missing,) = checkup(connected).missing
        connected.name = connected.entry.address
        (missing_of_an_address,) = checkup(connected).missing

    assert raised.value.fix == "edgewright device check board --install"
    assert missing.endswith(f": {raised.value.fix}")
    command = f"ssh {connected.entry.address} '{bare} -m pip install "
    assert missing_of_an_address.endswith(f"{command}numpy pillow onnxruntime'")


def test_a_runtime_older_than_the_bundles_is_told_before_anything_is_sent(
    device: MakeDevice, remake: Remake, colours: Dataset
) -> None:
    newer = remake({"versions": {"onnxruntime": "999.0", "numpy": "999.0"}})
    with device() as connected:
        with pytest.raises(DeviceError, match="onnxruntime is older than the one that the bundle was made with"):
            _measure(newer, colours, connected)
        assert connected.sent.files == 0


def test_only_one_measures_at_a_time(device: MakeDevice, trained: Bundle, colours: Dataset) -> None:
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test[:3], trained.preprocess, SilentProgress())
    with device() as first, device() as second:
        with first.one_at_a_time():
            with pytest.raises(ResourceError, match="somebody else measures"):
                second.collect_outputs(*what)  # it would be among what the first one measures
            with pytest.raises(ResourceError, match="somebody else measures"), second.one_at_a_time():
                pass
            with pytest.raises(ResourceError, match="somebody measures there"):
                second.clean()
        with pytest.raises(ResourceError, match="somebody measures there") as raised:
            second.clean()  # the other may need what it sent
        assert raised.value.got == "another run is connected to it, and needs what it sent"
        with second.one_at_a_time():
            pass


def test_waiting_for_others_and_sending_are_counted(
    device: MakeDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waiting, now_s, holders = device(wait_s=60.0), [100.0], ["another", "another", None]

    class AgentOfOthers:
        is_gone = False

        def ask(self, message: dict[str, Any]) -> dict[str, Any]:
            match message["ask"]:
                case "take_turn":
                    return {"holder": holders.pop(0)}
                case "lacking":
                    now_s[0] += 4.0
                    return {"lacking": []}
            return {"file": tmp_path}

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    monkeypatch.setattr(waiting, "_link", AgentOfOthers(), raising=False)
    monkeypatch.setattr(device_module, "time", SimpleNamespace(monotonic=lambda: now_s[0], sleep=sleep))
    with waiting.one_at_a_time():
        now_s[0] += 50.0
        assert waiting.waited_s == 2.0
        waiting._work("a.module", {}, {"model": ("ab", Path(__file__))}, "answer")
    assert waiting.waited_s == 6.0


def test_no_more_is_sent_than_there_may_be(device: MakeDevice, trained: Bundle, colours: Dataset) -> None:
    with device(least_free_mib=1 << 40) as connected:
        assert "have to stay" in checkup(connected).missing[0]
        with pytest.raises(ResourceError, match="too little room on the device") as raised:
            _measure(trained, colours, connected)
    assert (raised.value.exit_code, connected.sent.files) == (7, 0)


def test_cleaning_leaves_nothing(device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path) -> None:
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test[:3], trained.preprocess)
    with device() as connected:
        connected.collect_outputs(*what, SilentProgress())
        assert connected.clean() == connected.sent.bytes > 0
    assert not (tmp_path / "there").exists()


def test_where_its_folder_is_a_home_cleaning_leaves_what_else_is_in_it(device: MakeDevice, tmp_path: Path) -> None:
    theirs = [tmp_path / "there" / name for name in ("code/main.py", "jobs/run.lock", "jobs/run/log", "music/x/y")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (tmp_path / "there" / "cache" / "ff").mkdir(parents=True)
    before = set((tmp_path / "there").rglob("*"))
    with device() as connected:
        connected.clean()
    assert set((tmp_path / "there").rglob("*")) == before


def test_what_cannot_be_removed_there_is_told(device: MakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    with device() as connected:
        monkeypatch.setattr(connected._link, "ask", lambda _: {"size": 1, "left": ["not permitted: x", "y"]})
        with pytest.raises(DeviceError, match="2 files of those that were sent could not be removed") as raised:
            connected.clean()
    assert raised.value.got == "not permitted: x"
    assert (raised.value.fix or "").endswith(f"{connected.entry.folder}/cache")


def test_cleaning_a_folder_that_is_gone_removes_nothing_elsewhere_and_no_empty_one_of_its_owner(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "jobs").mkdir()
    ours = tmp_path / "code" / f"{'0' * 64}.pyz"
    for folder, sent in (("gone", False), (str(tmp_path), False), (str(tmp_path), True)):
        if sent:
            ours.touch()
        subprocess.run(["sh", "-c", _CLEAN.format(folder=folder)], cwd=tmp_path, check=False, capture_output=True)  # noqa: S607
        assert [path.name for path in sorted(tmp_path.iterdir())] == (["jobs"] if sent else ["code", "jobs"])


def test_what_somebody_removed_meanwhile_is_sent_again(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test[:3], trained.preprocess, SilentProgress())
    with device() as connected:
        connected.collect_outputs(*what)
        once = connected.sent.files
        shutil.rmtree(tmp_path / "there" / "cache")
        connected.collect_outputs(*what)
        assert connected.sent.files == 2 * once
        assert list(Path(connected._link._bodies.name).iterdir()) == []

        connected._sending.forget()
        connected.entry = connected.entry.model_copy(update={"least_free_mib": 1 << 40})
        with pytest.raises(ResourceError, match="too little room on the device"):  # also where nothing has to be sent
            connected.collect_outputs(*what)


def test_a_core_that_it_has_not_is_told_at_once_and_it_can_be_looked_over_all_the_same(device: MakeDevice) -> None:
    with pytest.raises(DeviceError, match="has not all cores that its entry names"), device(cores=[4000]):
        pass
    with device(cores=[4000], as_it_is=True) as connected:
        assert "it has no cores [4000]" in checkup(connected).missing[0]


def test_a_python_may_be_named_from_the_home_and_a_login_script_may_print_something_without_an_end(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = connection._line
    monkeypatch.setattr(connection, "_line", lambda script: plain(f"printf hello; {script}"))
    python = os.path.relpath(sys.executable, pwd.getpwuid(os.getuid()).pw_dir)
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test[:1], trained.preprocess, SilentProgress())
    with device(python=f"TMPDIR={tmp_path} {python}") as connected:
        assert len(connected.collect_outputs(*what)) == 1


# Faults


def test_a_full_disk_is_told_and_what_is_asked_next_gets_its_own_answer(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    what = (trained.root, trained.spec, OPENERS["ort-cpu"], colours.test[:4], trained.preprocess, SilentProgress())
    limited = f"TMPDIR={tmp_path} prlimit --fsize=100 {sys.executable}"
    with device(python=limited) as connected:
        with pytest.raises(ResourceError, match="the disk of the device is full"):
            connected.collect_outputs(*what)
        assert connected.clean() == 0
    with device() as connected:
        connected.collect_outputs(*what)
    with device(python=limited.replace("100", "1500")) as connected, pytest.raises(ResourceError, match="disk"):
        connected.collect_outputs(*what)  # there is room for what is asked, not for what the worker answers


def test_a_folder_for_work_that_cannot_be_made_is_told_and_the_device_can_be_looked_over(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "jobs").write_text("no folder")
    with device() as connected:
        assert checkup(connected).missing == ()
        with pytest.raises(DeviceError, match="the device failed") as raised:
            _measure(trained, colours, connected)
    assert "jobs" in (raised.value.got or "")


def test_a_defect_of_the_agent_is_answered(device: MakeDevice) -> None:
    with device() as connected:
        for message in ({"ask": "nonsense"}, {"ask": "work"}):
            with pytest.raises(DeviceError, match="the device failed") as raised:
                connected._link.ask(message)
            assert (raised.value.got or "").startswith("KeyError")


def test_a_command_that_does_not_end_is_told_and_none_goes_another_way_than_the_master(device: MakeDevice) -> None:
    with device() as connected:
        with pytest.raises(DeviceError, match="did not end within 0 s"):
            connected.connection.run("sleep 2", within_s=0.2)
        os.kill(connected.connection.master_pid, signal.SIGKILL)
        done = connected.connection.run("echo here")
        assert (done.returncode != 0, done.stdout) == (True, b"")


@pytest.mark.parametrize(
    ("host", "known"),
    [("pi", "pi"), ("pi:22", "pi"), ("pi:2222", "'[pi]:2222'"), ("[fe80::1]", "fe80::1"), ("[fe80::1]:22", "fe80::1"),
     ("[fe80::1]:2222", "'[fe80::1]:2222'")],
)  # fmt: skip
def test_a_host_key_is_forgotten_by_the_name_that_ssh_notes_it_under(host: str, known: str) -> None:
    assert connection._known_as(host) == known


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_lost_connection_is_told_leaves_nothing_running_and_the_next_run_goes_on(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path, blow: signal.Signals
) -> None:
    there, failed = tmp_path / "there", []

    def measured(connected: Device) -> None:
        try:
            _measure(trained, colours, connected, LONG)
        except DeviceError as error:
            failed.append(error)

    with device() as connected:
        work = threading.Thread(target=measured, args=(connected,))
        work.start()
        _until(lambda: len(running_from(there)) >= 2, within_s=10)  # the agent and its worker
        master = connected.connection.master_pid
        os.kill(master, blow)
        _until(lambda: not running_from(there), within_s=_GONE_S)
        with suppress(ProcessLookupError):  # waiting for what a stopped one says takes longer than a test should
            os.kill(master, signal.SIGKILL)
        work.join(timeout=10)
        sent = connected.sent.files

    assert [error.what for error in failed] == ["the connection was lost"]
    assert "run the same command again" in (failed[0].fix or "")
    with device() as connected:
        _measure(trained, colours, connected)
    assert connected.sent.files == len({sample.sha256 for sample in colours.test})  # the model and inputs are there
    assert sent == 2
    assert list((there / "jobs").iterdir()) == []


def test_the_worker_of_a_killed_agent_is_gone_too(
    device: MakeDevice, trained: Bundle, colours: Dataset, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    with device() as connected:
        work = threading.Thread(target=pytest.raises, args=(DeviceError, _measure, trained, colours, connected, LONG))
        work.start()
        _until(lambda: len(running_from(there)) >= 2, within_s=10)
        for pid in running_from(there):
            if b"agent" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
        _until(lambda: not running_from(there), within_s=_GONE_S)
        work.join(timeout=10)


def test_a_device_that_does_not_answer_cannot_be_reached(device: MakeDevice) -> None:
    with pytest.raises(DeviceError, match="cannot be reached") as raised, device(address="ssh://127.0.0.1:1"):
        pass
    assert "refused" in (raised.value.got or "")


def test_an_unknown_and_a_changed_host_key_are_told_apart(
    device: MakeDevice, with_client: Loopback, tmp_path: Path
) -> None:
    known = with_client.known_hosts.read_text()
    host = known.partition(" ")[0]
    subprocess.run(
        [shutil.which("ssh-keygen") or "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")],
        check=True,
    )
    try:
        with_client.known_hosts.write_text("")
        with pytest.raises(DeviceError, match="its host key is not known"), device():
            pass
        with_client.known_hosts.write_text(f"{host} {(tmp_path / 'other.pub').read_text()}")
        with pytest.raises(DeviceError, match="the host key has changed") as raised, device():
            pass
    finally:
        with_client.known_hosts.write_text(known)
    assert f"ssh-keygen -R '{host}'" in (raised.value.fix or "")


def test_a_key_that_is_not_accepted_is_told_and_no_password_is_asked_for(
    device: MakeDevice, with_client: Loopback
) -> None:
    keys = with_client.keys.read_text()
    try:
        with_client.keys.write_text("")
        with pytest.raises(DeviceError, match="accepts none of your keys"), device():
            pass
    finally:
        with_client.keys.write_text(keys)


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nowhere/python3", "there is no such Python"),
        ("sh -c 'echo edgewright-python 3 8' #", "its Python is too old"),
        ("false", "its Python does not run"),
    ],
)
def test_a_python_that_will_not_do_is_told(device: MakeDevice, python: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as raised, device(python=python):
        pass
    assert raised.value.expected == "Python 3.9 or newer"


def test_a_folder_that_cannot_be_made_is_told(device: MakeDevice, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(DeviceError, match=r"no folder .* can be made there"),
        device(folder=str(tmp_path / "file/there")),
    ):
        pass


def test_code_that_was_cut_off_is_sent_again(device: MakeDevice, tmp_path: Path) -> None:
    with device() as connected:
        whole = connected.sent.code_bytes
    (code,) = (tmp_path / "there" / "code").iterdir()
    code.write_bytes(code.read_bytes()[:100])

    with device() as connected:
        assert connected.sent.code_bytes == whole > 100

    damaged = bytearray(code.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    code.write_bytes(damaged)
    with device() as connected:
        assert connected.sent.code_bytes == whole
