"""A graph that would take all memory is given up in one sentence, and nothing stays limited."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pipeline.errors import EdgewrightError, ResourceError
from pipeline.pruning.channel_groups import _unprunable
from pipeline.pruning.memory_limit import limited_memory, of_little_memory


def test_too_much_is_one_sentence_and_the_limit_goes() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(EdgewrightError, match="cannot be pruned") as raised, limited_memory(64 << 20):
        bytearray(1 << 30)
    assert "depend on each other takes more than" in str(raised.value.got)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert len(bytearray(256 << 20)) == 256 << 20


@pytest.mark.parametrize("lacking", [MemoryError, SystemError("error return without exception set")])
def test_a_tighter_limit_of_the_user_s_own_says_nothing_of_the_network(lacking: Exception | type[Exception]) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (64 << 20), before[1]))
    try:
        with pytest.raises(ResourceError, match="memory ran out") as raised, limited_memory(8 << 30):
            raise lacking
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert "MiB of address space" in str(raised.value.got)


def test_what_python_could_not_read_for_want_of_memory_says_nothing_of_the_network() -> None:
    unread = OSError("could not get source code")
    assert of_little_memory(unread) is None
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, before[1]))
    try:
        assert isinstance(_unprunable(unread), ResourceError)
        assert "could not get source code, with a limit of 1048576 MiB" in str(_unprunable(unread).got)
        assert not isinstance(_unprunable(KeyError("x")), ResourceError)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert "cannot be pruned" in str(_unprunable(unread))


def test_what_fits_is_left_alone() -> None:
    with limited_memory(1 << 30):
        assert len(bytearray(64 << 20)) == 64 << 20


def test_other_errors_pass_and_the_limit_goes_too() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(KeyError), limited_memory():
        raise KeyError
    assert resource.getrlimit(resource.RLIMIT_AS) == before
