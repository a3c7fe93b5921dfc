"""The store: finished results or none, whatever happens to the process, the disk or the bytes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifact import Artifact, ArtifactKind, canonical_json, sha256_of_json
from pipeline.errors import ContractError, ResourceError
from pipeline.store import KeyRecord, Store, default_root, write_atomically

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text("abcxyz.-_0", min_size=1, max_size=6).filter(lambda name: name.strip(".") != "")
FILES = st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=3)
# Every commit waits for the disk several times.
few = settings(max_examples=25, deadline=None)


def _commit(store: Store, files: dict[str, bytes], facts: dict[str, Any] | None = None) -> Artifact:
    with store.workspace() as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return store.commit(ArtifactKind.ENGINE, folder, facts or {})


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@contextmanager
def _process(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is killed in the end, if it still runs."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# What is committed


@few
@given(files=FILES, facts=st.dictionaries(TEXT, JSON, max_size=3))
def test_what_was_committed_is_found_under_its_identity(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], facts: dict[str, Any]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    artifact = _commit(store, files, facts)
    assert store.find(artifact.sha256) == artifact
    assert {entry.path: artifact.path(entry.path).read_bytes() for entry in artifact.files} == files


@few
@given(files=FILES)
def test_committing_the_same_content_again_gives_the_same_artifact(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    first, second = _commit(store, files), _commit(store, dict(reversed(files.items())))
    assert (second, second.root) == (first, first.root)
    assert _names(store.root / "artifacts") == [first.sha256]


def test_committing_the_same_content_again_keeps_the_first_copy(store: Store) -> None:
    before = _commit(store, {"x": b"1"}).path("x").stat()
    after = _commit(store, {"x": b"1"}).path("x").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_files_in_folders_are_committed_with_them(store: Store) -> None:
    artifact = _commit(store, {"deep/er/x": b"1", "y": b"2"})
    found = store.find(artifact.sha256)
    assert found is not None
    assert [entry.path for entry in found.files] == ["deep/er/x", "y"]
    assert found.path("deep/er/x").read_bytes() == b"1"


def test_committed_files_are_read_only(store: Store) -> None:
    artifact = _commit(store, {"x": b"1", "deep/y": b"2"})
    modes = [stat.S_IMODE(artifact.path(entry.path).stat().st_mode) for entry in artifact.files]
    assert modes == [0o444, 0o444]


def test_another_store_on_the_same_folder_finds_it(store: Store) -> None:
    artifact = _commit(store, {"x": b"1"})
    assert Store(store.root).find(artifact.sha256) == artifact


def test_what_was_never_committed_is_absent(store: Store) -> None:
    assert store.find("0" * 64) is None
    assert store.lost == []


def test_a_file_that_would_overwrite_the_stores_own_note_is_refused(store: Store) -> None:
    # Else the artifact is damaged the moment it is written, and its stage runs anew every time.
    with pytest.raises(ContractError, match=r"artifact\.json"):
        _commit(store, {"artifact.json": b"{}", "x": b"1"})


# What is damaged

CONTENT = {"x.bin": bytes(range(8)), "deep/y": b"yes"}


def _flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x01
    path.chmod(0o644)
    path.write_bytes(content)


def _cut_off(path: Path, length: int) -> None:
    path.chmod(0o644)
    os.truncate(path, length)


@pytest.mark.parametrize("damage", [_flipped, _cut_off])
@pytest.mark.parametrize("name", [*CONTENT, "artifact.json"])
def test_a_flipped_bit_in_any_byte_of_any_file_and_an_end_at_any_byte_are_noticed(
    store: Store, tmp_path: Path, name: str, damage: Callable[[Path, int], None]
) -> None:
    artifact = _commit(store, CONTENT, {"fact": 1})
    # Copied rather than committed again and again, which waits for the disk.
    whole = Path(shutil.move(artifact.root, tmp_path / "whole"))
    size = (whole / name).stat().st_size
    found = []
    for position in range(size):
        shutil.copytree(whole, artifact.root)
        assert store.find(artifact.sha256) == artifact
        damage(artifact.root / name, position)
        found.append(store.find(artifact.sha256))
    assert found == [None] * size
    assert store.lost == [artifact.sha256] * size


def _grows(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"longer than before")


def _becomes_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a file is gone": lambda home: (home / "x.bin").unlink(),
    "a file is a folder": lambda home: _becomes_a_folder(home / "x.bin"),
    "a file grew": lambda home: _grows(home / "x.bin"),
    "two files changed places": lambda home: (
        (home / "x.bin").rename(home / "aside"),
        (home / "deep" / "y").rename(home / "x.bin"),
        (home / "aside").rename(home / "deep" / "y"),
    ),
    "the description is gone": lambda home: (home / "artifact.json").unlink(),
    "the description is empty": lambda home: (home / "artifact.json").write_bytes(b""),
    "the description is of another kind": lambda home: (home / "artifact.json").write_bytes(b"[]"),
    "the description is null": lambda home: (home / "artifact.json").write_bytes(b"null"),
    "the description is no text": lambda home: (home / "artifact.json").write_bytes(b"\xff\xfe"),
    "the folder is empty": lambda home: (shutil.rmtree(home), home.mkdir()),
    "the folder is a file": lambda home: (shutil.rmtree(home), home.touch()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_artifact_is_set_aside_and_counts_as_absent(store: Store, damage: Callable[[Path], object]) -> None:
    artifact = _commit(store, CONTENT)
    damage(artifact.root)
    assert store.find(artifact.sha256) is None
    assert store.lost == [artifact.sha256]
    assert not artifact.root.exists()
    assert [name.rpartition("-")[0] for name in _names(store.root / "quarantine")] == [artifact.sha256]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_artifact_can_be_made_anew(store: Store, damage: Callable[[Path], object]) -> None:
    damage(_commit(store, CONTENT).root)
    again = _commit(store, CONTENT)
    assert store.find(again.sha256) == again
    assert again.path("x.bin").read_bytes() == CONTENT["x.bin"]


def test_a_true_description_under_another_name_is_damaged(store: Store) -> None:
    artifact = _commit(store, CONTENT)
    artifact.root.rename(artifact.root.with_name("0" * 64))
    assert store.find("0" * 64) is None
    assert store.lost == ["0" * 64]


def test_the_bytes_that_were_set_aside_are_kept_for_inspection(store: Store) -> None:
    artifact = _commit(store, CONTENT)
    _flipped(artifact.root / "x.bin", 0)
    store.find(artifact.sha256)
    (aside,) = (store.root / "quarantine").iterdir()
    assert (aside / "x.bin").read_bytes() == b"\x01" + CONTENT["x.bin"][1:]


def test_the_same_artifact_can_be_set_aside_more_than_once(store: Store) -> None:
    for _ in range(2):
        artifact = _commit(store, CONTENT)
        _flipped(artifact.root / "x.bin", 0)
        assert store.find(artifact.sha256) is None
    assert len(_names(store.root / "quarantine")) == 2


def test_an_artifact_that_cannot_be_opened_for_another_reason_than_its_bytes_is_not_set_aside(store: Store) -> None:
    artifact = _commit(store, CONTENT)
    code = """
