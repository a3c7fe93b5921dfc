"""A real fleet on a Ray of this machine: killed in the middle, resumed, ended by signals; nothing is left of it.

And on a cluster that somebody else has started, which stays when the fleet goes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.fleet_record import FleetReport

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'edgewright[fleet]'"),
]

_STARTS = 3

_SETTINGS = {
    "input.size": 16, "input.resize": "squash", "input.mean": 0.5, "input.std": 0.25, "skip": ["distill"],
    "baseline.schedule.epochs": 2, "baseline.schedule.batch_size": 16, "prune.schedule.epochs": 1,
    "build.precision": "int8", "build.budget_s": 0, "measure.processes": 1, "measure.iterations": 12,
}  # fmt: skip


@pytest.fixture
def folder(tiny_file: Path, tiny_data: Path) -> Iterator[Path]:
    """A short-named folder with a fleet of two targets: Ray's sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="ew", dir="/tmp") as name:
        folder = Path(name)
        fleet = {
            "models": [{"model": f"{tiny_file}:tiny", "name": "tiny"}],
            "data": [str(tiny_data)],
            "recipes": [{"name": "small", "settings": _SETTINGS}],
            "targets": ["ort-cpu", "openvino"],
            "resources": {"cores": 1},
        }
        (folder / "fleet.yaml").write_text(json.dumps(fleet), encoding="utf-8")
        yield folder


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "EDGEWRIGHT_CACHE": str(folder / "cache"), "TMPDIR": str(folder)}


@dataclass(frozen=True)
class _Cluster:
    """A Ray that somebody started: ports of its head and for clients from outside, and the variables both ends need."""

    head: int
    clients: int
    variables: Mapping[str, str]
    process: subprocess.Popen[bytes]


@pytest.fixture
def cluster(folder: Path) -> Iterator[_Cluster]:
    """A head on the loopback, in whose environment its workers run."""
    head, clients = _free_port(), _free_port()
    # Everything listens on the loopback alone, as with a Ray of the fleet's own.
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
    words = (
        "start", "--head", "--block", "--disable-usage-stats", "--include-dashboard=false", "--num-cpus=2",
        f"--port={head}", f"--ray-client-server-port={clients}", "--object-store-memory=200000000",
    )  # fmt: skip
    with ExitStack() as opened:
        for start in range(_STARTS):  # Ray gives itself half a minute, which may be too short on a busy machine
            log = opened.enter_context((folder / f"cluster-{start}.log").open("wb"))
            process = subprocess.Popen(
                [*ray, *words], cwd=folder, env=_environment(folder) | own, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
            opened.callback(_end, process)
            while process.poll() is None and not (_answers(head) and _answers(clients)):
                time.sleep(0.2)
            if process.poll() is None:
                break
        yield _Cluster(head, clients, own, process)
    assert _is_over(folder, within_s=120) == []


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=120)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _start(folder: Path, *words: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    environment = _environment(folder) | dict(variables or {})
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "edgewright", "fleet", "fleet.yaml", "--out", "out", *words],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def _report(folder: Path) -> FleetReport:
    return FleetReport.model_validate_json((folder / "out" / "fleet.json").read_bytes())


def _left(folder: Path) -> list[str]:
    """Command lines of living processes that were started by a fleet in that folder."""
    return [command.decode()[:200] for command in map(_command, _pids(folder)) if command]


def _is_over(folder: Path, *, within_s: float) -> list[str]:
    until = time.monotonic() + within_s
    while (left := _left(folder)) and time.monotonic() < until:
        time.sleep(0.2)
    return left


def _until(reached: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)


def _trained(folder: Path) -> list[str]:
    """Stages that were run and kept in the store, those alone that train."""
    notes = [json.loads(path.read_text(encoding="utf-8"))["value"] for path in (folder / "cache/keys").glob("*.json")]
    return sorted(note["components"]["stage"] for note in notes if note["components"]["stage"] in {"baseline", "prune"})


def test_all_cells_come_and_what_they_share_is_trained_once(folder: Path) -> None:
    process = _start(folder)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    report = _report(folder)

    assert [(cell.name, cell.status) for cell in report.cells] == [("tiny ort-cpu", "done"), ("tiny openvino", "done")]
    assert "2 of 2 cells done" in out
    assert sorted(stage for cell in report.cells for stage in cell.ran if stage in {"baseline", "prune"}) == [
        "baseline",
        "prune",
    ]
    assert _trained(folder) == ["baseline", "prune"]
    for cell in report.cells:
        assert cell.report is not None
        bundle = (folder / "out" / cell.report).parent / "bundle"
        subprocess.run([sys.executable, str(bundle / "verify.py")], check=True, capture_output=True)
    assert _is_over(folder, within_s=5) == []
    assert [path for path in folder.glob("edgewright-*") if path.is_dir()] == []


def test_nothing_listens_beyond_the_loopback(folder: Path) -> None:
    process = _start(folder)
    _until((folder / "cache" / "work").is_dir, process)  # a worker is at it
    addresses = _listening(_pids(folder))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)

    assert addresses, "Ray listens somewhere"
    assert {address for address in addresses if not address.startswith("127.")} == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_ended_fleet_leaves_nothing_running_and_goes_on(folder: Path, number: signal.Signals) -> None:
    process = _start(folder)
    _until(lambda: any((folder / "cache" / "keys").glob("*.json")), process)  # the first stage is done
    process.send_signal(number)
    _, err = process.communicate(timeout=120)

    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number)
    assert killed or "finished stages are kept" in err
    assert _is_over(folder, within_s=120 if killed else 3) == []  # two agents of Ray's look for theirs for a minute
    assert _report(folder).count("waiting") >= 1

    again = _start(folder)
    _, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    assert _report(folder).count("done") == 2
    assert _trained(folder) == ["baseline", "prune"]


