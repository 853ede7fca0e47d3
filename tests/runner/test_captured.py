"""Values that a step's answer gives to items."""

from __future__ import annotations

import pytest

from harness.answers import ResultSet
from harness.runner.driver import captured

EXEC = [ResultSet(columns=["exec"], rows=[["OK"], ["20"], [None]])]


@pytest.mark.parametrize(
    ("column", "value"),
    [("2", "20"), ("1", "OK"), ("3", None), ("4", None), ("0", None), ("", ["OK", "20", None])],
    ids=["second", "first", "nil", "beyond", "before", "all"],
)
def test_of_several_answers_a_number_chooses_one(column: str, value: object) -> None:
    assert captured({"budget": column}, EXEC) == {"budget": value}


def test_a_column_whose_name_is_a_number_is_that_column() -> None:
    one = [ResultSet(columns=["2"], rows=[["a"], ["b"]])]
    assert captured({"x": "2"}, one) == {"x": ["a", "b"]}
    two = [ResultSet(columns=["1", "2"], rows=[["a", "b"]])]
    assert captured({"x": "2"}, two) == {"x": "b"}
