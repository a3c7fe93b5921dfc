"""Fetching one file, impatiently: an edge box without a network should learn that within seconds."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
import urllib.request
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from pipeline.errors import ResourceError
from pipeline.leftovers import holding, sweep, temporary_beside

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.progress import Progress, Ticker

__all__ = ["UnreachableError", "download"]

CONNECT_S = 3.0
_READ_S = 30.0
_CHUNK_BYTES = 1 << 18
_MIB = 1 << 20
_LARGEST_BYTES = 1 << 34
_SCHEMES = ("https",)


class UnreachableError(Exception):
    """The file cannot be had now; the text says why, in one line."""


def download(url: str, target: Path, sha256_prefix: str, progress: Progress) -> Path:
    """Fetch ``url`` to ``target``; the file appears there whole and checked, or not at all.

    Args:
        url: Of the file, https; so is wherever it leads on to.
        target: Where it goes.
        sha256_prefix: How its SHA-256 starts; empty when that is not known.
        progress: Shows MiB.

    Raises:
        UnreachableError: no connection within three seconds, it broke, or other or more bytes came than announced.
        ResourceError: when the disk is full.
    """
    with _connect(url) as response:
        total = _announced(response.headers.get("Content-Length") or "")
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        temporary = temporary_beside(target)
        try:
            with temporary.open("xb") as file, holding(temporary):
                label = f"downloading {target.name} ({total / _MIB:.0f} MiB)"
                with progress.track(label, -(-total // _MIB)) as ticker:
                    received, sha256 = _copy(response, file, ticker)
                file.flush()
                os.fsync(file.fileno())
            if total and received != total:
                message = f"the connection ended after {received} of {total} bytes"
                raise UnreachableError(message)
            if not sha256.startswith(sha256_prefix):
                message = f"the file from {url} is not the announced one (sha256 {sha256[:16]}, not {sha256_prefix})"
                raise UnreachableError(message)
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _announced(length: str) -> int:
    """How many bytes a server says will come; 0 where it says nothing of use.

    Raises:
        UnreachableError: when they are more than any weights have.
    """
    total = int(length) if re.fullmatch(r"[0-9]{1,15}", length) else 0
    _check_size(total)
    return total


def _check_size(size_bytes: int) -> None:
    if size_bytes > _LARGEST_BYTES:
        message = f"the server sends more than {_LARGEST_BYTES >> 30} GiB, which no weights have"
        raise UnreachableError(message)


def _copy(response: Any, file: IO[bytes], ticker: Ticker) -> tuple[int, str]:  # noqa: ANN401 - http response
    """Bytes received and their SHA-256."""
    digest, received = hashlib.sha256(), 0
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (OSError, HTTPException) as error:
            raise UnreachableError(_one_line(error)) from error
        if not chunk:
            return received, digest.hexdigest()
        _check_size(received + len(chunk))
        try:
            file.write(chunk)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise ResourceError(
                    "the disk is full", where=file.name, fix="free space or choose another cache"
                ) from error
            raise
        digest.update(chunk)
        before, received = received, received + len(chunk)
        ticker.advance(received // _MIB - before // _MIB)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in _SCHEMES:
        message = f"{url} is not {' or '.join(_SCHEMES)}: anybody on the way could change what comes"
        raise UnreachableError(message)


class _OnlySecure(urllib.request.HTTPRedirectHandler):
    """Follows a server to another place, unless the way there is open to everybody."""

    def redirect_request(self, req: Any, fp: Any, *args: Any) -> urllib.request.Request | None:  # noqa: ANN401 - the base class's
        try:
            _check_scheme(args[-1])
        except UnreachableError:
            fp.close()
            raise
        return super().redirect_request(req, fp, *args)


def _connect(url: str) -> Any:  # noqa: ANN401 - http response
    """Open the URL, or give up after three seconds, whatever the resolver of names is doing meanwhile."""
    _check_scheme(url)
    opened: list[Any] = []
    problems: list[Exception] = []
    late = threading.Event()

    def run() -> None:
        try:
            response = urllib.request.build_opener(_OnlySecure).open(url, timeout=_READ_S)
        except (OSError, HTTPException, ValueError, UnreachableError) as error:
            if isinstance(error, HTTPError):
                error.close()  # it is the answer too, and holds the connection
            problems.append(error)
            return
        if late.is_set():
            response.close()
        else:
            opened.append(response)

    thread = threading.Thread(target=run, daemon=True, name="edgewright-connect")
    thread.start()
    thread.join(CONNECT_S)
    if opened:
        return opened[0]
    late.set()
    if problems:
        raise UnreachableError(_one_line(problems[0])) from problems[0]
    message = f"no answer within {CONNECT_S:.0f} s"
    raise UnreachableError(message)


def _one_line(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (str(reason).strip().splitlines() or [type(error).__name__])[0]
