"""Every error a user can meet, with the exit code it ends the command with.

::

    EdgewrightError                2
    ├── UsageError                 2   what was typed or given does not fit
    │   ├── RecipeError                a key or value of a recipe, or of a fleet's file
    │   ├── UnknownNameError           a model, target, stage ... that does not exist
    │   ├── DataError                  a data folder, a class, an image
    │   └── WeightsError               a weights file that cannot be used
    ├── DeviceError                2   a device that cannot be reached, or lacks what it needs
    ├── InconclusiveError          3   measured, but too little to decide
    ├── UnfitMachineError          4   the machine is too noisy to judge
    ├── BaselineError              5   no baseline, or one that cannot be compared
    ├── IntegrityError             6   bytes that are not what their manifest says
    ├── ResourceError              7   disk full, out of memory
    ├── ParityError                8   two forms of one network disagree
    ├── AccuracyError              8   the accuracy limit cannot be met
    ├── GoalError                  8   a network cannot be as fast or small as was asked
    └── ContractError             70   a stage did something else than it declared: a defect, please report it

An error says where it happened, what came, what was expected and what to do; the command line prints exactly that
and no traceback (``--debug`` shows it).
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AccuracyError",
    "BaselineError",
    "ContractError",
    "DataError",
    "DeviceError",
    "EdgewrightError",
    "GoalError",
    "InconclusiveError",
    "IntegrityError",
    "ParityError",
    "RecipeError",
    "ResourceError",
    "UnfitMachineError",
    "UnknownNameError",
    "UsageError",
    "WeightsError",
    "first_line",
    "nearest",
    "out_of_memory",
    "printable",
    "tells_of_memory",
]

_FEW = 12
"""Names that may stand in a message all together."""


_NO_MEMORY = re.compile(
    r"can(?:no|')t allocate memory|failed to allocate memory|unable to allocate|not enough memory|out of memory"
    r"|bad_alloc|bad allocation|failed to map segment|can't start new thread|thread creation failed"
    r"|insufficient memory|MemoryError|could not create a primitive$",
    re.IGNORECASE,
)
"""How libraries and the kernel say it: PyTorch, ONNX Runtime, numpy, C++, the dynamic loader, Python, OpenMP, oneDNN,
which has no other words for it (what it cannot compute it says of a primitive *descriptor*)."""


class EdgewrightError(Exception):
    """Base of all errors that are addressed to the user.

    Args:
        what: One sentence: what is wrong.
        where: File, recipe path or stage it was found at.
        got: What came.
        expected: What was expected instead.
        fix: What to do about it.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        got: str | None = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.got = got
        self.expected = expected
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        """The message as printed: one line a part, parts that were not given left out."""
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        labelled = (("got", self.got), ("expected", self.expected), ("fix", self.fix))
        parts += [f"  {label}: {text}" for label, text in labelled if text]
        return "\n".join(parts)


class UsageError(EdgewrightError):
    """What was typed or given does not fit."""


class RecipeError(UsageError):
    """A key or value of the recipe, or of the file of a fleet."""


class UnknownNameError(UsageError):
    """A name that is not in the table it was looked up in; the message names the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, fix: str | None = None) -> None:
        known = sorted(known)
        super().__init__(f"unknown {kind} {name!r}", expected=_suggestion(name, known), fix=fix)


def _suggestion(name: str, known: list[str]) -> str:
    """What may have been meant: the nearest names, else all of a few, else some of many."""
    if close := nearest(name, known):
        return f"did you mean {' or '.join(close)}?"
    if len(known) <= _FEW:
        return f"one of {', '.join(known)}"
    return f"one of {len(known)}, such as {', '.join(nearest(name, known, count=6, likeness=0.0))}"


class DataError(UsageError):
    """A data folder, a class or an image that cannot be used."""


class WeightsError(UsageError):
    """A weights file that cannot be read or does not fit the network."""


class DeviceError(EdgewrightError):
    """A device that cannot be reached, lacks what it needs, or was lost on the way."""


class InconclusiveError(EdgewrightError):
    """Measured, but the interval is too wide to decide."""

    exit_code = 3


class UnfitMachineError(EdgewrightError):
    """The machine is too noisy to judge."""

    exit_code = 4


class BaselineError(EdgewrightError):
    """No baseline, or one that cannot be compared."""

    exit_code = 5


class IntegrityError(EdgewrightError):
    """Bytes are not what their manifest says."""

    exit_code = 6


class ResourceError(EdgewrightError):
    """Disk full or out of memory."""

    exit_code = 7


class ParityError(EdgewrightError):
    """Two forms of one network give different numbers."""

    exit_code = 8


class AccuracyError(EdgewrightError):
    """The accuracy limit cannot be met."""

    exit_code = 8


class GoalError(EdgewrightError):
    """What a network may cost cannot be held."""

    exit_code = 8


class ContractError(EdgewrightError):
    """A stage or target did something else than it declared: a defect, addressed to its author."""

    exit_code = 70


def first_line(error: BaseException) -> str:
    """What a foreign error says, without what only its library's authors can read; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def tells_of_memory(text: str) -> bool:
    """Whether a foreign message says that memory ran out."""
    return _NO_MEMORY.search(text) is not None


def out_of_memory(error: BaseException) -> str | None:
    """What an error, or what it came of, says of memory that ran out; None when it came of something else."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:  # causes may go around, and errors of others have no hash
        seen.add(id(found))
        lines = [line for line in str(found).splitlines() if tells_of_memory(line)]
        if lines or isinstance(found, MemoryError):
            return lines[0].strip().removeprefix("got: ") if lines else first_line(found)
        found = found.__cause__ or found.__context__
    return None


def printable(text: str) -> str:
    """A text that may hold what a file said, as a terminal may have it: what is no letter or sign is spelled out.

    An escape sequence in a class name could else clear the screen, colour a verdict or set the window's title, and a
    right-to-left mark turn a path around. Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t\N{NO-BREAK SPACE}"
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )


def nearest(name: str, known: Iterable[str], *, count: int = 3, likeness: float = 0.5) -> list[str]:
    """The names most like ``name``, best first; empty when none is as like as asked, from 0 to 1."""
    return difflib.get_close_matches(name, list(known), n=count, cutoff=likeness)
