"""The devices a user has named: ``devices.yaml`` in the folder for configurations."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, field_validator

from pipeline.errors import UnknownNameError, UsageError
from pipeline.store import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeviceEntry", "add_device", "device_entry", "devices_file", "read_devices", "remove_device"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(
    r"ssh://(?:[A-Za-z_][\w.-]*@)?(?:[A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.%\w]+\])(?::(?P<port>\d{1,5}))?/?"
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


def read_devices() -> dict[str, DeviceEntry]:
    """All of them by name; none where there is no file.

    Raises:
        UsageError: when the file is not what it should be.
    """
    path = devices_file()
    if not path.exists():
        return {}
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            "not YAML",
            where=str(path),
            got=" ".join(str(error).split()),
            expected="YAML: names of devices, each with its keys",
        ) from error
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise UsageError(
            "not a list of devices", where=str(path), expected="name: {address: ssh://user@host}, one or more"
        )
    return {str(name): _entry(fields, where=f"{path}: {name}") for name, fields in value.items()}


def device_entry(text: str) -> tuple[str, DeviceEntry]:
    """The name and the entry of what was typed after ``--device``: a name, or an address taken as it is.

    Raises:
        UnknownNameError: when there is no device of that name.
        UsageError: for an address that is none.
    """
    if "://" in text:
        return text, _entry({"address": text}, where=text)
    known = read_devices()
    if text not in known:
        raise UnknownNameError(
            "device", text, known, fix=f"edgewright device add {text} ssh://user@host   (or give the address itself)"
        )
    return text, known[text]


def add_device(name: str, fields: Mapping[str, Any]) -> DeviceEntry:
    """Keep a device under a name; one of that name is replaced.

    Raises:
        UsageError: for a name or a field that cannot be.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("not a name for a device", got=repr(name), expected="letters, digits, dots, _ and -")
    entry = _entry(fields, where=f"device {name}")
    _write({**read_devices(), name: entry})
    return entry


def remove_device(name: str) -> None:
    """Forget a device.

    Raises:
        UnknownNameError: when there is none of that name.
    """
    known = read_devices()
    if name not in known:
        raise UnknownNameError("device", name, known)
    del known[name]
    _write(known)


def _entry(fields: Mapping[str, Any], *, where: str) -> DeviceEntry:
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


def _write(entries: Mapping[str, DeviceEntry]) -> None:
    value = {name: entry.model_dump(mode="json", exclude_defaults=True) for name, entry in entries.items()}
    write_atomically(devices_file(), yaml.safe_dump(value, sort_keys=True))
