"""Single edits of a file's bytes, of its name, and of a folder of files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

__all__ = ["EDITS", "changed"]

Edit = Callable[[Path, random.Random], str]


def changed(content: bytes, chance: random.Random) -> bytes:
    """The bytes with a bit flipped, some cut out, doubled, zeroed or put in, or the end gone; never the same."""
    start = chance.randrange(len(content))
    end = min(len(content), start + chance.choice((1, 1, 4, 64)))
    ways = (
        bytes([content[start] ^ 1 << chance.randrange(8)]) + content[start + 1 : end],
        b"",
        content[start:end] * 2,
        bytes(end - start),
        chance.randbytes(4) + content[start:end],
    )
    if chance.randrange(6) == 0:
        return content[:start]
    made = content[:start] + chance.choice(ways) + content[end:]
    return made if made != content else content + b"\0"


def _rewrite(root: Path, chance: random.Random) -> str:
    path = _one(root, chance)
    path.write_bytes(changed(path.read_bytes(), chance))
    return f"bytes of {path.name}"


def _append(root: Path, chance: random.Random) -> str:
    path = _one(root, chance)
    path.write_bytes(path.read_bytes() + chance.choice((b"\n", b" ", b"\0")))
    return f"a byte behind {path.name}"


def _delete(root: Path, chance: random.Random) -> str:
    path = _one(root, chance)
    path.unlink()
    return f"{path.name} is gone"


def _add(root: Path, chance: random.Random) -> str:
    name = chance.choice(("new", ".hidden", "run.pyc", "MANIFEST.JSON", "a\nb"))
    (root / name).touch()
    return f"an empty file {name!r} more"


def _add_a_module(root: Path, chance: random.Random) -> str:
    """One that Python would find in place of its own, beside a script of this folder."""
    name = chance.choice(("__future__", "base64", "json", "hashlib", "os"))
    (root / f"{name}.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    return f"{name}.py more"


def _rename(root: Path, chance: random.Random) -> str:
    path = _one(root, chance)
    path.rename(root / chance.choice((f"{path.name} ", f"{path.name.upper()}X", "new")))
    return f"{path.name} has another name"


def _swap(root: Path, chance: random.Random) -> str:
    first, second = chance.sample(_files(root), 2)
    first.rename(root / "aside")
    second.rename(first)
    (root / "aside").rename(second)
    return f"{first.name} and {second.name} have changed places"


def _link(root: Path, chance: random.Random) -> str:
    path = _one(root, chance)
    outside = root.with_name(f"{root.name}-outside")
    path.rename(outside)
    path.symlink_to(outside)
    return f"{path.name} is a link"


EDITS: tuple[Edit, ...] = (_rewrite, _append, _delete, _add, _add_a_module, _rename, _swap, _link)


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_file())


def _one(root: Path, chance: random.Random) -> Path:
    return chance.choice(_files(root))