import resource, sys
from pathlib import Path
from pipeline.store import Store
store = Store(Path(sys.argv[1]))
with open("/dev/null") as last:
    resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), 64))
    try:
        print(store.find(sys.argv[2]))
    except OSError as error:
        print(error.strerror)
"""
    with _process(code, store.root, artifact.sha256) as process:
        process.wait()
    assert artifact.root.is_dir()


# What is being made


def test_a_workspace_is_an_empty_folder_on_the_stores_file_system(store: Store) -> None:
    with store.workspace() as folder:
        assert _names(folder) == []
        assert folder.stat().st_dev == store.root.stat().st_dev


def test_workspaces_at_the_same_time_are_different_folders(store: Store) -> None:
    with store.workspace() as first, store.workspace() as second:
        (first / "x").touch()
        assert _names(second) == []


def test_a_workspace_that_was_not_committed_is_removed(store: Store) -> None:
    with store.workspace() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").touch()
    assert _names(store.root / "work") == []


def test_a_workspace_is_removed_after_an_error_and_nothing_is_stored(store: Store) -> None:
    def fail() -> None:
        with store.workspace() as folder:
            (folder / "x").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _names(store.root / "work") == []
    assert _names(store.root / "artifacts") == []


def test_a_commit_leaves_nothing_in_the_place_of_work(store: Store) -> None:
    _commit(store, CONTENT)
    _commit(store, CONTENT)
    assert _names(store.root / "work") == []


_HOLDS_A_WORKSPACE = """
import signal, sys
from pathlib import Path
from pipeline.store import Store
with Store(Path(sys.argv[1])).workspace() as folder:
    (folder / "half").write_bytes(b"half of it")
    print(folder, flush=True)
    signal.pause()
