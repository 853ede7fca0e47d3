from __future__ import annotations

import pytest

from harness.answers import ErrorKind, ErrorRecord
from harness.load.policy import Refused, RetryPolicy


@pytest.mark.parametrize(
    "kind", [ErrorKind.deadlock, ErrorKind.serialization, ErrorKind.conflict, ErrorKind.lock_timeout]
)
def test_a_refusal_is_tried_again_as_often_as_said(kind):
    policy = RetryPolicy(tries=3)
    assert [policy.again(kind, tried) for tried in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize("kind", [ErrorKind.constraint, ErrorKind.connection, ErrorKind.cancelled, ErrorKind.other])
def test_what_would_fail_again_is_not(kind):
    assert not RetryPolicy().again(kind, 1)


def test_waits_grow_to_the_most_and_are_drawn():
    policy = RetryPolicy(first=0.01, most=0.05)
    for tried, most in ((1, 0.01), (2, 0.02), (3, 0.04), (4, 0.05), (30, 0.05)):
        drawn = [policy.wait(tried) for _ in range(200)]
        assert 0 <= min(drawn) < most / 4
        assert most * 3 / 4 < max(drawn) <= most


def test_a_refusal_says_what_it_was():
    refused = Refused(ErrorRecord(ErrorKind.deadlock, "40P01", "deadlock detected"))
    assert str(refused) == "deadlock (40P01): deadlock detected"
