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

_Options = ParamSpec("_Options")


class _AskedToEnd(SystemExit):
    """Somebody asked the command to end, by a signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(_SIGNALLED + number)
        self.signal = number.name


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
    except _AskedToEnd as asked:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with suppress(OSError):  # of a terminal that is gone
            print(f"ended by {asked.signal}; {_RESUMABLE}", file=sys.stderr, flush=True)  # noqa: T201 - the command line's own voice
        raise SystemExit(asked.code) from asked
    except SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _fail(f"interrupted; {_RESUMABLE}", _INTERRUPTED, debug=debug)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - whoever read us has gone
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last place before the user
        message, code = ending(error)
        _fail(f"error: {message}", code, debug=debug)


def _heeding_signals(command: Callable[[], None]) -> None:
    """Call it, with temporary files of its own; to be called where an exception ends well already."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _end_by)
    with own_scratch():
        command()


def _fail(message: str, code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    print(printable(message), file=sys.stderr)  # noqa: T201 - the command line's own voice
    sys.exit(code)


def _end_by(number: int, _frame: object) -> NoReturn:
    """End the command by an exception, and once more in a moment should that one be lost.

    Python drops an exception that is raised while a library calls back, in a destructor for one: the command would go
    on as if nobody had asked it to end. Where Python says so it comes again at once.
    """
    signal.signal(signal.SIGALRM, lambda _number, frame: _end_by(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise _AskedToEnd(signal.Signals(number))


def _dropped(told: sys.UnraisableHookArgs) -> None:
    """Tell of an exception that could be raised nowhere; one that was to end the command comes again."""
    if isinstance(told.exc_value, (_AskedToEnd, KeyboardInterrupt)):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_WHERE_LOST_S)
    else:
        sys.__unraisablehook__(told)
