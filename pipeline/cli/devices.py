"""The commands that have to do with devices reached over SSH: device add, list, check, clean, remove."""

# No `from __future__ import annotations` here: see options.py.

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.failures import guarded
from pipeline.cli.options import JSON

if TYPE_CHECKING:
    from pipeline.devices.device import Device

__all__ = ["connected", "device_app"]

device_app = typer.Typer(
    name="device", help="Devices that are reached over SSH, to measure on.", rich_markup_mode=None, no_args_is_help=True
)

_NAME = typer.Argument(metavar="NAME", help="Of a device, or ssh://[user@]host[:port].", show_default=False)


def connected(text: str) -> "Device":
    """The device of a name or an address; a ``with`` block connects it, see :class:`pipeline.devices.device.Device`."""
    from pipeline.cli.console import progress
    from pipeline.devices.device import device_of

    return device_of(text, progress(), as_it_is=True)


def _add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call it.", show_default=False)],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="ssh://[user@]host[:port].", show_default=False)],
    python: Annotated[
        str | None, typer.Option("--python", help="Command that starts Python there; default: python3.")
    ] = None,
    cores: Annotated[str | None, typer.Option("--cores", metavar="2,3", help="To measure on; default: all.")] = None,
    folder: Annotated[str | None, typer.Option("--folder", help="For what is sent there.")] = None,
    least_free_mib: Annotated[int | None, typer.Option("--least-free-mib", help="Of its disk, to stay free.")] = None,
    cache_mib: Annotated[int | None, typer.Option("--cache-mib", help="That what is sent may take there.")] = None,
) -> None:
    """Keep a device under a name; one of that name is replaced.

    Where it has the same address, what is not typed stays as it was; `edgewright device remove` forgets it all.

    \b
    edgewright device add pi ssh://pi@raspberrypi.local --python '~/edgewright/bin/python' --cores 2,3
    """  # noqa: D301 - click's
    from pipeline.cli.console import say
    from pipeline.devices.entries import add_device, devices_file

    given = {
        "address": address, "python": python, "cores": cores.split(",") if cores else None, "folder": folder,
        "least_free_mib": least_free_mib, "cache_mib": cache_mib,
    }  # fmt: skip
    add_device(name, {key: value for key, value in given.items() if value is not None})
    say(f"{name} is in {devices_file()}; see whether it answers: edgewright device check {name}", markup=False)


def _list(as_json: Annotated[bool, JSON] = False) -> None:
    """Show the devices; none is asked."""
    from pipeline.cli.console import out_console, say, table
    from pipeline.devices.entries import devices_file, read_devices

    found = read_devices()
    if as_json:
        from pipeline.cli.documents import DeviceLine, DevicesDocument, print_document

        lines = [DeviceLine(name=name, **entry.model_dump()) for name, entry in found.items()]
        print_document(DevicesDocument(devices=tuple(lines)))
        return
    if not found:
        say(f"no devices in {devices_file()}; edgewright device add NAME ssh://user@host", markup=False)
        return
    rows = [
        (name, entry.address, entry.python, ",".join(map(str, entry.cores or ())) or "all", entry.folder)
        for name, entry in found.items()
    ]
    out_console().print(table(("device", "address", "python", "cores", "folder"), rows))


def _check(
    name: Annotated[str, _NAME],
    install: Annotated[
        bool,
        typer.Option("--install", help="Make a virtual environment there first, which the device uses from then on."),
    ] = False,
    target: Annotated[str, typer.Option("--target", help="Whose runtime --install installs.")] = "ort-cpu",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Connect and tell what is there, and what is missing with the command that installs it.

    Exit code 2 when it cannot be measured on.
    """
    from pipeline.cli.console import say
    from pipeline.devices.checkup import checkup

    if install:
        _install(name, target)
    with connected(name) as device:
        found = checkup(device)
    if as_json:
        from pipeline.cli.documents import DeviceDocument, print_document

        print_document(DeviceDocument(device=name, facts=dict(found.lines), missing=found.missing, doubts=found.doubts))
    else:
        width = max(len(label) for label, _ in found.lines)
        for label, value in found.lines:
            say(f"{label:<{width}}  {value}", markup=False)
        for trouble in found.missing:
            say(f"\nto mend: {trouble}", markup=False)
        for doubt in found.doubts:
            say(f"  note: {doubt}", markup=False)
    if found.missing:
        raise typer.Exit(2)


def _install(name: str, target: str) -> None:
    """Install what a target's engines need on a device, in an environment of its own, and note its Python."""
    from pipeline.catalog import target_named
    from pipeline.cli.console import progress
    from pipeline.devices.entries import add_device, device_entry
    from pipeline.devices.facts import required
    from pipeline.devices.installation import own_python
    from pipeline.devices.own_python import install_python
    from pipeline.errors import UsageError

    needed = target_named(target).runtime
    _, entry = device_entry(name)
    if "://" in name:
        raise UsageError(
            "an address has no entry that could remember the new Python",
            got=name,
            fix=f"edgewright device add NAME {name}, then edgewright device check NAME --install",
        )
    with progress().track(f"installing {', '.join(needed)} on {name}", 0):
        install_python(name, entry, [required(one) for one in needed])
    add_device(name, {**entry.model_dump(exclude_defaults=True), "python": own_python(entry.folder)})


def _clean(name: Annotated[str, _NAME]) -> None:
    """Remove from the device all that was sent there."""
    from pipeline.cli.console import say

    with connected(name) as device:
        size = device.clean()
    say(f"removed from {name}: {size / 1e6:.1f} MB of models and inputs, and the measuring code", markup=False)


def _remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a device that was added.", show_default=False)],
) -> None:
    """Forget a device; what was sent there stays (see clean)."""
    from pipeline.cli.console import say
    from pipeline.devices.entries import remove_device

    remove_device(name)
    say(f"{name} is forgotten", markup=False)


for _name, _command in (("add", _add), ("list", _list), ("check", _check), ("clean", _clean), ("remove", _remove)):
    device_app.command(name=_name)(guarded(_command))
