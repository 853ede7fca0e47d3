"""Work that is done while a server is waited for."""

from __future__ import annotations

import socket
from functools import partial

import pytest

from harness.runner.meanwhile import Meanwhile


def test_works_are_done_while_nothing_is_there_and_not_when_something_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done: list[str] = []
        meanwhile = Meanwhile()
        meanwhile.later(partial(done.append, "a"), partial(theirs.send, b"."), partial(done.append, "b"))
        assert list(meanwhile.readable([ours.fileno()], 5)) == [ours.fileno()]
        assert done == ["a"]  # then the socket had something, and that is more urgent
        meanwhile.finish()
        assert done == ["a", "b"]


def test_what_a_work_raises_is_raised_and_the_next_ones_are_kept() -> None:
    done: list[str] = []
    meanwhile = Meanwhile()
    meanwhile.later(partial(int, "no number"), partial(done.append, "next"))
    with pytest.raises(ValueError, match="no number"):
        meanwhile.finish()
    meanwhile.finish()
    assert done == ["next"]
