"""Where the packages go when a wheel is built: below ``edgewright.``.

In this repository they stand at the top, where editors, mypy and import-linter find them; installed, names as common
as ``pipeline`` or ``benchmarks`` would collide with those of other projects. So a wheel gets them as
``edgewright.pipeline`` and so on, and what they import, or name in a table, is rewritten on the way. An editable
installation is the repository as it is. docs/decisions/0004-installed-below-one-name.md says what else was weighed.
"""

from __future__ import annotations

import io
import re
import shutil
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "edgewright"
MOVED = ("pipeline", "exporters", "benchmarks")

_BREAKS = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENCODING}
_PATH = re.compile(rf"""([rbuRBU]*["'])(?:{"|".join(MOVED)})(?:\.\w+)+(?::\w+)?["']""")
"""A text that is a module's path, such as ``"exporters.ort_cpu.target:ORT_CPU"``, and nothing else."""

_MADE_UP = re.compile(rf"""[rR]?[fF][rR]?["'](?:{"|".join(MOVED)})\.""")
_PARTS_OF_TEXTS = {tokenize.STRING, getattr(tokenize, "FSTRING_START", tokenize.STRING)}
"""From Python 3.12 on a text with values in it comes in parts."""


def below_the_name(source: str, where: str) -> str:
    """The module's source with every import and every path of a moved package as it is once installed.

    Raises:
        SyntaxError: for ``import pipeline.x``, which would bind another name than before, and for such a path that is
            put together when it is needed, which nobody could rewrite.
    """
    lines = source.splitlines(keepends=True)
    for row, column in sorted(_places(source, where), reverse=True):
        lines[row - 1] = f"{lines[row - 1][:column]}{NAME}.{lines[row - 1][column:]}"
    return "".join(lines)


def _places(source: str, where: str) -> Iterator[tuple[int, int]]:
    """Row and column before which the name belongs."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for number, token in enumerate(tokens):
        starts = number == 0 or tokens[number - 1].type in _BREAKS or tokens[number - 1].string in {":", ";"}
        if starts and token.string in {"from", "import"} and tokens[number + 1].string in MOVED:
            if token.string == "import":
                message = f"{where}:{token.start[0]}: write `from ... import` for {tokens[number + 1].string}"
                raise SyntaxError(message)
            yield tokens[number + 1].start
        elif token.type == tokenize.STRING and (found := _PATH.fullmatch(token.string)):
            yield token.start[0], token.start[1] + len(found[1])
        elif token.type in _PARTS_OF_TEXTS and _MADE_UP.match(token.line[token.start[1] :]):
            message = f"{where}:{token.start[0]}: write the whole path, in a table: {token.line.strip()}"
            raise SyntaxError(message)


class BuildBelowTheName(build_py):
    """Builds as ever, then moves; not for an editable installation, which is the repository itself."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        root = Path(self.build_lib)
        for package in MOVED:
            shutil.rmtree(root / NAME / package, ignore_errors=True)  # of an earlier build in the same place
            (root / package).rename(root / NAME / package)
        for path in (root / NAME).rglob("*.py"):
            path.write_text(below_the_name(path.read_text(encoding="utf-8"), str(path)), encoding="utf-8")


class WheelOfOneName(bdist_wheel):
    """Says in the wheel which single name it installs."""

    def write_wheelfile(self, wheelfile_base: str, *args: str, **options: str) -> None:
        """Write the wheel's own files."""
        super().write_wheelfile(wheelfile_base, *args, **options)
        Path(wheelfile_base, "top_level.txt").write_text(f"{NAME}\n", encoding="utf-8")


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildBelowTheName, "bdist_wheel": WheelOfOneName})
