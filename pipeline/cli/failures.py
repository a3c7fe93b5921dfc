"""Every way a command can end badly, as one message and one exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

from pipeline.ending import ending
from pipeline.errors import printable
from pipeline.leftovers import own_scratch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["end_well", "guarded"]

_AGAIN_S, _AGAIN_WHERE_LOST_S = 1.5, 0.01
_INTERRUPTED = 130
_SIGNALLED = 128
"""A command that a signal ends has this and the signal's number as its code, as a shell has it."""
_RESUMABLE = "finished stages are kept, the same command goes on from there"

_heard: list[signal.Signals] = []
"""Signals by which this command was asked to end, as far as it heard them."""

_Options = ParamSpec("_Options")


class _AskedToEnd(SystemExit):
    """Somebody asked the command to end, by a signal other than Ctrl-C's."""


def guarded(command: Callable[_Options, None]) -> Callable[_Options, None]:
    """The command, ending with one message and its exit code whatever goes wrong in it.

    ``--debug`` adds the traceback. An error that is not addressed to the user is a defect: it says so, names the
    place and how to see all of it, and still exits without a traceback.
    """

    @wraps(command)
    def run(*args: _Options.args, **options: _Options.kwargs) -> None:
        before, sys.unraisablehook = sys.unraisablehook, _dropped
        try:
            end_well(lambda: _heeding_signals(lambda: command(*args, **options)), debug="--debug" in sys.argv)
        finally:
            sys.unraisablehook = before

    return run


def end_well(command: Callable[[], None], *, debug: bool) -> None:
    """Call it; whatever goes wrong becomes one message on standard error and an exit code."""
    try:
        command()
    except typer.Exit:
        raise  # a command's own exit code
    except _AskedToEnd:
        _end_as_asked(_heard[0], debug=debug)
    except SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise
    except KeyboardInterrupt:
        _end_as_asked(signal.SIGINT, debug=debug)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - whoever read us has gone
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last place before the user
        if _heard:  # whatever a library made of the exception by which it was to end
            _end_as_asked(_heard[0], debug=debug)
        message, code = ending(error)
        _fail(f"error: {message}", code, debug=debug)


def _heeding_signals(command: Callable[[], None]) -> None:
    """Call it, with temporary files of its own; to be called where an exception ends well already."""
    _heard.clear()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _end_by)
    with own_scratch():
        command()


def _end_as_asked(number: signal.Signals, *, debug: bool) -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, 0)
    if number == signal.SIGINT:
        _fail(f"interrupted; {_RESUMABLE}", _INTERRUPTED, debug=debug)
    with suppress(OSError):  # of a terminal that is gone
        print(f"ended by {number.name}; {_RESUMABLE}", file=sys.stderr, flush=True)  # noqa: T201 - the command line's own voice
    sys.exit(_SIGNALLED + number)


def _fail(message: str, code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    print(printable(message), file=sys.stderr)  # noqa: T201 - the command line's own voice
    sys.exit(code)


def _end_by(number: int, _frame: object) -> NoReturn:
    """End the command by an exception, and once more in a moment should that one be lost.

    Python drops an exception that is raised while a library calls back, in a destructor for one: the command would go
    on as if nobody had asked it to end. Where Python says so it comes again at once. A library that is being loaded
    makes it an error of its own: what fails from then on has failed by it.
    """
    _heard.append(signal.Signals(number))
    signal.signal(signal.SIGALRM, lambda _number, frame: _end_by(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise _AskedToEnd(_SIGNALLED + number)


def _dropped(told: sys.UnraisableHookArgs) -> None:
    """Tell of an exception that could be raised nowhere; one that was to end the command comes again."""
    if isinstance(told.exc_value, (_AskedToEnd, KeyboardInterrupt)):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_WHERE_LOST_S)
    else:
        sys.__unraisablehook__(told)