"""


def test_the_workspace_of_a_process_that_lives_is_left_alone(store: Store) -> None:
    with _process(_HOLDS_A_WORKSPACE, store.root) as process:
        folder = Path(_line(process))
        with store.workspace():
            assert _names(folder) == ["half"]


def test_what_a_killed_process_left_is_swept_by_the_next_one(store: Store) -> None:
    with _process(_HOLDS_A_WORKSPACE, store.root) as process:
        folder = Path(_line(process))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert _names(folder) == ["half"]
    with store.workspace() as own:
        assert _names(store.root / "work") == sorted([own.name, f"{own.name}.lock"])


@pytest.mark.parametrize("after", [1, 2, 5])
def test_a_process_killed_while_it_commits_leaves_whole_artifacts_only(store: Store, after: int) -> None:
    code = """
import sys
from pathlib import Path
from pipeline.artifact import ArtifactKind
from pipeline.store import Store
store = Store(Path(sys.argv[1]))
for number in range(100_000):
    with store.workspace() as folder:
        for name in "abc":
            (folder / name).write_bytes(name.encode() * 1000)
        print(store.commit(ArtifactKind.ENGINE, folder, {"number": number}).sha256, flush=True)
"""
    with _process(code, store.root) as process:
        announced = [_line(process) for _ in range(after)]
        process.kill()
        process.wait()
    present = _names(store.root / "artifacts")
    assert set(announced) <= set(present)
    assert [name for name in present if store.find(name) is None] == []


def test_two_processes_that_commit_the_same_at_once_both_have_it(store: Store) -> None:
    code = """
import sys
from pathlib import Path
from pipeline.artifact import ArtifactKind
from pipeline.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    with store.workspace() as folder:
        (folder / "x").write_bytes(bytes([number]))
        artifact = store.commit(ArtifactKind.ENGINE, folder, {})
        found = store.find(artifact.sha256)
        print(artifact.sha256, artifact.path("x").read_bytes() == bytes([number]), found is not None)
