"""Every way a command can end badly is one message and one exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import typer

from edgewright.__main__ import main as start
from pipeline import errors
from pipeline.cli.failures import guarded
from pipeline.errors import EdgewrightError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _own_signals_and_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A guarded command sets the handler of its process, which is the tests' here."""
    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    }
    monkeypatch.setattr(sys, "argv", ["edgewright", "deploy"])
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may have been started by nohup
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def _end(error: BaseException) -> int | str | None:
    @guarded
    def command() -> NoReturn:
        raise error

    with pytest.raises(SystemExit) as left:
        command()
    return left.value.code


def _known() -> list[type[EdgewrightError]]:
    found = [getattr(errors, name) for name in errors.__all__]
    return [kind for kind in found if isinstance(kind, type) and kind is not errors.UnknownNameError]


@pytest.mark.parametrize("kind", _known(), ids=lambda kind: kind.__name__)
def test_an_error_for_the_user_is_printed_as_it_is_and_ends_with_its_code(
    kind: type[EdgewrightError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = _end(kind("it broke", where="a.yaml:3", got="1", expected="2", fix="mend it"))
    assert code == kind.exit_code
    told = "error: a.yaml:3: it broke\n  got: 1\n  expected: 2\n  fix: mend it\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted; finished stages are kept, the same command goes on from there\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 2, "error: /x/y: Permission denied\n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "z"), 2, "error: z: No such file or directory\n"),
        (OSError("no number"), 2, "error: no number\n"),
    ],
    ids=["interrupt", "permission", "missing file", "other"],
)
def test_what_the_system_says_is_one_message(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _end(error) == code
    assert capsys.readouterr() == ("", told)


def _came_of(cause: Exception) -> EdgewrightError:
    error = EdgewrightError("the network does not answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "MemoryError"),
        (MemoryError("Unable to allocate 8 GiB for an array"), "Unable to allocate 8 GiB for an array"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "9 b",
        ),
        (ImportError("libx.so: failed to map segment from shared object"), "failed to map segment"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "Cannot allocate memory"),
        (_came_of(RuntimeError("std::bad_alloc")), "std::bad_alloc"),
        (RuntimeError("could not create a primitive"), "could not create a primitive"),
    ],
)
def test_memory_that_ran_out_is_told_with_what_was_asked_for_whoever_says_so(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _end(error) == 7
    first, got, fix = capsys.readouterr().err.splitlines()
    assert first == "error: out of memory"
    assert re.fullmatch(rf"  got: .*{re.escape(said)}.*; up to \d+ MiB were in use", got)
    assert fix.startswith("  fix: close other programs")


def test_what_cannot_be_computed_is_no_lack_of_memory() -> None:
    assert _end(RuntimeError("could not create a primitive descriptor for a convolution")) == 70


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
def test_a_full_disk_is_no_mistake_of_the_user(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(OSError(number, os.strerror(number), "out/report.md")) == 7
    assert capsys.readouterr().err.startswith("error: out/report.md: ")


def test_a_reader_that_has_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back afterwards: it is replaced, for the flush at the exit
    assert _end(BrokenPipeError(errno.EPIPE, "Broken pipe")) == 0
    assert sys.stdout.name == os.devnull
    sys.stdout.close()
    assert capsys.readouterr().err == ""


def test_an_error_that_is_for_nobody_is_a_defect_and_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(ZeroDivisionError("division by zero")) == 70
    told = capsys.readouterr().err
    first, *rest = told.splitlines()
    assert first.startswith("error: a defect in edgewright: ZeroDivisionError at test_failures.py:")
    assert rest == ["  got: division by zero", "  fix: run again with --debug and report what it prints"]
    assert os.sep not in first


@pytest.mark.parametrize(
    "error", [IntegrityError("it broke"), KeyboardInterrupt(), OSError("no number"), ZeroDivisionError("no")]
)
def test_debug_prints_the_traceback_before_the_message_and_keeps_the_code(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _end(error)
    plain = capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["edgewright", "deploy", "--debug"])
    assert _end(error) == code
    debug = capsys.readouterr().err
    assert debug.startswith("Traceback (most recent call last):\n")
    assert debug.endswith(plain)
    assert "Traceback" not in plain


def test_a_command_may_end_with_a_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def command() -> NoReturn:
        raise typer.Exit(3)

    with pytest.raises(typer.Exit) as left:
        command()
    assert left.value.exit_code == 3
    assert capsys.readouterr() == ("", "")


def test_a_command_that_ends_well_gets_what_it_was_typed_with_and_prints_nothing_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[tuple[str, int]] = []

    @guarded
    def command(name: str, *, count: int) -> None:
        """What it does."""
        seen.append((name, count))

    command("x", count=2)
    assert seen == [("x", 2)]
    assert command.__doc__ == "What it does."
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_being_told_to_end_lets_the_command_tidy_up_and_says_so_in_one_line(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tidied: list[str] = []

    @guarded
    def command() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            tidied.append("done")

    with pytest.raises(SystemExit) as left:
        command()
    assert left.value.code == code
    assert tidied == ["done"]
    told = f"ended by {number.name}; finished stages are kept, the same command goes on from there\n"
    assert capsys.readouterr() == ("", told)


def test_a_command_that_shall_outlive_its_terminal_is_not_ended_by_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def command() -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    command()
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_before_there_is_a_command_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("pipeline.cli.main.main", lambda: found.append(signal.getsignal(signal.SIGINT)))
    start()
    assert found == [signal.SIG_DFL]


def test_ctrl_c_that_is_not_heard_stays_so_until_there_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.setattr("pipeline.cli.main.main", lambda: found.append(signal.getsignal(signal.SIGINT)))
    start()
    assert found == [signal.SIG_IGN]


def test_ctrl_c_while_a_command_begins_to_hear_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hears = signal.signal

    def heard(number: signal.Signals, handler: Any) -> Any:  # noqa: ANN401 - a handler
        before = hears(number, handler)
        if number == signal.SIGINT:
            signal.raise_signal(number)
        return before

    @guarded
    def command() -> None:
        raise AssertionError

    monkeypatch.setattr(signal, "signal", heard)
    with pytest.raises(SystemExit) as left:
        command()
    monkeypatch.undo()
    assert left.value.code == 130
    assert capsys.readouterr().err == "interrupted; finished stages are kept, the same command goes on from there\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_told_to_end_within_a_destructor_ends_the_command_at_once_all_the_same(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    class Told:
        def __del__(self) -> None:
            signal.raise_signal(number)

    @guarded
    def command() -> None:
        one = Told()
        del one
        time.sleep(1)  # less than after which it is asked once more in any case

    with pytest.raises(SystemExit) as left:
        command()
    assert left.value.code == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "code", "told"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_what_a_library_makes_of_being_told_to_end_is_not_what_is_told(
    number: signal.Signals, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a module written in C++ does while it is imported."""

    @guarded
    def command() -> None:
        try:
            signal.raise_signal(number)
        except (KeyboardInterrupt, SystemExit):
            raise ImportError("initialization failed") from None

    with pytest.raises(SystemExit) as left:
        command()
    assert left.value.code == code
    assert capsys.readouterr().err == f"{told}; finished stages are kept, the same command goes on from there\n"
    assert _end(OSError("no number")) == 2  # of the next command it is forgotten


def test_what_else_python_cannot_raise_is_told_as_always(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    @guarded
    def command() -> None:
        one = Broken()
        del one

    command()
    assert "ValueError: broken" in capsys.readouterr().err
