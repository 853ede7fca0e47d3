from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import Location
from harness.scenario.source import parse

FILE = Path("x.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("017", "017"),  # a code, not octal
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),  # YAML 1.1 would say 750
        ("2026-11-24", "2026-11-24"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".", "."),
        ("40P01", "40P01"),
        ("'5'", "5"),
    ],
)
def test_core_types(written: str, value: Any) -> None:
    made = parse(f"key: {written}\n", FILE).data["key"]
    assert made == value
    assert type(made) is type(value)


def test_on_is_a_key() -> None:
    assert parse("on: ads\nyes: 1\n5: x\n", FILE).data == {"on": "ads", "yes": 1, "5": "x"}


def test_places_are_those_of_keys_and_items() -> None:
    source = parse("a:\n  b: {c: 1}\n  d:\n    - x\n    - y\n", FILE)
    assert source.locate(("a",)) == Location(FILE, 1, 1)
    assert source.locate(("a", "b", "c")) == Location(FILE, 2, 7)
    assert source.locate(("a", "d", 1)) == Location(FILE, 5, 7)


def test_what_is_not_there_is_located_at_what_holds_it() -> None:
    source = parse("a:\n  b: 1\n", FILE)
    assert source.locate(("a", "b", "c", 5)) == Location(FILE, 2, 3)
    assert source.locate(("z",)) == Location(FILE, 1, 1)


def test_an_alias_is_a_value_of_its_own() -> None:
    assert parse("a: &a {x: 1}\nb: *a\n", FILE).data == {"a": {"x": 1}, "b": {"x": 1}}