print(len(store.lost))
"""
    with _process(code, store.root) as first, _process(code, store.root) as second:
        assert [_line(process) for process in (first, second)] == ["ready", "ready"]
        answers = []
        for process in (first, second):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in (first, second):
            assert process.stdout is not None
            answers.append(process.stdout.read().split("\n")[:-1])
    assert answers[0] == answers[1]
    *committed, lost = answers[0]
    assert len(committed) == 30
    assert all(line.endswith(" True True") for line in committed)
    assert lost == "0"
    assert len(_names(store.root / "artifacts")) == 30
    assert _names(store.root / "work") == []


# What a key gave

RECORDS = st.builds(
    KeyRecord,
    artifact_sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    components=st.dictionaries(TEXT, JSON, max_size=3),
    wall_s=st.floats(0, 1e6),
    notes=st.lists(TEXT, max_size=2).map(tuple),
)


def _record(stage: str, number: int = 0) -> KeyRecord:
    return KeyRecord(artifact_sha256="a" * 64, components={"stage": stage, "number": number}, wall_s=1.5, notes=("n",))


@few
@given(RECORDS)
def test_what_a_key_gave_is_remembered(tmp_path_factory: pytest.TempPathFactory, record: KeyRecord) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.remember("key", record)
    assert Store(store.root).recall("key") == record


def test_a_key_that_never_ran_gave_nothing(store: Store) -> None:
    assert store.recall("key") is None
    assert store.lost == []


def test_the_last_run_of_a_key_is_the_one_remembered(store: Store) -> None:
    store.remember("key", _record("prune", 1))
    store.remember("key", _record("prune", 2))
    assert store.recall("key") == _record("prune", 2)


def test_a_note_of_another_schema_is_not_understood_and_counts_as_absent(store: Store) -> None:
    value = {"schema": "edgewright.key/0", "artifact": "a", "components": {}, "wall_s": 1.0, "notes": []}
    store._put(store.root / "keys" / "key.json", value)
    assert store.recall("key") is None


def test_the_runs_of_a_stage_are_told_newest_first(store: Store) -> None:
    for number, name in enumerate(("b", "c", "a")):
        store.remember(name, _record("prune", number))
        os.utime(store.root / "keys" / f"{name}.json", ns=(number, number))
    assert [record.components["number"] for record in store.remembered("prune")] == [2, 1, 0]


def test_the_runs_of_other_stages_are_not_told(store: Store) -> None:
    store.remember("key", _record("distill"))
    assert list(store.remembered("prune")) == []


def test_damaged_notes_are_passed_over(store: Store) -> None:
    for number, name in enumerate(("whole", "damaged")):
        store.remember(name, _record("prune", number))
    _flipped(store.root / "keys" / "damaged.json", 100)
    assert list(store.remembered("prune")) == [_record("prune", 0)]


def test_notes_that_go_while_they_are_told_are_passed_over(store: Store) -> None:
    store.remember("stays", _record("prune", 0))
    (store.root / "keys" / "gone.json").symlink_to("removed meanwhile")
    assert list(store.remembered("prune")) == [_record("prune", 0)]


def test_an_empty_store_remembers_no_run(store: Store) -> None:
    assert list(store.remembered("prune")) == []


# Small results


@few
@given(JSON.filter(lambda value: value is not None))
def test_a_small_result_is_kept(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:  # noqa: ANN401 - JSON
    store = Store(tmp_path_factory.mktemp("store"))
    store.put_record("kind", "key", value)
    assert store.get_record("kind", "key") == value


def test_results_of_two_kinds_do_not_meet(store: Store) -> None:
    store.put_record("one", "key", 1)
    assert store.get_record("other", "key") is None


def test_a_flipped_bit_in_any_byte_of_a_small_result_makes_it_absent(store: Store) -> None:
    store.put_record("kind", "key", {"a": [1, "b"]})
    (path,) = (store.root / "records" / "kind").iterdir()
    whole = path.read_bytes()
    found = []
    for position in range(len(whole)):
        _flipped(path, position)
        found.append(store.get_record("kind", "key"))
        path.write_bytes(whole)
    assert found == [None] * len(whole)
    assert store.lost == ["key"] * len(whole)


def test_a_small_result_that_is_cut_off_anywhere_is_absent(store: Store) -> None:
    store.put_record("kind", "key", {"a": [1, "b"]})
    (path,) = (store.root / "records" / "kind").iterdir()
    whole = path.read_bytes()
    found = []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found.append(store.get_record("kind", "key"))
    assert found == [None] * len(whole)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"sha256": 1}', "\udcff", "[" * 100_000])
def test_a_file_that_is_no_small_result_counts_as_absent(store: Store, text: str) -> None:
    path = store.root / "records" / "kind" / "key.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert store.get_record("kind", "key") is None


def test_a_damaged_result_can_be_put_anew(store: Store) -> None:
    store.put_record("kind", "key", 1)
    _flipped(store.root / "records" / "kind" / "key.json", 3)
    store.put_record("kind", "key", 2)
    assert store.get_record("kind", "key") == 2


def test_a_result_is_stored_as_readable_json_with_its_hash(store: Store) -> None:
    store.put_record("kind", "key", {"ü": 1})
    text = (store.root / "records" / "kind" / "key.json").read_text(encoding="utf-8")
    assert text == canonical_json({"key": "key", "sha256": sha256_of_json({"ü": 1}), "value": {"ü": 1}})


def test_a_result_that_was_kept_without_its_key_is_read_all_the_same(store: Store) -> None:
    path = store.root / "records" / "kind" / "key.json"
    path.parent.mkdir(parents=True)
    path.write_text(canonical_json({"sha256": sha256_of_json({"a": 1}), "value": {"a": 1}}), encoding="utf-8")
    assert store.get_record("kind", "key") == {"a": 1}


def test_a_true_result_under_another_name_is_damaged(store: Store) -> None:
    store.put_record("kind", "key", {"a": 1})
    folder = store.root / "records" / "kind"
    (folder / "key.json").rename(folder / "other.json")
    assert store.get_record("kind", "other") is None
    assert store.lost == ["other"]


def test_another_spelling_of_the_same_is_damaged(store: Store) -> None:
    store.put_record("kind", "key", {"a": 1e-07})
    path = store.root / "records" / "kind" / "key.json"
    path.write_text(path.read_text(encoding="utf-8").replace("1e-07", "1E-07"), encoding="utf-8")
    assert store.get_record("kind", "key") is None


# Writing a text


def test_a_reader_sees_the_old_or_the_new_text_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "text"
    texts = ["a" * 100_000, "b" * 100_000]
    write_atomically(path, texts[0])
    done = threading.Event()

    def write() -> None:
        for number in range(40):
            write_atomically(path, texts[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_text(encoding="utf-8"))
    writer.join()
    assert seen <= set(texts)


def test_a_text_that_cannot_be_put_in_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "text", "new")
    assert _names(tmp_path) == ["text"]


# One at a time

_HOLDS_A_KEY = """
import signal, sys
from pathlib import Path
from pipeline.store import Store
with Store(Path(sys.argv[1])).exclusive("key"):
    print("held", flush=True)
    signal.pause()
