"""The client's end of the wire, with pipes in the place of an agent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.devices.link import Link
from pipeline.errors import DeviceError

_ANSWER = b'{"ok": 1, "body": 3}\nabc'


class _Agent:
    """Says what it is told to; what is asked is not read."""

    def __init__(self) -> None:
        self.source, self._says = os.pipe()
        self._asked, self.sink = os.pipe()
        self.was_cut = False

    def say(self, data: bytes) -> None:
        os.write(self._says, data)

    def cut(self) -> None:
        self.was_cut = True

    def end(self) -> None:
        for handle in (self.source, self._says, self._asked, self.sink):
            os.close(handle)


@pytest.fixture
def agent() -> Iterator[_Agent]:
    """Of pipes that are closed at the end."""
    found = _Agent()
    yield found
    found.end()


@pytest.fixture
def link(agent: _Agent) -> Iterator[Link]:
    """To the agent, which has greeted."""
    agent.say(b'{"agent": "code"}\n')
    found = Link("board", agent.source, agent.sink, agent.cut, lambda: "")
    found.greet("code")
    yield found
    found.close()
    agent.say(b"no message\n")  # ends the thread that reads, before its pipe is closed
    found._reader.join(10)
    assert not found._reader.is_alive()


def test_an_answers_file_is_closed_once_it_is_there(agent: _Agent, link: Link) -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = handles()
    for _ in range(5):
        agent.say(_ANSWER)
        assert link.ask({"ask": "work"})["file"].read_bytes() == b"abc"
    assert handles() == before


@pytest.mark.parametrize("nonsense", [b"3\n", b'{"body": "many"}\nx'])
def test_whatever_cannot_be_read_is_told_rather_than_waited_for(agent: _Agent, link: Link, nonsense: bytes) -> None:
    agent.say(nonsense)
    with pytest.raises(DeviceError, match="the connection was lost") as raised:
        link.ask({"ask": "facts"})
    assert raised.value.got is not None
    assert raised.value.got.startswith("what came could not be read here: TypeError(")
    assert (agent.was_cut, link.is_gone) == (True, True)
