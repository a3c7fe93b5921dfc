"""The documentation: links lead somewhere, and the table of the architecture names what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?P<wish>[^|]+) \| `(?P<file>[^`|]+)` \| `(?P<name>[^`|]+)` \|$", re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _broken(page: Path, link: str) -> str | None:
    """Why a link leads nowhere; None where it leads somewhere, or out of the repository."""
    if re.match(r"[a-z]+:", link):
        return None
    place, _, anchor = link.partition("#")
    target = page if not place else (page.parent / place).resolve()
    if not target.exists():
        return f"{link}: no such file"
    if anchor and anchor not in _anchors(target):
        return f"{link}: no such heading"
    return None


def _rows() -> list[tuple[str, str, str]]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return [(row["wish"], row["file"], row["name"]) for row in _ROW.finditer(text)]


def _defined(file: Path) -> set[str]:
    """What a module defines at its top."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))

    assert [reason for link in links if (reason := _broken(page, link))] == []


def test_a_link_to_nowhere_is_noticed() -> None:
    assert _broken(ROOT / "README.md", "docs/nowhere.md") == "docs/nowhere.md: no such file"
    assert _broken(ROOT / "README.md", "docs/gate.md#nowhere") == "docs/gate.md#nowhere: no such heading"


def test_the_table_of_what_to_open_is_long_and_asks_nothing_twice() -> None:
    wishes = [wish for wish, _, _ in _rows()]

    assert len(wishes) >= 30
    assert len(set(wishes)) == len(wishes)


@pytest.mark.parametrize(("wish", "file", "name"), _rows(), ids=[row[0] for row in _rows()])
def test_the_named_file_holds_the_named_thing(wish: str, file: str, name: str) -> None:
    assert name in _defined(ROOT / file), f"{wish}: {file} does not define {name}"
