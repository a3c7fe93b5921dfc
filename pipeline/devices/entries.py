"""The devices a user has named: ``devices.yaml`` in the folder for configurations."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, field_validator

from pipeline.errors import UnknownNameError, UsageError
from pipeline.leftovers import holding
from pipeline.store import write_atomically
from pipeline.yaml_reading import safe_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "HERE",
    "DeviceEntry",
    "add_device",
    "device_entry",
    "devices_file",
    "host_of",
    "read_devices",
    "remove_device",
]

HERE = "here"
"""The device that is the machine a fleet's cell runs on."""

_NAMES = "letters, digits, dots, _ and -"
_FORM = "name: {address: ssh://user@host}, one or more"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(
    r"ssh://(?:[A-Za-z_][\w.-]*@)?(?P<host>[A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.%\w]+\])(?::(?P<port>\d{1,5}))?/?"
)


class DeviceEntry(BaseModel):
    """How a device is reached and what may be used of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(description="ssh://[user@]host[:port]; a host of ~/.ssh/config too")
    python: str = Field(default="python3", min_length=1, description="command that starts Python 3.9 or newer there")
    cores: tuple[NonNegativeInt, ...] | None = Field(default=None, description="numbers of those to measure on")
    folder: str = Field(
        default="~/.cache/edgewright-device", min_length=1, description="for what is sent; ~ is the user's home there"
    )
    least_free_mib: NonNegativeInt = Field(default=200, description="of the disk, which have to stay free")
    cache_mib: PositiveInt = Field(default=4096, description="that the files sent there may take together")

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        found = _ADDRESS.fullmatch(value)
        if found is None or not 0 < int(found["port"] or 22) < 1 << 16:
            message = "expected ssh://[user@]host[:port]"
            raise ValueError(message)
        return value.removesuffix("/")

    @field_validator("cores")
    @classmethod
    def _each_once(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """In one order: their number is the device's, and figures are kept by them."""
        return value and tuple(sorted(set(value)))

    @field_validator("python", "folder")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not value.isprintable() or not value.strip():
            message = "expected one line of text"
            raise ValueError(message)
        return value.strip()


def devices_file() -> Path:
    """``$XDG_CONFIG_HOME/edgewright/devices.yaml``, else ``~/.config/edgewright/devices.yaml``."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "edgewright" / "devices.yaml"


def host_of(address: str) -> str:
    """The host of an address, without user, port and brackets."""
    found = _ADDRESS.fullmatch(address)
    assert found is not None  # noqa: S101 - an address that was checked
    return found["host"].strip("[]")


def read_devices() -> dict[str, DeviceEntry]:
    """All of them by name; none where there is no file.

    Raises:
        UsageError: when the file, or one of its entries, is not what it should be.
    """
    return {name: _named(name, fields) for name, fields in _read().items()}


def _named(name: str, fields: object) -> DeviceEntry:
    """An entry of the file."""
    where = f"{devices_file()}: {name}"
    if _NAME.fullmatch(name) is None or name == HERE:
        raise UsageError("not a name for a device", where=where, expected=_NAMES)
    return _entry(fields, where=where)


def _read() -> dict[str, Any]:
    """What stands in the file under each name, as it stands there: one entry that is wrong leaves the others in use."""
    path = devices_file()
    try:
        value = safe_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(
            "not YAML",
            where=str(path),
            got=" ".join(str(error).split()),
            expected="YAML: names of devices, each with its keys",
        ) from error
    if value is None:  # nothing but comments
        return {}
    if not isinstance(value, dict):
        raise UsageError("not a list of devices", where=str(path), expected=_FORM)
    return {str(name): fields for name, fields in value.items()}


def device_entry(text: str) -> tuple[str, DeviceEntry]:
    """The name and the entry of what was typed after ``--device``: a name, or an address taken as it is.

    Raises:
        UnknownNameError: when there is no device of that name.
        UsageError: for an address that is none.
    """
    if "://" in text:
        return text, _entry({"address": text}, where=text)
    known = _read()
    if text not in known:
        raise UnknownNameError(
            "device", text, known, fix=f"edgewright device add {text} ssh://user@host   (or give the address itself)"
        )
    return text, _named(text, known[text])


def add_device(name: str, fields: Mapping[str, Any]) -> DeviceEntry:
    """Keep a device under a name; one of that name is replaced.

    Where it has the same address, what is not among the fields stays as it was.

    Raises:
        UsageError: for a name or a field that cannot be.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("not a name for a device", got=repr(name), expected=_NAMES)
    if name == HERE:
        raise UsageError(
            "not a name for a device", got=name, fix="take another: in fleets it is the machine a cell runs on"
        )
    entry = _entry(fields, where=f"device {name}")
    with _alone():
        known = _read()
        before = _kept(known.get(name), entry.address)
        entry = DeviceEntry.model_validate({**before, **entry.model_dump(exclude_unset=True)})
        _write({**known, name: entry.model_dump(mode="json", exclude_defaults=True)})
    return entry


def _kept(fields: object, address: str) -> dict[str, Any]:
    """What was noted of a device at an address; nothing of another one, or of an entry that is wrong."""
    try:
        before = DeviceEntry.model_validate(fields)
    except ValidationError:  # adding it again is how one mends it
        return {}
    return before.model_dump(exclude_defaults=True) if before.address == address else {}


def remove_device(name: str) -> None:
    """Forget a device.

    Raises:
        UnknownNameError: when there is none of that name.
    """
    with _alone():
        known = _read()
        if name not in known:
            raise UnknownNameError("device", name, known)
        del known[name]
        _write(known)


def _entry(fields: object, *, where: str) -> DeviceEntry:
    if not isinstance(fields, dict):
        raise UsageError("not a list of devices", where=where, got=repr(fields), expected=_FORM)
    try:
        return DeviceEntry.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{key}: {first['msg'].removeprefix('Value error, ')}",
            where=where,
            got=repr(first["input"]),
            fix="docs/devices.md has the keys of an entry",
        ) from error


@contextmanager
def _alone() -> Iterator[None]:
    """Nobody else changes the file while the block lasts: the folder is what is locked, since the file is replaced."""
    folder = devices_file().parent
    folder.mkdir(parents=True, exist_ok=True)
    with holding(folder):
        yield


def _write(entries: Mapping[str, Any]) -> None:
    """Where the file is a link, to what it leads to; others may read it if they could, and a new one they may not."""
    file = devices_file().resolve()
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    write_atomically(file, yaml.safe_dump(dict(entries), sort_keys=True))
    file.chmod(mode)
