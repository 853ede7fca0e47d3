"""changes_since in T-SQL says the same as its port, as far as texts can be compared: there is no SQL Server here to ask."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from following import KINDS

pytestmark = pytest.mark.etl

SCHEMAS = Path(__file__).parents[2] / "schemas"
LOGICAL = ("promptads", "promptcrm")

TYPES = {
    "text": "nvarchar",
    "boolean": "bit",
    "bigint": "bigint",
    "int": "int",
    "date": "date",
    "numeric": "decimal(12, 2)",
    "timestamp": "datetime2(3)",
}


def text(logical: str, engine: str, name: str = "50_changes.sql") -> str:
    return (SCHEMAS / logical / engine / name).read_text()


def code(written: str) -> str:
    """Without comments."""
    return re.sub(r"--[^\n]*", "", written)


def declared(logical: str) -> list[tuple[str, str]]:
    """The columns of the port, and their types."""
    (body,) = re.findall(r"changes_since\(p_origin text, p_watermark text\)\nRETURNS TABLE \(\n(.*?)\n\)", text(logical, "postgresql"), re.DOTALL)  # fmt: skip  # noqa: E501
    return [(name, kind) for name, kind in (line.strip().rstrip(",").split() for line in body.splitlines())]


def answers(logical: str) -> list[list[list[str]]]:
    """Of the procedure's two answers the SELECTs, each the list of what it selects."""
    procedure = code(text(logical, "sqlserver")).partition("CREATE PROCEDURE dbo.changes_since")[2]
    found = []
    for answer in re.findall(r"(SELECT\s+CAST\(N'window'.*?;)", procedure, re.DOTALL):
        selects = re.split(r"\n\s+UNION ALL\n", answer)
        found.append([_selected(select) for select in selects])
    return found


def _selected(select: str) -> list[str]:
    listed = re.split(r"\n\s+FROM ", re.sub(r"^\s*SELECT( DISTINCT)?\s", "", select))[0]
    return [" ".join(one.split()) for one in re.split(r",(?![^(]*\))", listed)]


@pytest.mark.parametrize("logical", LOGICAL)
def test_columns_have_the_same_names_order_and_types(logical: str) -> None:
    columns = declared(logical)
    whole, delta = answers(logical)
    assert whole[0] == delta[0]
    assert [one.rpartition(" AS ")[2] for one in whole[0]] == [name for name, _ in columns]
    for (name, kind), selected in zip(columns, whole[0], strict=True):
        if selected.startswith("CAST("):
            written = re.fullmatch(r"CAST\(.* AS (\w+(?:\([\d, ]+\))?)\) AS \w+", selected)
            assert written, selected
            assert re.sub(r"^nvarchar\(\d+\)$", "nvarchar", written[1]) == TYPES[kind], name
        else:
            assert name in ("whole", "origin", "upper_bound")


@pytest.mark.parametrize("logical", LOGICAL)
def test_every_kind_is_answered_whole_changed_and_gone(logical: str) -> None:
    columns = [name for name, _ in declared(logical)]
    whole, delta = answers(logical)
    kinds = [f"N'{kind}'" for kind in KINDS[logical]]
    assert [select[0] for select in whole[1:]] == kinds
    assert [select[0] for select in delta[1:]] == kinds * 2
    assert {len(select) for select in [*whole, *delta]} == {len(columns)}
    flag = columns.index("deleted")
    assert {select[flag] for select in delta[1:4]} == {"CAST(0 AS bit)"}
    assert {select[flag] for select in delta[4:]} == {"CAST(1 AS bit)"}
    assert whole[1:] == delta[1:4]


@pytest.mark.parametrize("logical", LOGICAL)
def test_both_fill_the_same_columns(logical: str) -> None:
    """What a kind leaves NULL it leaves so on both."""
    whole, _ = answers(logical)
    port = code(text(logical, "postgresql"))
    for kind, select in zip(KINDS[logical], whole[1:], strict=True):
        (listed,) = re.findall(rf"SELECT\s+('{kind}', false,.*?)\n\s+FROM", port.partition("RETURN;")[0], re.DOTALL)
        theirs = [" ".join(one.split()) for one in re.split(r",(?![^(]*\))", listed)]
        assert [one.startswith("NULL") for one in theirs] == [one == "NULL" for one in select], kind


@pytest.mark.parametrize("logical", LOGICAL)
def test_each_table_has_its_triggers_on_both(logical: str) -> None:
    ours, port = code(text(logical, "sqlserver")), code(text(logical, "postgresql"))
    for kind in KINDS[logical]:
        assert re.search(rf"CREATE TRIGGER dbo\.\w+ ON dbo\.{kind}\nAFTER DELETE, UPDATE\n", ours)
        for event in ("BEFORE UPDATE", "AFTER UPDATE", "AFTER DELETE", "AFTER TRUNCATE"):
            assert re.search(rf"CREATE TRIGGER \w+ {event} ON {kind}\b", port), (kind, event)


@pytest.mark.parametrize("logical", LOGICAL)
def test_the_lower_bound_is_taken_before_the_snapshot_begins(logical: str) -> None:
    """After it, what is committed between the two would be below the watermark and not in the snapshot: lost."""
    procedure = code(text(logical, "sqlserver")).partition("CREATE PROCEDURE dbo.changes_since")[2]
    steps = (
        "@@TRANCOUNT > 0",
        "MIN_ACTIVE_ROWVERSION()",
        "ISOLATION LEVEL SNAPSHOT",
        "BEGIN TRANSACTION",
        "FROM dbo.etl_origin",
    )
    places = [procedure.index(step) for step in steps]
    assert places == sorted(places)
    assert procedure.count("MIN_ACTIVE_ROWVERSION()") == 1
    assert "@@DBTS" not in procedure


@pytest.mark.parametrize("logical", LOGICAL)
def test_the_role_may_execute_and_the_database_allows_snapshots(logical: str) -> None:
    roles = code(text(logical, "sqlserver", "server/10_roles.sql"))
    granted = re.findall(r"GRANT .*", roles)
    assert [one for one in granted if "_etl" in one] == [f"GRANT EXECUTE ON dbo.changes_since TO {logical}_etl;"]
    assert all(
        re.fullmatch(rf"GRANT SELECT ON dbo\.\w+ TO {logical}_mcp(, {logical}_mcp_steward)?;", one)
        for one in granted
        if "_etl" not in one
    )
    assert "SET ALLOW_SNAPSHOT_ISOLATION ON" in roles


@pytest.mark.parametrize("engine", ["sqlserver", "postgresql"])
@pytest.mark.parametrize("logical", LOGICAL)
def test_nothing_sensitive_is_read(logical: str, engine: str) -> None:
    assert not re.search(r"_cipher|_hash\b|tax_id|email|phone|note\b", code(text(logical, engine)))
