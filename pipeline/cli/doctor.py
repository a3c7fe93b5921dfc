"""The command that looks at the machine."""

# No `from __future__ import annotations` here: see options.py.

from typing import TYPE_CHECKING, Annotated

from pipeline.cli.options import DEVICE, JSON

if TYPE_CHECKING:
    from pipeline.doctor import Checkup

__all__ = ["COMMANDS"]


def doctor(device: Annotated[str | None, DEVICE] = None, as_json: Annotated[bool, JSON] = False) -> None:
    """Tell what can be built and run here, and what is missing.

    With --device what can be built here and run there.
    """
    from pipeline.cli.console import out_console, say, table
    from pipeline.doctor import examine

    found = _examined(device) if device else examine()
    if as_json:
        from pipeline.cli.documents import DoctorDocument, print_document, target_entry

        print_document(
            DoctorDocument(
                machine=found.machine,
                libraries=found.libraries,
                targets=tuple(map(target_entry, found.targets)),
                troubles=found.troubles,
            )
        )
        return
    for title, values in (("machine", found.machine), ("libraries", found.libraries)):
        width = max(map(len, values), default=0)
        say(title)
        for name, value in values.items():
            say(f"  {name:<{width}}  {value}", markup=False)
    say("")
    rows = [
        (
            state.name,
            "no" if state.missing else "yes",
            "no" if state.cannot_run else "yes",
            ", ".join(state.precisions),
            ", ".join(f"{name} {version}" for name, version in state.versions.items()) or "-",
        )
        for state in found.targets
    ]
    out_console().print(table(("target", "build", "run", "precisions", "installed"), rows))
    reasons = [(state.name, reason) for state in found.targets if (reason := state.missing or state.cannot_run)]
    if reasons:
        say("\nwhat is missing")
    for name, reason in reasons:
        say(f"  {name}: {reason}", markup=False)
    for trouble in found.troubles:
        say(f"\nto mend: {trouble}", markup=False)


def _examined(device: str) -> "Checkup":
    """A device, and what can be built here and run on it."""
    from pipeline.catalog import TARGETS
    from pipeline.cli.devices import connected
    from pipeline.devices.checkup import checkup
    from pipeline.doctor import Checkup, state_of_target

    with connected(device) as there:
        found, installed = checkup(there), there.facts.versions
        targets = tuple(state_of_target(name, there) for name in TARGETS)
    return Checkup(
        machine={label: value for label, value in found.lines if label not in installed},
        libraries={name: version for name, version in installed.items() if version},
        targets=targets,
        troubles=(*found.missing, *found.doubts),
    )


COMMANDS = (doctor,)
