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
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that gives up is what some tests are about
            self.wfile.write(CONTENT[:1000] if self.path == "/cut" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
        """Say nothing."""


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
    ],
)
def test_anything_less_leaves_nothing_and_says_why(
    server: str, tmp_path: Path, path: str, prefix: str, message: str
) -> None:
    with pytest.raises(UnreachableError, match=message):
        download(f"{server}{path}", tmp_path / "file", prefix, SilentProgress())
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_given_up(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "CONNECT_S", 0.1)
    with pytest.raises(UnreachableError, match="no answer within"):
        download(f"{server}/slow", tmp_path / "file", "", SilentProgress())


def test_nobody_at_the_door_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="refused"):
        download("http://127.0.0.1:9/file", tmp_path / "file", "", SilentProgress())
