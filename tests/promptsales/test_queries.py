"""Queries by name, and their parameters as the drivers take them."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales import queries
from harness.promptsales.queries import Query, find, known


def postgresql(text: str) -> Query:
    return Query("promptads", "postgresql", "one", text)


def sqlserver(text: str) -> Query:
    return Query("promptads", "sqlserver", "one", text)


def test_examples() -> None:
    assert doctest.testmod(queries).failed == 0


@pytest.mark.parametrize("engine", ["sqlserver", "postgresql"])
@pytest.mark.parametrize("logical", ["promptads", "promptcrm"])
def test_every_query_says_what_it_answers(logical: str, engine: str) -> None:
    found = known(logical, engine)
    assert len(found) > 5
    for query in found:
        assert find(logical, engine, query.name) == query
        assert "?" in query.answers or query.answers.endswith(")"), query.answers


@pytest.mark.parametrize("logical", ["promptads", "promptcrm"])
def test_both_engines_take_the_same_parameters(logical: str) -> None:
    for one, other in zip(known(logical, "sqlserver"), known(logical, "postgresql"), strict=True):
        assert (one.name, set(one.parameters)) == (other.name, set(other.parameters))


def test_where_no_queries_are() -> None:
    assert known("promptads", "postgresql", Path("/nowhere")) == ()


def test_what_looks_like_a_parameter() -> None:
    query = postgresql("SELECT ':a', \":b\", 1::int, $x$ :c $x$, $$ :d $$, /* :e */ :F_1 -- :g\n, :h")
    assert query.parameters == ("F_1", "h")
    query = sqlserver(
        "SELECT '@a', \"@b\", [@c], @@ROWCOUNT, /* @d */ geography::Point(@e, 1, 4326) -- @f\n, 'it''s @g'"
    )
    assert query.parameters == ("e",)


def test_psycopg_reads_it_as_meant(promptads_db: Database) -> None:
    query = postgresql("-- 100 %: why? :no\nSELECT 7 % :a, '%(a)s %', :b::text, :a::int")
    sql, values = query.bind(a=4, b="'; DROP")
    assert promptads_db.connect().execute(sql, values).fetchone() == (3, "%(a)s %", "'; DROP", 4)
    sql, values = postgresql("-- no parameter\nSELECT '%', 5 % 3").bind()
    assert promptads_db.connect().execute(sql, values).fetchone() == ("%", 2)


def test_pyodbc_gets_values_in_the_order_of_the_marks() -> None:
    query = sqlserver("-- Which?\nSELECT @b, '?', @a /* ? */, @b")
    assert query.bind({"a": 1}, b=2) == ("SELECT ?, '?', ?  , ?", [2, 1, 2])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"client_idd": 1, "depth": 2}, "has no parameter 'client_idd', did you mean 'client_id'"),
        (
            {"client_id": 1},
            "the query referral_chain of promptcrm on postgresql needs depth; it takes client_id, depth",
        ),
        ({}, "needs client_id, depth"),
    ],
)
def test_wrong_parameters(values: dict[str, int], message: str) -> None:
    with pytest.raises(DataError) as caught:
        find("promptcrm", "postgresql", "referral_chain").bind(values)
    assert message in str(caught.value)


def test_values_of_a_query_that_takes_none() -> None:
    with pytest.raises(DataError, match="has no parameter 'a'; it takes none"):
        find("promptads", "sqlserver", "unmeasured_budgets").bind(a=1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ("promptads", "postgresql", "cost_band"),
            "no query 'cost_band', did you mean 'cost_bands'?; there are: active_campaigns, ads_about,",
        ),
        (("promptad", "postgresql", "x"), "there is no database 'promptad', did you mean 'promptads'?"),
        (("promptads", "mongodb", "x"), "there is no engine with queries in SQL 'mongodb': postgresql, sqlserver"),
        (("promptads", "postgresql", "../10_tables"), "no query '../10_tables'"),
    ],
)
def test_what_there_is_not(asked: tuple[str, str, str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        find(*asked)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [b"SELECT 1", b"--\nSELECT 1", b"-- \xff\nSELECT 1"])
def test_a_file_that_is_none(tmp_path: Path, text: bytes) -> None:
    folder = tmp_path / "promptads" / "postgresql" / "queries"
    folder.mkdir(parents=True)
    (folder / "bad.sql").write_bytes(text)
    with pytest.raises(DataError, match=r"bad\.sql"):
        find("promptads", "postgresql", "bad", tmp_path)
