"""While a library downloads by ``urllib``, only https: whatever it asks for, and wherever it is sent on to.

torchvision asks some servers by http, follows them anywhere, and asks by http whatever could not be had by https.
"""

from __future__ import annotations

import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["only_https"]


class _OnlyHttps(urllib.request.BaseHandler):
    """Comes before all others that open: http becomes https, all other kinds of places are refused."""

    def default_open(self, req: urllib.request.Request) -> None:
        """Let the next handler open it, by https."""
        if req.type == "http":
            req.full_url = f"https{req.full_url.removeprefix('http')}"
        if req.type != "https":
            raise URLError(f"{req.full_url} is not https: anybody on the way could change what comes")


@contextmanager
def only_https() -> Iterator[None]:
    """Within it ``urllib.request.urlopen`` of this process reaches places by https alone."""
    before: Any = urllib.request._opener  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to put it back
    urllib.request.install_opener(urllib.request.build_opener(_OnlyHttps))
    try:
        yield
    finally:
        urllib.request.install_opener(before)
