"""The commands that look after the store: path, list, check, gc."""

# No `from __future__ import annotations` here: see options.py.

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.failures import guarded
from pipeline.cli.options import JSON

if TYPE_CHECKING:
    from pipeline.cli.documents import StoreEntry
    from pipeline.upkeep.contents import Item

__all__ = ["store_app"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|)")
_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DAY_S = 86_400.0

store_app = typer.Typer(
    name="store", help="Look after what runs keep: list it, check it, make room.",
    rich_markup_mode=None, no_args_is_help=True,
)  # fmt: skip


def _path() -> None:
    """Print where the store is; $EDGEWRIGHT_CACHE puts it elsewhere."""
    from pipeline.store import default_root

    typer.echo(default_root())


def _list(as_json: Annotated[bool, JSON] = False) -> None:
    """List what is kept: results of stages, decisions, measurements, data, weights."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.report import figures
    from pipeline.store import default_root
    from pipeline.upkeep.contents import contents, grouped

    root = default_root()
    items = contents(root)
    if as_json:
        from pipeline.cli.documents import StoreDocument, print_document

        print_document(StoreDocument(path=str(root), items=tuple(map(_entry, items))))
        return
    if not items:
        say(f"nothing is kept in {root}", markup=False)
        return
    rows = [
        (
            kind,
            what,
            str(len(some)),
            figures.megabytes(sum(item.size_bytes for item in some)),
            _age(max(item.used_ns for item in some)),
            _age(min(item.used_ns for item in some)),
        )
        for (kind, what), some in grouped(items).items()
    ]
    out_console().print(table(("kind", "what", "pieces", "size", "last used", "the oldest"), rows))
    say(f"\n{figures.megabytes(sum(item.size_bytes for item in items))} in {root}", markup=False)


def _check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is damaged: it is made or fetched anew.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Read everything and compare it with its hash.

    Exit code 6 when something is damaged; 0 when it was removed by --repair.
    """
    from pipeline.cli.console import say
    from pipeline.errors import IntegrityError
    from pipeline.store import default_root
    from pipeline.upkeep.check import check

    root = default_root()
    found = check(root, repair=repair)
    if as_json:
        from pipeline.cli.documents import DamagedEntry, StoreCheckDocument, print_document

        damaged = tuple(DamagedEntry(path=one.path, why=one.why) for one in found.damaged)
        print_document(StoreCheckDocument(path=str(root), looked_at=found.looked_at, damaged=damaged, removed=repair))
    else:
        for one in found.damaged:
            say(f"{'removed' if repair else 'damaged'}  {one.path}: {one.why}", markup=False)
    if found.damaged and not repair:
        raise IntegrityError(
            f"{len(found.damaged)} of {found.looked_at} pieces are not what was put into the store",
            where=str(root),
            fix="edgewright store check --repair removes them: they are made anew when they are needed",
        )
    if not as_json and not found.damaged:
        say(f"intact  {found.looked_at} pieces in {root}", markup=False)


def _gc(
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="Remove what was not used for so long.")
    ] = None,
    keep_bytes: Annotated[
        str | None,
        typer.Option(
            "--keep-bytes", metavar="SIZE", help="Remove what was used longest ago until SIZE is left: 500MB, 20GB."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Make room: remove results, decisions, measurements and unfinished work.

    Nothing that a living run uses goes; data sets and weights stay.
    """
    from pipeline.cli.console import say
    from pipeline.errors import UsageError
    from pipeline.report import figures
    from pipeline.store import default_root
    from pipeline.upkeep.contents import grouped
    from pipeline.upkeep.gc import collect

    if older_than is None and keep_bytes is None:
        raise UsageError(
            "what may go is not said", fix="edgewright store gc --older-than 30, or --keep-bytes 20GB, or both"
        )
    root, most = default_root(), None if keep_bytes is None else _bytes(keep_bytes)
    freed = collect(root, older_than_days=older_than, keep_bytes=most, dry_run=dry_run)
    if as_json:
        from pipeline.cli.documents import StoreGcDocument, print_document

        print_document(
            StoreGcDocument(
                path=str(root),
                dry_run=dry_run,
                freed_bytes=freed.size_bytes,
                removed=tuple(map(_entry, freed.removed)),
                in_use=tuple(map(_entry, freed.in_use)),
            )
        )
        return
    word = "would free" if dry_run else "freed"
    for (kind, what), some in grouped(list(freed.removed)).items():
        say(f"{kind:<12}{what}: {len(some)}, {figures.megabytes(sum(item.size_bytes for item in some))}", markup=False)
    if freed.in_use:
        size = figures.megabytes(sum(item.size_bytes for item in freed.in_use))
        say(f"left, since runs may use it: {len(freed.in_use)} pieces, {size}", markup=False)
    say(f"{word} {figures.megabytes(freed.size_bytes)} in {root}", markup=False)


def _bytes(text: str) -> int:
    from pipeline.errors import UsageError

    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError("no size", where="--keep-bytes", got=text, expected="bytes, or 500MB, 20GB, 1.5TB")
    return int(float(match[1]) * _UNITS[match[2]])


def _age(used_ns: int) -> str:
    days = (time.time_ns() - used_ns) / 1e9 / _DAY_S
    return f"{days:.0f} days ago" if days >= 2 else f"{24 * days:.0f} hours ago"


def _entry(item: "Item") -> "StoreEntry":
    from pipeline.cli.documents import StoreEntry

    return StoreEntry(
        kind=item.kind,
        what=item.what,
        path=str(item.path),
        size_bytes=item.size_bytes,
        used=datetime.fromtimestamp(item.used_ns / 1e9, UTC),
    )


_SUBCOMMANDS: dict[str, Callable[..., None]] = {"path": _path, "list": _list, "check": _check, "gc": _gc}
for _name, _command in _SUBCOMMANDS.items():
    store_app.command(name=_name)(guarded(_command))
