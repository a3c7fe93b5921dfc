"""Fetching a file whole and checked, or not at all; against a server on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.models import download as download_module
from pipeline.models.download import UnreachableError, download
from pipeline.progress import SilentProgress

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        announced = {"/odd": "abc", "/huge": str(1 << 40)}.get(self.path, str(len(CONTENT)))
        self.send_header("Content-Length", announced)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that gives up is what some tests are about
            self.wfile.write(CONTENT[:1000] if self.path == "/cut" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
        """Say nothing."""


@pytest.fixture(autouse=True)
def _in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server here has no certificate."""
    monkeypatch.setattr(download_module, "_SCHEMES", ("http",))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_the_file_arrives_whole(server: str, tmp_path: Path) -> None:
    target = download(f"{server}/file", tmp_path / "deep" / "file", SHA256[:8], SilentProgress())
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("path", "prefix", "message"),
    [
        ("/missing", "", "Not Found"),
        ("/cut", "", "ended after 1000 of|IncompleteRead"),
        ("/file", "00000000", "not the announced one"),
        ("/huge", "", "more than 16 GiB"),
    ],
)
def test_anything_less_leaves_nothing_and_says_why(
    server: str, tmp_path: Path, path: str, prefix: str, message: str
) -> None:
    with pytest.raises(UnreachableError, match=message):
        download(f"{server}{path}", tmp_path / "file", prefix, SilentProgress())
    assert list(tmp_path.iterdir()) == []


def test_a_length_that_is_no_number_is_not_known(server: str, tmp_path: Path) -> None:
    assert download(f"{server}/odd", tmp_path / "file", SHA256, SilentProgress()).read_bytes() == CONTENT


def test_a_file_that_does_not_end_is_given_up(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "_LARGEST_BYTES", len(CONTENT) - 1)
    with pytest.raises(UnreachableError, match="the server sends more than"):
        download(f"{server}/odd", tmp_path / "file", "", SilentProgress())
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_given_up(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "CONNECT_S", 0.1)
    with pytest.raises(UnreachableError, match="no answer within"):
        download(f"{server}/slow", tmp_path / "file", "", SilentProgress())


def test_nobody_at_the_door_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="refused"):
        download("http://127.0.0.1:9/file", tmp_path / "file", "", SilentProgress())


def test_a_server_may_lead_on(server: str, tmp_path: Path) -> None:
    download(f"{server}/to/{server}/file", tmp_path / "file", SHA256, SilentProgress())
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("elsewhere", ["ftp://127.0.0.1/file", "file:///etc/hostname", "https://127.0.0.1:9/file"])
def test_it_is_not_followed_to_another_kind_of_place(server: str, tmp_path: Path, elsewhere: str) -> None:
    with pytest.raises(UnreachableError, match=r"is not http: anybody on the way|is not allowed"):
        download(f"{server}/to/{elsewhere}", tmp_path / "file", "", SilentProgress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/file", "ftp://a/b", "file:///etc/hostname", "/etc/hostname"])
def test_only_https_is_asked(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "_SCHEMES", ("https",))
    with pytest.raises(UnreachableError, match="is not https"):
        download(url, tmp_path / "file", "", SilentProgress())
