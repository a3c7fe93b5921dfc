"""What a library downloads comes by https, wherever it asks or is sent; against servers on this machine."""

from __future__ import annotations

import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.error import URLError

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipeline.data.only_https import only_https


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"content")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
        """Say nothing."""


@contextmanager
def _served(context: ssl.SSLContext | None) -> Iterator[tuple[str, list[str]]]:
    """A server's address without its scheme, and what it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.seen = []  # type: ignore[attr-defined]
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # of clients that want another protocol
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """A server with a certificate that this process trusts."""
    key, name = generate_private_key(SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key(), serial_number=1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with _served(context) as served:
        yield served


@pytest.fixture
def plain() -> Iterator[tuple[str, list[str]]]:
    with _served(None) as served:
        yield served


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - the servers here
        content: bytes = response.read()
    return content


def test_what_is_asked_by_https_comes(secure: tuple[str, list[str]]) -> None:
    with only_https():
        assert _fetched(f"https://{secure[0]}/file") == b"content"


def test_what_is_asked_by_http_is_asked_by_https(secure: tuple[str, list[str]]) -> None:
    with only_https():
        assert _fetched(f"http://{secure[0]}/file") == b"content"
    assert secure[1] == ["/file"]


def test_who_has_no_https_is_not_asked(plain: tuple[str, list[str]]) -> None:
    with only_https(), pytest.raises(URLError):
        _fetched(f"http://{plain[0]}/file")
    assert plain[1] == []


def test_nobody_is_followed_to_where_there_is_no_https(
    secure: tuple[str, list[str]], plain: tuple[str, list[str]]
) -> None:
    with only_https(), pytest.raises(URLError):
        _fetched(f"https://{secure[0]}/to/http://{plain[0]}/file")
    assert (len(secure[1]), plain[1]) == (1, [])


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/file", "file:///etc/hostname"])
def test_other_kinds_of_places_are_refused(url: str) -> None:
    with only_https(), pytest.raises(URLError, match="is not https"):
        _fetched(url)


def test_afterwards_all_is_as_it_was(plain: tuple[str, list[str]]) -> None:
    with only_https():
        pass
    assert _fetched(f"http://{plain[0]}/file") == b"content"
