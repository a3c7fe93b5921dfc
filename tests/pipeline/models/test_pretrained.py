"""Where published weights are looked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from torchvision.models import get_model_weights

from pipeline.errors import WeightsError
from pipeline.models import pretrained
from pipeline.models.names import torchvision_classifiers
from pipeline.models.pretrained import find_pretrained, noted_sha256
from pipeline.models.resolve import resolve_weights
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.models.torchvision_source import PretrainedEntry, default_weights
from pipeline.progress import SilentProgress

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = f"net-{SHA256[:8]}.pth"
SOURCE = ModelSource(origin="torchvision", name="resnet18")


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, offline: list[str]) -> list[str]:
    """Addresses that were asked for; nothing is reachable."""
    monkeypatch.setattr(
        pretrained, "default_weights", lambda _: PretrainedEntry(url=f"https://example.org/{FILE}", transforms={})
    )
    return offline


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch, offline: list[str]) -> list[str]:
    """Hashes that downloads were to have; each comes, with the same bytes."""
    expected: list[str] = []

    def fetch(_: str, target: Path, sha256: str, *__: object) -> Path:
        expected.append(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(CONTENT)
        return target

    monkeypatch.setattr(pretrained, "download", fetch)
    return expected


def _find(tmp_path: Path) -> WeightsSource:
    return find_pretrained(SOURCE, cache=tmp_path / "cache", progress=SilentProgress(), asked=True)


@pytest.mark.parametrize("folder", ["cache/weights", "torch/hub/checkpoints"])
def test_a_file_in_a_cache_is_used_without_a_network(tmp_path: Path, downloads: list[str], folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / FILE).write_bytes(CONTENT)
    assert _find(tmp_path) == WeightsSource(origin="pretrained", file_sha256=SHA256)
    assert downloads == []
    # Also what a run was killed over, or torch fetched, is known from then on.
    assert noted_sha256(tmp_path / "cache" / "weights" / FILE) == SHA256


def test_a_damaged_file_in_a_cache_is_not_used(tmp_path: Path, downloads: list[str]) -> None:
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    (tmp_path / "cache" / "weights" / FILE).write_bytes(CONTENT[:-1])
    found = _find(tmp_path)
    assert (found.origin, found.reason) == ("scratch", "the pretrained weights of resnet18 are out of reach: offline")
    assert downloads == [f"https://example.org/{FILE}"]


@pytest.mark.usefixtures("downloads")
def test_a_timm_architecture_without_published_weights_says_so(tmp_path: Path) -> None:
    source = ModelSource(origin="timm", name="resnet10t_unpublished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "_timm_location", lambda _: None)
        with pytest.raises(WeightsError, match="has no pretrained weights"):
            find_pretrained(source, cache=tmp_path, progress=SilentProgress(), asked=True)
        found = find_pretrained(source, cache=tmp_path, progress=SilentProgress(), asked=False)
    assert found.origin == "scratch"


def test_timms_weights_are_found_at_their_hub(tmp_path: Path, downloads: list[str]) -> None:
    source = ModelSource(origin="timm", name="resnet18.a1_in1k")
    found = find_pretrained(source, cache=tmp_path, progress=SilentProgress(), asked=True)
    assert found.origin == "scratch"
    assert downloads == ["https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"]


def test_the_addresses_read_from_the_source_are_torchvisions() -> None:
    for name in torchvision_classifiers():
        entry = default_weights(name)
        assert entry is not None
        assert entry.url == get_model_weights(name).DEFAULT.url


def test_what_came_once_is_known_by_its_whole_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashes: list[str]
) -> None:
    unnamed = PretrainedEntry(url="https://example.org/net.pth", transforms={})  # as timm's: no hash in the name
    monkeypatch.setattr(pretrained, "default_weights", lambda _: unnamed)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for content in (None, b"another"):
        if content is not None:
            (tmp_path / "cache" / "weights" / "net.pth").write_bytes(content)
        assert _find(tmp_path).file_sha256 == SHA256
    assert hashes == ["", SHA256]


def _pinned(tmp_path: Path, sha256: str) -> WeightsSource:
    return resolve_weights(f"pretrained:{sha256}", SOURCE, cache=tmp_path / "cache")


@pytest.mark.usefixtures("downloads")
def test_pinned_weights_are_no_other_file_from_the_first_time_on(tmp_path: Path, hashes: list[str]) -> None:
    assert _pinned(tmp_path, SHA256).file_sha256 == SHA256
    assert hashes == [SHA256]  # not the eight digits of its name
    assert _pinned(tmp_path, SHA256).file_sha256 == SHA256
    assert hashes == [SHA256]


@pytest.mark.usefixtures("downloads", "hashes")
def test_what_a_pin_brought_is_noted_in_the_place_of_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "weights" / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"another")
    file.with_name(f"{FILE}.sha256").write_text("b" * 64, encoding="ascii")
    _pinned(tmp_path, SHA256)
    assert noted_sha256(file) == SHA256


def test_pinned_weights_that_cannot_be_had_are_an_error(tmp_path: Path, downloads: list[str]) -> None:
    other = "a" * 64
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    (tmp_path / "cache" / "weights" / FILE).write_bytes(CONTENT)
    with pytest.raises(WeightsError) as raised:
        _pinned(tmp_path, other)
    assert str(raised.value) == (
        "resnet18: the pretrained weights that are pinned cannot be had\n"
        "  got: offline\n"
        f"  expected: a file with SHA-256 {other}\n"
        f"  fix: put it into {tmp_path / 'cache' / 'weights'} as {FILE}, or give it with --weights FILE"
    )
    assert downloads == [f"https://example.org/{FILE}"]


@pytest.mark.parametrize("sha256", ["", "0" * 63, "A" * 64, f"{'0' * 64}.pth"])
def test_what_pins_nothing_is_refused(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(WeightsError, match=r"is no SHA-256"):
        _pinned(tmp_path, sha256)
