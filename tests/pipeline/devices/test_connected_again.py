"""What a device that lasts does about a lost connection, and about what was changed there meanwhile; without SSH."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from benchmarks.machine.disturbance import MachineState
from pipeline.devices.device import Device
from pipeline.devices.entries import DeviceEntry
from pipeline.devices.facts import DeviceFacts
from pipeline.devices.there.examination import examine
from pipeline.environment import any_machine
from pipeline.errors import DeviceError
from pipeline.progress import SilentProgress

_LOST = DeviceError("the connection was lost", where="board")


class _Link:
    """Is lost as soon as it is asked so often."""

    def __init__(self, answers: int = 1000) -> None:
        self.left, self.is_gone = answers, False
        self.asked: list[str] = []

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(message["ask"])
        if not self.left:
            self.is_gone = True
            raise _LOST
        self.left -= 1
        return {"holder": None}


class _Board(Device):
    """Connected to the links and the facts that it is given, one after the other."""

    def __init__(self, links: list[_Link], facts: list[DeviceFacts], *, lasting: bool = True) -> None:
        super().__init__("board", DeviceEntry(address="ssh://board"), SilentProgress(), lasting=lasting)
        self.links, self.next_facts = links, facts

    def __enter__(self) -> Self:
        self._link: Any = self.links.pop(0)  # type: ignore[assignment]
        self.facts = self.next_facts.pop(0)
        return self


@pytest.fixture
def facts(tmp_path: Path) -> DeviceFacts:
    """Of a board whose governor holds its clocks."""
    return replace(DeviceFacts.of(examine(tmp_path)), governors=("performance",))


def test_a_connection_that_turns_out_to_be_lost_as_the_turn_is_asked_for_is_made_again(facts: DeviceFacts) -> None:
    lost, anew = _Link(answers=0), _Link()
    with _Board([lost, anew], [facts] * 2) as board, board.one_at_a_time():
        assert anew.asked == ["take_turn"]
    assert (lost.asked, anew.asked) == (["take_turn"], ["take_turn", "give_turn_back"])


def test_it_ends_the_run_where_it_does_not_last_or_is_lost_while_something_is_measured(facts: DeviceFacts) -> None:
    with (
        _Board([_Link(answers=0)], [facts], lasting=False) as board,
        pytest.raises(DeviceError, match="the connection was lost"),
        board.one_at_a_time(),
    ):
        pass
    with _Board([_Link(answers=1), _Link()], [facts] * 2) as board:
        with pytest.raises(DeviceError, match="the connection was lost"), board.one_at_a_time():
            board._link.ask({"ask": "work"})
        assert len(board.links) == 1


@pytest.mark.parametrize("changed", ["governors", "machine", "versions", "python"])
def test_what_was_changed_while_it_was_not_connected_is_not_kept_as_of_before(facts: DeviceFacts, changed: str) -> None:
    others: dict[str, Any] = {
        "governors": ("ondemand",), "machine": any_machine("aarch64"), "versions": {"numpy": "1.0"}, "python": "3.9.0",
    }  # fmt: skip
    with (
        _Board([_Link(answers=0), _Link()], [facts, replace(facts, **{changed: others[changed]})]) as board,
        pytest.raises(DeviceError, match="another machine answers") as raised,
        board.one_at_a_time(),
    ):
        pass
    told = (raised.value.got or "", raised.value.expected or "")
    assert told[0] != told[1]
    assert [" under ondemand" in one for one in told] == [changed == "governors", False]


def test_what_was_measured_under_another_governor_than_it_would_be_kept_under_is_refused(
    facts: DeviceFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = MachineState(pressure=None, others=None, steal=None, load=None, mhz=None)

    def found(governor: str) -> dict[str, Any]:
        (tmp_path / "result.json").write_text(json.dumps({"samples_ns": [1]}))
        told = {"celsius": [], "held_back": [], "governors": [governor], "state": state.to_json()}
        return {"file": tmp_path / "result.json", **told}

    answers = [found("performance")]
    with _Board([_Link()], [facts]) as board:
        monkeypatch.setattr(board, "_work", lambda *_, **__: answers.pop())
        result, _ = board._measured("a.worker", {"affinity": []}, {})
        assert result["samples_ns"] == [1]

        answers.append(found("ondemand"))
        with pytest.raises(DeviceError, match="its governor was changed while it was measured") as raised:
            board._measured("a.worker", {"affinity": []}, {})
    assert raised.value.got == "ondemand"
    assert not (tmp_path / "result.json").exists()