def test_a_killed_workers_cell_is_tried_again(folder: Path) -> None:
    process = _start(folder)
    _until(lambda: any((folder / "cache" / "keys").glob("*.json")), process)
    os.kill(_working(folder)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=600)

    assert process.returncode == 0, err
    assert "its worker was lost" in err
    report = _report(folder)
    assert sorted(cell.tries for cell in report.cells) == [1, 2]
    assert report.count("done") == 2


def _working(folder: Path) -> list[int]:
    """Processes that run a cell."""
    return [pid for pid in _pids(folder) if b"ray::work" in _command(pid)]


def test_a_cell_that_fails_is_told_and_decides_the_exit_code(folder: Path) -> None:
    fleet = json.loads((folder / "fleet.yaml").read_text(encoding="utf-8"))
    fleet["data"].append("no_such_folder")
    (folder / "fleet.yaml").write_text(json.dumps({**fleet, "targets": ["ort-cpu"]}), encoding="utf-8")
    process = _start(folder)
    out, _ = process.communicate(timeout=600)

    assert process.returncode == 2
    assert "tiny no_such_folder ended with 2: no_such_folder: " in out
    assert [cell.status for cell in _report(folder).cells] == ["done", "failed"]


def test_more_than_the_machine_has_is_refused(folder: Path) -> None:
    fleet = json.loads((folder / "fleet.yaml").read_text(encoding="utf-8"))
    (folder / "fleet.yaml").write_text(json.dumps({**fleet, "resources": {"cores": 100_000}}), encoding="utf-8")
    process = _start(folder)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 2
    assert err.startswith("error: resources of tiny ort-cpu: no machine has what a cell takes\n  got: 100000 CPU\n")
    assert _is_over(folder, within_s=5) == []


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:{head}", "ray://127.0.0.1:{clients}"])
def test_on_a_cluster_that_is_there_all_cells_come_and_it_stays(folder: Path, cluster: _Cluster, address: str) -> None:
    _with_one_target(folder)
    named = address.format(head=cluster.head, clients=cluster.clients)
    process = _start(folder, "--address", named, variables=cluster.variables)
    out, err = process.communicate(timeout=600)

    assert process.returncode == 0, err
    assert "1 of 1 cells done" in out
    (cell,) = _report(folder).cells
    assert cell.report is not None
    bundle = (folder / "out" / cell.report).parent / "bundle"
    subprocess.run([sys.executable, str(bundle / "verify.py")], check=True, capture_output=True)
    assert cluster.process.poll() is None
    assert _answers(cluster.head)
    assert _working_ends(folder)


def test_a_fleet_that_is_ended_on_a_cluster_ends_its_cells_there(folder: Path, cluster: _Cluster) -> None:
    _with_one_target(folder)
    process = _start(folder, "--address", f"ray://127.0.0.1:{cluster.clients}", variables=cluster.variables)
    _until(lambda: any((folder / "cache" / "keys").glob("*.json")), process)  # the first stage is done
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 128 + signal.SIGTERM
    assert "finished stages are kept" in err
    assert cluster.process.poll() is None
    assert _working_ends(folder)


def test_a_cluster_that_wants_a_token_is_told(folder: Path, cluster: _Cluster) -> None:
    without = {**cluster.variables, "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}
    process = _start(folder, "--address", f"127.0.0.1:{cluster.head}", variables=without)
    _, err = process.communicate(timeout=300)

    assert process.returncode == 2, err
    assert "no Ray cluster answers" in err
    assert "RAY_AUTH_MODE=token" in err
    assert "Traceback" not in err


def _with_one_target(folder: Path) -> None:
    fleet = json.loads((folder / "fleet.yaml").read_text(encoding="utf-8"))
    (folder / "fleet.yaml").write_text(json.dumps({**fleet, "targets": ["ort-cpu"]}), encoding="utf-8")


def _working_ends(folder: Path) -> bool:
    """Whether soon no process runs a cell."""
    until = time.monotonic() + 30
    while _working(folder) and time.monotonic() < until:
        time.sleep(0.2)
    return not _working(folder)


def test_an_address_where_nobody_answers_is_told(folder: Path) -> None:
    address = f"127.0.0.1:{_free_port()}"
    process = _start(folder, "--address", address)
    _, err = process.communicate(timeout=300)

    assert process.returncode == 2
    assert f"error: --address {address}: no Ray cluster answers\n" in err


def _pids(folder: Path) -> list[int]:
    mark, found = f"TMPDIR={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def _command(pid: int) -> bytes:
    """Its command line; empty where it is gone or dead."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except FileNotFoundError:
        return b""


def _listening(pids: Iterable[int]) -> set[str]:
    """Addresses at which these processes accept TCP connections."""
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(handle.readlink()).removeprefix("socket:[").removesuffix("]"))
            except FileNotFoundError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="utf-8").splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                found.add(_address(words[1].partition(":")[0]))
    return found


def _address(text: str) -> str:
    """An address of /proc/net/tcp; of IPv6 what IPv4 it stands for, or its digits."""
    digits = bytes.fromhex(text)
    if len(digits) == 16:
        return socket.inet_ntoa(digits[12:][::-1]) if digits[8:12] == b"\0\0\xff\xff"[::-1] else text
    return socket.inet_ntoa(digits[::-1])
