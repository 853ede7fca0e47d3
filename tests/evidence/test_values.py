from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.evidence.values import key, meets, same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (100, "100.00"),
        (100, Decimal("1E+2")),
        (0.1, "0.10"),
        (-0.0, 0),
        (True, 1),
        (False, "0"),
        ("a", "a"),
        (None, None),
        ([1, "a", None], ["1.0", "a", None]),
        ({"a": 1, "b": [2]}, {"b": ["2"], "a": "1"}),
    ],
)
def test_same(one: Any, other: Any) -> None:
    assert same(one, other)
    assert same(other, one)
    assert hash(key(one)) == hash(key(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, "None"),
        (None, 0),
        ("", 0),
        ("a", "A"),
        ("true", True),
        ([1], 1),
        ([1], [1, 2]),
        ([], None),
        ({"a": 1}, {"a": 2}),
        ("nan", 0),
        (10**40, 10**40 + 1),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345679"),
    ],
)
def test_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)


def test_a_huge_exponent_is_no_trouble() -> None:
    assert not same("1e999999", "1e999998")


@pytest.mark.parametrize(
    ("value", "wanted", "answer"),
    [
        (5, 5, True),
        (5, "< 6", True),
        ("5", "<= 5", True),
        (5, "> limit", False),
        (5, "!= limit", True),
        (5, "== limit - 2", True),
        ("a", "a", True),
        ("a", "< 5", False),
        (None, "< 5", False),
        (None, "!= 5", True),
        ("a", "== 'a'", True),
    ],
)
def test_meets(value: Any, wanted: Any, answer: bool) -> None:
    assert meets(value, wanted, {"limit": 7}) is answer


def test_a_relation_that_cannot_be_computed() -> None:
    with pytest.raises(ScenarioError, match="cannot compute"):
        meets(5, "< nobody", {})
