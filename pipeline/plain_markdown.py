"""Text from outside within Markdown."""

from __future__ import annotations

import re

from pipeline.errors import printable

__all__ = ["line"]

_MARKUP = re.compile(r"[\\*\[\]]|(?<!\w)_|_(?!\w)")
"""What makes a link, an image or a word that stands out; a backtick makes only what follows it plain."""


def line(text: str) -> str:
    """Free text on one line, in which nothing becomes HTML, a link or an image, or steers a terminal."""
    return _MARKUP.sub(r"\\\g<0>", printable(" ".join(text.split()))).replace("<", "&lt;")
