"""What is printed while work goes on: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import io
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pipeline.cli import console as console_module
from pipeline.cli.console import PlainProgress, TerminalProgress, out_console, progress, say, table

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Terminal(io.StringIO):
    """Takes text like a file and says that somebody looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own consoles, on an output without wishes of the person who runs the tests."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    out_console.cache_clear()
    progress.cache_clear()
    yield
    out_console.cache_clear()
    progress.cache_clear()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line at every step rather than every few seconds."""
    monkeypatch.setattr(console_module, "_PLAIN_EVERY_S", 0.0)


def _plain() -> tuple[PlainProgress, io.StringIO]:
    stream = io.StringIO()
    return PlainProgress(Console(file=stream, highlight=False, soft_wrap=True, width=200)), stream


# Results


def test_a_line_of_results_is_printed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    say("one line")
    assert raw.getvalue() == b"one line\n"


def test_into_a_pipe_goes_no_colour_and_onto_a_terminal_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, text in ((io.StringIO(), "bold\n"), (_Terminal(), "\x1b[1mbold\x1b[0m\n")):
        out_console.cache_clear()
        monkeypatch.setattr(sys, "stdout", stream)
        say("[bold]bold[/]")
        assert stream.getvalue() == text


def test_text_from_outside_is_printed_letter_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    say("photos [bold]/[/x] :smile: 12 ms", markup=False)
    assert capsys.readouterr().out == "photos [bold]/[/x] :smile: 12 ms\n"


def test_a_long_line_is_not_broken_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    say("word " * 100 + "end")
    assert capsys.readouterr().out == "word " * 100 + "end\n"


def test_a_table_has_its_first_column_left_and_its_figures_right(capsys: pytest.CaptureFixture[str]) -> None:
    out_console().print(table(("stage", "p50"), [("baseline", "11.2 ms"), ("build", "1.2 ms")]))
    assert capsys.readouterr().out == "stage         p50\nbaseline  11.2 ms\nbuild      1.2 ms\n"


def test_a_table_without_rows_has_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    out_console().print(table(("stage", "p50"), []))
    assert capsys.readouterr().out.split() == ["stage", "p50"]


@pytest.mark.parametrize("length", [150, 500])
def test_a_table_in_a_pipe_is_as_wide_as_it_is(length: int, capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * length
    out_console().print(table(("teacher", "p50", "size"), [(name, "11.2 ms", "44.8 MB")]))
    assert capsys.readouterr().out.splitlines()[1] == f"{name}  11.2 ms  44.8 MB"


def test_a_cell_of_a_table_is_printed_letter_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    # Model names are in it, and these may be names of files.
    out_console().print(table(("teacher", "p50"), [("net[bold]s:tiny", "11.2 ms")]))
    assert "net[bold]s:tiny" in capsys.readouterr().out


# Progress


def test_progress_goes_to_standard_error_as_lines_in_a_pipe_and_as_bars_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for stream, kind in ((io.StringIO(), PlainProgress), (_Terminal(), TerminalProgress)):
        progress.cache_clear()
        monkeypatch.setattr(sys, "stderr", stream)
        assert type(progress()) is kind


def test_what_is_quick_prints_nothing_in_a_pipe() -> None:
    plain, stream = _plain()
    with plain.track("training", 3) as ticker:
        for _ in range(3):
            ticker.advance(status="loss 0.21")
    assert stream.getvalue() == ""


def test_what_takes_long_prints_how_far_it_is_now_and_then(always: None) -> None:
    plain, stream = _plain()
    with plain.track("training", 4) as ticker:
        ticker.advance(status="loss 0.21")
        ticker.advance(2)
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"  training: 1/4, about \d+ s left  loss 0\.21", first)
    assert re.fullmatch(r"  training: 3/4, about \d+ s left", second)


def test_what_takes_long_is_not_told_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_PLAIN_EVERY_S", 3600.0)
    plain, stream = _plain()
    with plain.track("training", 100) as ticker:
        for _ in range(100):
            ticker.advance()
    assert stream.getvalue() == ""


def test_work_that_never_tells_of_itself_is_told_all_the_same(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_LOOK_EVERY_S", 0.01)
    plain, stream = _plain()
    deadline = time.monotonic() + 30
    with plain.track("writing", 0):
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)

    told = stream.getvalue()
    assert re.match(r"  writing: since \d+ s\n", told)
    time.sleep(0.05)
    assert stream.getvalue() == told


def test_work_within_work_speaks_for_both(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_LOOK_EVERY_S", 0.01)
    plain, stream = _plain()
    deadline = time.monotonic() + 30
    with plain.track("baseline", 0), plain.track("training", 4):
        while stream.getvalue().count("training") < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        told = stream.getvalue()

    assert set(told[told.index("  training") :].splitlines()) == {"  training: 0/4"}


def test_work_whose_length_is_unknown_is_told_without_a_wrong_promise(always: None) -> None:
    plain, stream = _plain()
    with plain.track("downloading", 0) as ticker:
        ticker.advance(5)
    (line,) = stream.getvalue().splitlines()
    assert "5/0" not in line
    assert "-" not in line


def test_the_time_left_falls_between_two_steps_and_is_not_told_before_the_first(
    always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    plain, stream = _plain()
    with plain.track("deploys", 4) as ticker:
        for second, steps in ((50, 0), (100, 1), (130, 0), (250, 0), (300, 1)):
            now[0] = float(second)
            ticker.advance(steps)

    assert stream.getvalue().splitlines() == [
        "  deploys: 0/4",
        "  deploys: 1/4, about 300 s left",
        "  deploys: 1/4, about 270 s left",
        "  deploys: 1/4, about 200 s left",
        "  deploys: 2/4, about 300 s left",
    ]


def test_of_uneven_steps_no_time_left_is_told(always: None) -> None:
    plain, stream = _plain()
    with plain.track("cells", 4, even=False) as ticker:
        ticker.advance(status="about 3 min left: resnet18")
    assert stream.getvalue() == "  cells: 1/4  about 3 min left: resnet18\n"

    terminal = _Terminal()
    drawn = Console(file=terminal, force_terminal=True, width=120)
    with TerminalProgress(drawn).track("cells", 4, even=False) as ticker:
        ticker.advance(status="time left unknown: resnet18")
    assert "--:--" not in terminal.getvalue()
    assert "time left unknown: resnet18" in terminal.getvalue()


def test_a_status_is_printed_letter_by_letter_in_a_pipe(always: None) -> None:
    plain, stream = _plain()
    with plain.track("loading [bold]", 2) as ticker:
        ticker.advance(status="[red]x")
    assert "loading [bold]: 1/2" in stream.getvalue()
    assert stream.getvalue().endswith("[red]x\n")


@pytest.mark.parametrize("kind", [PlainProgress, TerminalProgress])
def test_a_note_is_a_line_of_its_own_letter_by_letter(kind: type[PlainProgress | TerminalProgress]) -> None:
    stream = io.StringIO()
    kind(Console(file=stream, highlight=False, soft_wrap=True, width=200)).note("[bold]pictures[/bold] are missing")
    assert stream.getvalue() == "  [bold]pictures[/bold] are missing\n"


def test_a_bar_shows_what_is_done_and_its_status_and_vanishes() -> None:
    stream = _Terminal()
    drawn = Console(file=stream, force_terminal=True, width=120)
    with TerminalProgress(drawn).track("training", 4) as ticker:
        ticker.advance(3, status="loss 0.21")
        ticker.advance(status="loss 0.20")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "training" in text
    assert "4/4" in text
    assert "loss 0.20" in text
    assert stream.getvalue().rstrip("\n").endswith("\x1b[2K")  # the last thing is that its line is cleared


def test_a_bar_shows_names_letter_by_letter() -> None:
    stream = _Terminal()
    with TerminalProgress(Console(file=stream, force_terminal=True, width=120)).track(
        "loading net[bold]s", 1
    ) as ticker:
        ticker.advance(status="photos[/x]")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "loading net[bold]s" in text
    assert "photos[/x]" in text


def test_no_escape_sequence_of_a_file_reaches_the_terminal(monkeypatch: pytest.MonkeyPatch, always: None) -> None:
    hostile = "\x1b]0;title\x07\x1b[2Jcat \x9b31m \u202etac é\r"
    stream = _Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    say(hostile, markup=False)
    out_console().print(table(("class", "share"), [(hostile, "1")]))
    plain, lines = _plain()
    plain.note(hostile)
    with plain.track(hostile, 2) as ticker:
        ticker.advance(status=hostile)
    terminal = TerminalProgress(Console(file=stream, force_terminal=True, width=300))
    terminal.note(hostile)
    with terminal.track(hostile, 2) as ticker:
        ticker.advance(status=hostile)
    for told in (stream.getvalue(), lines.getvalue()):
        assert not {"\x07", "\x9b", "\u202e"} & set(told)
        assert not re.search(r"\x1b(\]0|\[2J)", told)
        assert r"\x1b[2Jcat \x9b31m \u202etac é\r" in told
