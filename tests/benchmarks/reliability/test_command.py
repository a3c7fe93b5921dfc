"""The command ``make reliability``: which campaigns it makes, what it prints, and the figures that it writes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.reliability import __main__ as command
from benchmarks.reliability.outcome import NotPossibleHereError, Outcome, timed
from benchmarks.reliability.published import BEGIN, END, Figures, made_by, publish, rendered

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign


def _begun(paper: Campaign) -> object:
    """In the place of ``begin``."""

    @contextmanager
    def begun(_folder: Path, _seed: int, shown: object) -> Iterator[Campaign]:
        yield replace(paper, shown=shown)

    return begun


def _hold(campaign: Campaign, _tries: int) -> Outcome:
    with timed("It holds", campaign.shown) as outcome:
        outcome.tried()
    return outcome


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with a place for figures."""
    path = tmp_path / "page.md"
    path.write_text(f"before\n\n{BEGIN}\nwritten before\n{END}\n\nafter\n", encoding="utf-8")
    return path


def test_a_campaign_that_cannot_be_made_here_is_left_out(
    paper: Campaign, page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_campaign: Campaign, _tries: int) -> Outcome:
        raise NotPossibleHereError("there is no strace here")

    monkeypatch.setattr(command, "CAMPAIGNS", {"one": (1, _hold), "two": (1, refuse)})
    monkeypatch.setattr(command, "begin", _begun(paper))
    assert command.main(["--page", str(page)]) == 0
    assert "two: left out, there is no strace here" in capsys.readouterr().out
    assert "Left out: two." in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("failures", "code"), [([], 0), (["lost"], 1)])
def test_any_failure_ends_the_command_with_1(
    paper: Campaign,
    page: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failures: list[str],
    code: int,
) -> None:
    asked: list[int] = []

    def run(campaign: Campaign, tries: int) -> Outcome:
        asked.append(tries)
        outcome = Outcome(promise="It holds", tries=tries, failures=failures)
        campaign.shown(outcome)
        return outcome

    monkeypatch.setattr(command, "CAMPAIGNS", {"one": (50, run)})
    monkeypatch.setattr(command, "begin", _begun(paper))
    assert command.main(["--share", "0.1", "--only", "one", "--page", str(page)]) == code
    assert command.main(["--tries", "one=2", "--page", str(page)]) == code
    assert asked == [5, 2]
    assert "| It holds | 2 |" in page.read_text(encoding="utf-8")
    assert [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")] == 2 * failures


def test_a_campaign_that_breaks_off_is_a_failure_and_the_others_are_made(
    paper: Campaign, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(campaign: Campaign, _tries: int) -> Outcome:
        with timed("It breaks", campaign.shown) as outcome:
            outcome.tried()
            raise ValueError("no report")
        return outcome

    monkeypatch.setattr(command, "CAMPAIGNS", {"one": (1, break_off), "two": (1, _hold)})
    monkeypatch.setattr(command, "begin", _begun(paper))
    assert command.main(["--page", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert "| It breaks | 1 | 1 |" in text
    assert "| It holds | 1 | 0 |" in text


def test_a_run_that_is_ended_leaves_what_was_tried(
    paper: Campaign, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_ended(campaign: Campaign, _tries: int) -> Outcome:
        with timed("It holds", campaign.shown) as outcome:
            outcome.tried()
            signal.raise_signal(signal.SIGTERM)
        return outcome

    monkeypatch.setattr(command, "CAMPAIGNS", {"one": (1, be_ended)})
    monkeypatch.setattr(command, "begin", _begun(paper))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left:
        command.main(["--page", str(page)])
    assert signal.getsignal(signal.SIGTERM) == before
    assert left.value.code == 128 + signal.SIGTERM
    text = page.read_text(encoding="utf-8")
    assert "| It holds | 1 | 0 |" in text
    assert "Ended before one was through." in text


@pytest.mark.parametrize("typed", ["killed", "killed=0", "killed=x", "kiled=1"])
def test_no_number_of_tries_is_refused(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.main(["--tries", typed])
    assert left.value.code == 2
    assert "NAME=N" in capsys.readouterr().err


def test_the_figures_go_between_the_markers(page: Path) -> None:
    outcome = Outcome(promise="It holds", tries=7, failures=["x"], seconds=61.0)
    publish(page, rendered([outcome], seed=3, made="edgewright 1", wall_s=90.0))
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n\n{BEGIN}\n| promise |")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "| It holds | 7 | 1 | 61 |" in text
    assert "edgewright 1, seed 3: 7 tries, 1 failures, 1.5 minutes, 1.0 of them within the campaigns." in text
    assert "written before" not in text


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the figures"):
        publish(tmp_path / "page.md", "table")


def test_the_published_page_has_its_place_for_figures() -> None:
    text = command._PAGE.read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)


def test_campaigns_that_were_left_out_are_named() -> None:
    assert rendered([], seed=0, made="x", wall_s=0.0, untried=["two", "one"]).endswith("Left out: one, two.")


def test_notes_stand_below_the_figures() -> None:
    table = rendered([Outcome(promise="It holds", notes=["passed, one thing"])], seed=0, made="x", wall_s=0.0)
    assert table.endswith("Told besides:\n\n- passed, one thing")


def test_failures_are_listed_a_line_each() -> None:
    table = rendered([Outcome(promise="It holds", failures=["one:\n  two", "three"])], seed=0, made="x", wall_s=0.0)
    assert table.endswith("Failed:\n\n- one: two\n- three")


@pytest.mark.parametrize(("ended_s", "told"), [(2400.0, "40.0 minutes"), (2460.0, "41.0 minutes")])
def test_the_minutes_are_those_of_the_clock_and_too_many_are_told(page: Path, ended_s: float, told: str) -> None:
    times = iter([0.0, ended_s])
    figures = Figures(made="x", seed=0, campaigns=["one"], page=page, clock=lambda: next(times))
    with figures.during("one"):
        figures.now(Outcome(promise="It holds", seconds=60.0))
    text = page.read_text(encoding="utf-8")
    assert f" {told}, 1.0 of them within the campaigns." in text
    assert ("longer than the 40 minutes" in text) == (ended_s > 2400.0)


class _ToldError(Exception):
    """In the place of a campaign, which first says what it is to hold."""


def _promise(paper: Campaign, name: str) -> str:
    def shown(outcome: Outcome) -> None:
        raise _ToldError(outcome.promise)

    with pytest.raises(_ToldError) as told:
        command.CAMPAIGNS[name][1](replace(paper, shown=shown), 1)
    return str(told.value)


def test_the_published_page_has_a_row_for_each_campaign_that_was_not_left_out(paper: Campaign) -> None:
    table = command._PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    _, _, left_out = table.partition(" Left out: ")
    untried = left_out.partition(".")[0].split(", ")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]
    assert rows[1:] == [_promise(paper, name) for name in command.CAMPAIGNS if name not in untried]


def test_the_figures_name_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other"
    for file in (page, other):
        file.write_text("x", encoding="utf-8")
    assert "commit" not in made_by(page)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "x"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    page.write_text("the figures themselves", encoding="utf-8")
    assert f" at commit {head[:12]}, on " in made_by(page)
    other.write_text("changed", encoding="utf-8")
    assert f" at commit {head[:12]} with changes, on " in made_by(page)
