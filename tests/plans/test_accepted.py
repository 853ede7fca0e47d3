"""Accepted shapes: what is in them, what differs, what is said and not failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.plans.accepted import accept, hold, shape, tree

from .making import over, plan, scan, seek

BEFORE, AFTER = plan(over("Sort", scan(rows=5))), plan(seek())


def test_a_shape_has_no_numbers() -> None:
    made = shape(over("Sort", seek(rows=7, own_milliseconds=3.5, detail="(id = 5)")))
    assert made == {
        "operator": "Sort",
        "children": [{"operator": "Index Scan", "access": "seek", "object": "client", "index": "ix"}],
    }


def test_what_nobody_has_accepted_is_said_and_then_held(tmp_path: Path) -> None:
    file = tmp_path / "accepted" / "crm" / "near.json"
    first = hold(file, "PostgreSQL 18", BEFORE, AFTER)
    assert not first.wrong
    assert "--plans-accept" in first.said
    assert accept(file, "PostgreSQL 18", BEFORE, AFTER)
    assert not accept(file, "PostgreSQL 18", BEFORE, AFTER)  # nothing new
    again = hold(file, "PostgreSQL 18", BEFORE, AFTER)
    assert (again.wrong, again.said) == ((), "")


def test_other_rows_and_times_are_the_same_shape_and_another_index_is_not(tmp_path: Path) -> None:
    file = tmp_path / "near.json"
    accept(file, "PostgreSQL 18", BEFORE, AFTER)
    assert not hold(file, "PostgreSQL 18", plan(over("Sort", scan(rows=9000))), AFTER).wrong
    (wrong,) = hold(file, "PostgreSQL 18", BEFORE, plan(over("Sort", scan()))).wrong
    assert wrong.startswith("after: the plan has another shape than the accepted one")
    assert (
        "accepted (PostgreSQL 18):\n  Index Scan on client by ix (seek)\ntoday:\n  Sort\n    Seq Scan on client (scan)"
        in wrong
    )


def test_another_version_is_said_not_failed_and_kept_beside(tmp_path: Path) -> None:
    file = tmp_path / "near.json"
    accept(file, "PostgreSQL 18", BEFORE, AFTER)
    held = hold(file, "PostgreSQL 19", BEFORE, BEFORE)
    assert not held.wrong
    assert held.said == "not compared: accepted are shapes of PostgreSQL 18, this is PostgreSQL 19"
    accept(file, "PostgreSQL 19", BEFORE, BEFORE)
    assert sorted(json.loads(file.read_text("utf-8"))) == ["PostgreSQL 18", "PostgreSQL 19"]
    assert not hold(file, "PostgreSQL 18", BEFORE, AFTER).wrong


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 5}'])
def test_a_file_that_is_none_of_ours_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "near.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="not accepted shapes") as caught:
        hold(file, "PostgreSQL 18", BEFORE, AFTER)
    assert "\n" not in str(caught.value)


def test_a_tree_for_people() -> None:
    assert tree(shape(over("Sort", scan()))) == "  Sort\n    Seq Scan on client (scan)"
    assert tree(None) == "  none"
