"""The schema as an assistant reads it: every column that a database has, and no table that says nothing of the business."""

from __future__ import annotations

import re

import pytest

from fixtures.databases import Database
from harness.errors import DataError
from harness.mcp.schema_text import INNER, schema_text

pytestmark = pytest.mark.mcp


def tables(text: str) -> dict[str, list[str]]:
    """Table to columns, out of the Markdown."""
    found: dict[str, list[str]] = {}
    for part in text.split("\n## ")[1:]:
        rows = re.findall(r"^\| (\w+) \|", part, re.MULTILINE)
        found[part.split("\n", 1)[0]] = [name for name in rows if name != "column"]
    return found


@pytest.mark.parametrize("logical", ["promptads", "promptcrm", "promptsales"])
def test_it_has_every_column(logical: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(f"{logical}_db")
    there: dict[str, list[str]] = {}
    for table, column in database.connect().execute(
        "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped "
        "ORDER BY c.relname, a.attnum"
    ):
        there.setdefault(table, []).append(column)
    there = {name: columns for name, columns in there.items() if name not in INNER}
    for engine in ("postgresql", "sqlserver") if logical != "promptsales" else ("postgresql",):
        found = tables(schema_text(logical, engine))
        assert set(found) <= set(there)
        assert {name: there[name] for name in found} == found
        if logical != "promptsales":
            assert set(found) == set(there)


def test_what_is_said_of_a_table() -> None:
    text = schema_text("promptcrm", "sqlserver")
    assert text.startswith("# The tables of promptcrm (SQL Server)\n\n## city\n")
    assert "| city_id | int |  | → city.id |" in text
    assert "| retired_at | datetime2(3) | yes |  |" in text
    assert "| sold_on | date |  |  |" in text
    assert "- `CHECK (total >= 0)`" in text
    assert "The keys under which sensitive columns are encrypted." in text
    assert "seed_range" not in text
    assert len(text) < 10_000


def test_a_database_without_one() -> None:
    with pytest.raises(DataError, match="there is no schema of cache"):
        schema_text("cache", "postgresql")
