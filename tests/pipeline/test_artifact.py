"""What identifies a result: its content, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifact import (
    Artifact,
    ArtifactKind,
    FileEntry,
    canonical_json,
    qdq_model,
    sha256_of_file,
    sha256_of_json,
)
from pipeline.errors import IntegrityError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
ENTRIES = st.builds(FileEntry, path=TEXT, size_bytes=st.integers(0, 2**40), sha256=HASHES)
ARTIFACTS = st.builds(
    Artifact,
    kind=st.sampled_from(ArtifactKind),
    files=st.lists(ENTRIES, max_size=3).map(tuple),
    facts=st.dictionaries(TEXT, JSON, max_size=3),
    root=st.just(Path("somewhere")),
)


def _reordered(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same value with the keys of every object inserted in the opposite order."""
    if isinstance(value, dict):
        return {key: _reordered(inner) for key, inner in reversed(value.items())}
    return [_reordered(inner) for inner in value] if isinstance(value, list) else value


@given(JSON)
def test_canonical_json_ignores_the_order_of_keys(value: Any) -> None:  # noqa: ANN401 - JSON
    assert canonical_json(_reordered(value)) == canonical_json(value)


@given(JSON)
def test_canonical_json_is_json_of_the_same_value(value: Any) -> None:  # noqa: ANN401 - JSON
    assert json.loads(canonical_json(value)) == value


def test_canonical_json_is_sorted_and_has_no_blanks_and_no_escapes() -> None:
    assert canonical_json({"b": [1, 2.5, None, True], "a": {"ü": "é"}}) == '{"a":{"ü":"é"},"b":[1,2.5,null,true]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"deep": [value]})


def test_the_hash_of_json_is_that_of_its_canonical_bytes() -> None:
    # The hash of the two bytes {} is well known.
    assert sha256_of_json({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert sha256_of_json({"ü": 1}) == hashlib.sha256('{"ü":1}'.encode()).hexdigest()


# The file is read in pieces of a mebibyte.
@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1])
def test_the_hash_of_a_file_is_that_of_all_its_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_file_is_described_by_its_relative_path_size_and_hash(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "x.bin").write_bytes(b"abc")
    assert FileEntry.of(tmp_path, tmp_path / "deep" / "er" / "x.bin") == FileEntry(
        path="deep/er/x.bin",
        size_bytes=3,
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )


@given(ENTRIES)
def test_a_file_entry_comes_back_from_its_json(entry: FileEntry) -> None:
    assert FileEntry(**json.loads(json.dumps(entry.to_json()))) == entry


@given(ARTIFACTS)
def test_an_artifact_comes_back_from_its_json(artifact: Artifact) -> None:
    assert Artifact.from_json(json.loads(json.dumps(artifact.to_json())), artifact.root) == artifact


@given(ARTIFACTS)
def test_an_artifact_from_its_json_has_the_same_identity(artifact: Artifact) -> None:
    again = Artifact.from_json(json.loads(canonical_json(artifact.to_json())), Path("elsewhere"))
    assert again.sha256 == artifact.sha256


@given(ARTIFACTS)
def test_the_place_of_an_artifact_does_not_count(artifact: Artifact) -> None:
    moved = replace(artifact, root=Path("elsewhere"))
    assert moved == artifact
    assert moved.sha256 == artifact.sha256


@given(ARTIFACTS)
def test_the_order_of_facts_does_not_count(artifact: Artifact) -> None:
    assert replace(artifact, facts=_reordered(dict(artifact.facts))).sha256 == artifact.sha256


def _fill(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "two").write_bytes(b"22")
    (folder / "a").write_bytes(b"1")
    return folder


def test_a_folder_is_described_with_all_files_at_any_depth_in_order(tmp_path: Path) -> None:
    artifact = Artifact.of_folder(ArtifactKind.ENGINE, _fill(tmp_path / "x"), {"fact": 1})
    assert [(entry.path, entry.size_bytes) for entry in artifact.files] == [("a", 1), ("b/two", 2)]
    assert (artifact.kind, artifact.facts, artifact.root) == (ArtifactKind.ENGINE, {"fact": 1}, tmp_path / "x")
    assert artifact.size_bytes == 3


def test_equal_folders_at_two_places_are_one_artifact(tmp_path: Path) -> None:
    first, second = (Artifact.of_folder(ArtifactKind.ONNX, _fill(tmp_path / name), {}) for name in ("x", "y"))
    assert first == second
    assert first.sha256 == second.sha256


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a").write_bytes(b"2"),
        lambda folder: (folder / "a").rename(folder / "c"),
        lambda folder: (folder / "new").touch(),
        lambda folder: (folder / "a").unlink(),
    ],
    ids=["a byte", "a name", "one more", "one less"],
)
def test_another_folder_is_another_artifact(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = _fill(tmp_path / "x")
    before = Artifact.of_folder(ArtifactKind.ONNX, folder, {})
    change(folder)
    after = Artifact.of_folder(ArtifactKind.ONNX, folder, {})
    assert after != before
    assert after.sha256 != before.sha256


def test_kind_and_facts_belong_to_the_identity(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "x")
    made = [
        Artifact.of_folder(kind, folder, facts)
        for kind, facts in ((ArtifactKind.ONNX, {}), (ArtifactKind.ENGINE, {}), (ArtifactKind.ONNX, {"fact": None}))
    ]
    assert len({artifact.sha256 for artifact in made}) == 3


def test_facts_that_change_later_do_not_reach_the_artifact(tmp_path: Path) -> None:
    facts = {"fact": 1}
    artifact = Artifact.of_folder(ArtifactKind.ONNX, _fill(tmp_path / "x"), facts)
    facts["fact"] = 2
    assert artifact.facts == {"fact": 1}


def test_a_file_is_found_by_its_name(tmp_path: Path) -> None:
    artifact = Artifact.of_folder(ArtifactKind.ONNX, _fill(tmp_path / "x"), {})
    assert artifact.path("b/two").read_bytes() == b"22"


def test_a_file_that_the_artifact_lacks_is_an_error_that_names_what_it_holds(tmp_path: Path) -> None:
    artifact = Artifact.of_folder(ArtifactKind.ONNX, _fill(tmp_path / "x"), {})
    with pytest.raises(IntegrityError) as raised:
        artifact.path("float.onnx")
    assert str(raised.value) == (f"{tmp_path / 'x'}: the onnx artifact has no file 'float.onnx'\n  got: a, b/two")


def test_a_folder_within_an_artifact_is_not_one_of_its_files(tmp_path: Path) -> None:
    artifact = Artifact.of_folder(ArtifactKind.ONNX, _fill(tmp_path / "x"), {})
    with pytest.raises(IntegrityError, match="no file 'b'"):
        artifact.path("b")


def test_the_qdq_file_of_a_dialect_carries_its_name() -> None:
    assert qdq_model("ort-x86") == "qdq-ort-x86.onnx"
