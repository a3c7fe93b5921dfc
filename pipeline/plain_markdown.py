"""Text from outside within Markdown."""

from __future__ import annotations

import re

from pipeline.errors import printable

__all__ = ["line"]

_MARKUP = re.compile(r"[\\*\[\]]|(?<!\w)_|_(?!\w)")
"""What makes a link, an image or a word that stands out."""


def line(text: str) -> str:
    """Free text on one line, in which nothing becomes HTML, a link or an image, or steers a terminal.

    What stands between two backticks, such as a command, is plain already and stays as it is.
    """
    plain = printable(" ".join(text.split()))
    pieces = plain.split("`")
    if "``" in plain or len(pieces) % 2 == 0:  # not all of them pair one by one
        return _escaped(plain).replace("`", "\\`")
    return "`".join(piece if place % 2 else _escaped(piece) for place, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text).replace("<", "&lt;")