"""


def _waiting(store: Store, key: str) -> tuple[threading.Thread, threading.Event]:
    had = threading.Event()

    def work() -> None:
        with store.exclusive(key):
            had.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, had


def test_a_key_is_worked_on_by_one_process_and_freed_when_that_is_killed(store: Store) -> None:
    with _process(_HOLDS_A_KEY, store.root) as process:
        assert _line(process) == "held"
        thread, had = _waiting(store, "key")
        assert not had.wait(0.1)
        process.kill()
        assert had.wait(2)
        thread.join()


def test_another_key_does_not_wait(store: Store) -> None:
    with store.exclusive("key"):
        thread, had = _waiting(store, "other")
        assert had.wait(10)
        thread.join()


def test_a_file_system_without_locks_is_refused_by_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none_here)
    with pytest.raises(ResourceError, match="this file system has no locks"), store.exclusive("key"):
        pass
    with pytest.raises(ResourceError, match="this file system has no locks"), store.workspace():
        pass


def test_a_key_can_be_had_again_and_after_an_error(store: Store) -> None:
    def fail() -> None:
        with store.exclusive("key"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    thread, had = _waiting(store, "key")
    assert had.wait(10)
    thread.join()


# A full disk


@cache
def _why_no_small_disk() -> str:
    """Why no file system of a few KiB can be mounted here; empty where it can."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return "there is no unshare here"
    command = [unshare, "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", tempfile.gettempdir()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() or "mounting a file system is not allowed here" if done.returncode else ""


def _on_small_disk(code: str, disk: Path, *, options: str = "size=256k") -> Any:  # noqa: ANN401 - what the code says
    """What ``code`` prints as JSON, run with ``store`` on a tmpfs of its own mounted on ``disk``."""
    if reason := _why_no_small_disk():
        pytest.skip(f"no small disk to fill: {reason}")
    disk.mkdir()
    prelude = """
import json, os, sys
from pathlib import Path
from pipeline.artifact import ArtifactKind
from pipeline.errors import ResourceError
from pipeline.store import KeyRecord, Store
disk = Path(sys.argv[1])
store = Store(disk / "store")

def fill():
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

def told(work):
    try:
        work()
    except ResourceError as error:
        return [str(error), error.exit_code]

def commit(content):
    with store.workspace() as folder:
        (folder / "x").write_bytes(content)
        return store.commit(ArtifactKind.ENGINE, folder, {}).sha256
"""
    mount = f'mount -t tmpfs -o {options} none "$1" && exec "$2" -c "$3" "$1"'
    command = [str(shutil.which("unshare")), "-rm", "sh", "-c", mount, "sh", str(disk), sys.executable, prelude + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _full(where: Path, *, needed: str | None = None) -> list[Any]:
    result = f"this result, which takes more than {needed} MiB"
    room = result if needed else "a note of some kilobytes, and for the results that follow"
    text = (
        f"{where}: the disk is full\n"
        f"  got: 0 MiB free\n  expected: room for {room}\n"
        "  fix: free some space, or put the store elsewhere with EDGEWRIGHT_CACHE; finished stages are kept"
    )
    return [text, 7]


def test_a_stage_that_fills_the_disk_ends_with_what_to_do(tmp_path: Path) -> None:
    code = """
answer = told(lambda: commit(bytes(10**6)))
print(json.dumps([answer, os.listdir(store.root / "work"), bool(commit(b"small"))]))
"""
    answer, left, works_again = _on_small_disk(code, tmp_path / "disk")
    assert answer == _full(tmp_path / "disk" / "store", needed="0.25")
    assert left == []
    assert works_again


def test_a_disk_that_is_full_when_a_result_is_put_in_place_leaves_no_half_of_it(tmp_path: Path) -> None:
    code = """
def late():
    with store.workspace() as folder:
        (folder / "x").write_bytes(b"there was space for this")
        fill()
        store.commit(ArtifactKind.ENGINE, folder, {})
answer = told(late)
artifacts = store.root / "artifacts"
print(json.dumps([answer, os.listdir(artifacts) if artifacts.exists() else []]))
"""
    answer, present = _on_small_disk(code, tmp_path / "disk")
    assert answer == _full(tmp_path / "disk" / "store")
    assert present == []


def test_a_full_disk_takes_nothing_from_what_was_stored_before(tmp_path: Path) -> None:
    code = """
sha256 = commit(b"before")
store.put_record("kind", "key", "old")
store.remember("key", KeyRecord(artifact_sha256=sha256, components={}, wall_s=1.0, notes=()))
fill()
answers = [
    told(lambda: store.put_record("kind", "key", "new" * 2000)),
    told(lambda: store.remember("key", KeyRecord(artifact_sha256="new", components={}, wall_s=1.0, notes=("n",) * 999)))
]
found = [store.find(sha256) is not None, store.get_record("kind", "key"), store.recall("key").artifact_sha256 == sha256]
print(json.dumps([answers, found]))
"""
    answers, found = _on_small_disk(code, tmp_path / "disk")
    assert answers == [_full(tmp_path / "disk" / "store")] * 2
    assert found == [True, "old", True]


def test_a_disk_that_is_full_before_the_store_exists_is_told_too(tmp_path: Path) -> None:
    # A file system without room for one more folder, and so without the store's own.
    answer = _on_small_disk(
        'print(json.dumps(told(lambda: commit(b"x"))))', tmp_path / "disk", options="size=1m,nr_inodes=1"
    )
    assert answer is not None
    assert answer[0].startswith(f"{tmp_path / 'disk' / 'store'}: the disk is full\n")
    assert answer[1] == 7


# Where it is


def test_the_store_is_where_its_own_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "/some/where")
    monkeypatch.setenv("XDG_CACHE_HOME", "/else/where")
    assert default_root() == Path("/some/where")


def test_without_it_the_store_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEWRIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/else/where")
    assert default_root() == Path("/else/where/edgewright")


@pytest.mark.parametrize("empty", [True, False])
def test_without_either_the_store_is_below_home(monkeypatch: pytest.MonkeyPatch, *, empty: bool) -> None:
    for name in ("EDGEWRIGHT_CACHE", "XDG_CACHE_HOME"):
        if empty:
            monkeypatch.setenv(name, "")
        else:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_root() == Path("/home/somebody/.cache/edgewright")
