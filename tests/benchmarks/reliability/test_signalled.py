"""That a run which does not end as promised by a signal is counted."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.reliability import signalled as module
from benchmarks.reliability.campaign import SMALLEST, Campaign, Sound
from benchmarks.reliability.signalled import signalled
from benchmarks.reliability.tiny_job import TinyJob

if TYPE_CHECKING:
    from pathlib import Path

_LINE = "interrupted; finished stages are kept, the same command goes on from there\n"
_PYTHONS = 'Traceback (most recent call last):\n  File "<frozen site>", line 617, in main\nKeyboardInterrupt\n'


class _Runs:
    """Goes on until it gets a signal, which ends it with a code and some words; or ends by itself."""

    pid = 0

    def __init__(self, code: int, err: str, *, by_itself: bool = False, done: bool = False) -> None:
        self.returncode: int | None = None
        self._code, self._err, self._ends = code, err, by_itself
        self._out = "  bundle sha256 sound\n" if by_itself or done else "baseline\n"

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        if not self._ends:
            raise subprocess.TimeoutExpired("deploy", timeout or 0)
        self.returncode = self._code
        return self._out, self._err

    def send_signal(self, _: signal.Signals) -> None:
        self._ends = True


class _Chance:
    def __init__(self, share: float) -> None:
        self._share = share

    def uniform(self, low: float, high: float) -> float:
        return low + self._share * (high - low)


def _signalled(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: _Runs,
    *,
    share: float = 0.9,
    alive: tuple[int, ...] = (),
    after: str | None = None,
) -> tuple[list[str], list[str]]:
    """Failures and notes of a run that gets SIGINT, and of one more that ends well where the first was no try."""
    runs = iter([run, _Runs(130, _LINE)])
    paper = Campaign(job=TinyJob(folder=tmp_path), digest="", wall_s=1.0, seed=1)
    monkeypatch.setattr(module, "_SIGNALS", (signal.SIGINT,))
    monkeypatch.setattr(module, "_SOON_S", 0.01)
    monkeypatch.setattr(module, "_PYTHON_STARTS_S", 0.0)
    monkeypatch.setattr(module, "_alive", lambda _: list(alive))
    monkeypatch.setattr(module.os, "killpg", lambda *_: None)
    monkeypatch.setattr(TinyJob, "deploy", lambda *_: next(runs))
    monkeypatch.setattr(Campaign, "deploy", lambda *_: next(runs))
    monkeypatch.setattr(Campaign, "chance", lambda *_: _Chance(share))
    monkeypatch.setattr(Campaign, "failure_of_next", lambda *_: after)
    monkeypatch.setattr(Campaign, "left_temporary", lambda _: None)
    found = signalled(replace(paper, sounds={SMALLEST: Sound(digest="sound", wall_s=1.0)}), 1)
    assert found.tries == 1
    return [failure.partition(" s: ")[2] for failure in found.failures], found.notes


@pytest.mark.parametrize(
    ("run", "failures"),
    [
        (_Runs(130, _LINE), []),
        (_Runs(130, f"  training resnet18: 1/2\n{_LINE}"), []),
        (_Runs(0, _LINE), [f"exit code 0, said {_LINE!r}"]),
        (_Runs(130, ""), ["exit code 130, said ''"]),
        (_Runs(-2, ""), ["exit code -2, said ''"]),
        (_Runs(-2, _PYTHONS), [f"exit code -2, said {_PYTHONS!r}"]),
    ],
)
def test_a_run_that_ends_otherwise_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: _Runs, failures: list[str]
) -> None:
    assert _signalled(tmp_path, monkeypatch, run) == (failures, [])


def test_a_signal_before_python_has_read_the_command_ends_it_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = ["1 of 1 signals came before Python had read the command"]
    assert _signalled(tmp_path, monkeypatch, _Runs(-2, ""), share=0.1) == ([], noted)
    (failure,), _ = _signalled(tmp_path, monkeypatch, _Runs(-2, _PYTHONS), share=0.1)
    assert "Traceback" in failure


def test_a_signal_when_all_is_done_ends_it_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = ["1 of 1 came when all was done and Python was about to end"]
    assert _signalled(tmp_path, monkeypatch, _Runs(-2, "", done=True)) == ([], noted)


def test_children_that_live_on_and_a_next_run_that_goes_wrong_are_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = _signalled(tmp_path, monkeypatch, _Runs(130, _LINE), alive=(7,))
    assert found == ["children live on: [7]"]
    found, _ = _signalled(tmp_path, monkeypatch, _Runs(130, _LINE), after="the next run is another")
    assert found == ["the next run is another"]


def test_a_run_that_ends_before_its_signal_has_to_end_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ["1 more runs had ended before their signal"]
    assert _signalled(tmp_path, monkeypatch, _Runs(0, "", by_itself=True)) == ([], more)
    ended = _signalled(tmp_path, monkeypatch, _Runs(70, "a defect", by_itself=True))
    assert ended == (["a run ended with 70: a defect"], [])
