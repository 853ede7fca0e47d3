"""Files of pairs: what they may say, and every mistake with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from jsonschema import Draft202012Validator

import harness
from harness.engines.plans_base import Change
from harness.errors import ScenarioError
from harness.plans.declared import Declared, change_text, mismatches
from harness.plans.load import load
from harness.plans.statements import has_query, shown_statement, statement_for
from harness.plans.written import ExpectWritten, schema
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.source import parse, read
from harness.schemas import PROMPTSALES

from .making import over, plan, scan, seek

ROOT = Path(harness.__file__).parent.parent
FILES = sorted(file for file in (ROOT / "scenarios").rglob("*.yaml") if kind_of(file) is Kind.plans)
VALIDATOR = Draft202012Validator(schema())

GOOD = """
title: Clients
database: promptcrm
plans:
  near:
    query: clients_near
    parameters: {latitude: 1, longitude: 2, km: 3, places: 4}
    before: drop ix_client_place
    after: none
    expect:
      postgresql: {on: client, before: scan, after: {access: seek, index: ix_client_place}, buffers: '< 0.5'}
"""


def loaded(tmp_path: Path, text: str) -> list[Declared]:
    file = tmp_path / "pairs.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_a_pair(tmp_path: Path) -> None:
    (near,) = loaded(tmp_path, GOOD)
    assert (near.name, near.logical, near.data, near.runs, near.title) == ("near", "promptcrm", "small", 7, "Clients")
    assert near.change(0, "postgresql") == Change(("ix_client_place",))
    assert not near.change(1, "postgresql")
    assert change_text(near.change(0, "sqlserver")) == "without ix_client_place"


def test_values_are_bound_as_each_engine_has_them(tmp_path: Path) -> None:
    (near,) = loaded(tmp_path, GOOD)
    postgresql, sqlserver = (statement_for(near, engine, PROMPTSALES) for engine in ("postgresql", "sqlserver"))
    assert "CAST($1 AS double precision)" in str(postgresql.body)
    assert postgresql.parameters == (1, 2, 3, 4)
    assert str(sqlserver.body).count("?") == len(sqlserver.parameters) == 4
    assert sqlserver.parameters[0] == 4  # TOP (@places) comes first
    assert shown_statement(near, "postgresql", PROMPTSALES).startswith("-- Which clients are within")


def test_a_percent_sign_and_a_parameter_used_twice(tmp_path: Path) -> None:
    text = """
title: x
database: promptcrm
plans:
  one:
    query: {postgresql: "SELECT id % 2 FROM client WHERE name LIKE 'a%' AND (id = :id OR city_id = :id)"}
    parameters: {id: 5}
    before: drop ix_client_place
"""
    (one,) = loaded(tmp_path, text)
    made = statement_for(one, "postgresql", PROMPTSALES)
    assert made.body == "SELECT id % 2 FROM client WHERE name LIKE 'a%' AND (id = $1 OR city_id = $1)"
    assert made.parameters == (5,)
    assert has_query(one, "sqlserver", PROMPTSALES) == "the query says nothing for sqlserver, where promptcrm is here"


def test_changes_in_all_their_forms(tmp_path: Path) -> None:
    text = GOOD.replace(
        "before: drop ix_client_place",
        "before: {postgresql: ['drop ix_client_place, ix_client_city_id', ANALYZE client], sqlserver: none}",
    ).replace("after: none", "after: CREATE INDEX ix_new ON client (name)")
    (near,) = loaded(tmp_path, text)
    assert near.change(0, "postgresql") == Change(("ix_client_place", "ix_client_city_id"), ("ANALYZE client",))
    assert near.change(0, "sqlserver") == Change()
    assert near.change(1, "sqlserver") == Change((), ("CREATE INDEX ix_new ON client (name)",))
    assert change_text(near.change(0, "postgresql")) == "without ix_client_place, ix_client_city_id; ANALYZE client"


def test_a_command_document_with_values_and_dates(tmp_path: Path) -> None:
    text = """
title: x
database: promptcontent
plans:
  one:
    query: {find: content, filter: {hashtags: '${tag}', published_at: {$gt: {$date: '2025-01-01T00:00:00Z'}}}, limit: 5}
    parameters: {tag: '#beach'}
    before: drop hashtags
"""
    (one,) = loaded(tmp_path, text)
    body: Any = statement_for(one, "mongodb", PROMPTSALES).body
    assert body["filter"]["hashtags"] == "#beach"
    assert body["filter"]["published_at"]["$gt"].year == 2025
    assert has_query(one, "postgresql", PROMPTSALES).startswith("the query is a command document")


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("clients_near", "clients_naer", "6:5", "unknown query 'clients_naer' in promptcrm, did you mean 'clients_near'"),
        ("km: 3, ", "", "7:5", "needs km"),
        ("places: 4", "places: 4, more: 5", "7:5", "has no parameter 'more'"),
        ("before: drop ix_client_place", "before: none", "5:3", "both sides are the same"),
        ("before: scan", "before: scam", r"11:\d+", "unknown access 'scam', did you mean 'scan'"),
        ("'< 0.5'", "less", r"11:\d+", "'less' is no relation"),
        ("postgresql: {on", "postgres: {on", "11:7", "unknown engine 'postgres', did you mean 'postgresql'"),
        ("database: promptcrm", "database: promptcrn", "3:1", "unknown database 'promptcrn'"),
        ("database: promptcrm", "database: cache", r"5:3", "Redis, which has no execution plans"),
        ("database: promptcrm\n", "", r"4:3", "say where it runs"),
        ("query:", "querry:", "6:5", "unknown key 'querry', did you mean 'query'"),
        ("    query: clients_near\n", "", "5:3", "lacks 'query'"),
        ("title: Clients", "title: ''", "2:1", "title is empty"),
        ("database: promptcrm", "database: promptcrm\ndata: huge", "4:1", "unknown size 'huge'"),
        ("database: promptcrm", "database: promptcrm\nruns: 0", "4:1", "runs must be greater than or equal to 1"),
        ("before: drop ix_client_place", "before: [1]", "8:5", "it is a statement or a command document, not 1"),
        ("before: drop ix_client_place", "before: ''", "8:5", "it is a statement or a command document, not ''"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(tmp_path: Path, old: str, new: str, where: str, what: str) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, GOOD.replace(old, new, 1))
    first = str(caught.value).splitlines()[0]
    assert re.search(rf"pairs\.yaml:{where}: ", first), first
    assert what in first


@pytest.mark.parametrize(
    "text", ["- a", "plans: 5\ntitle: x", "title: x\nplans: {}", "title: x\nplans: {1a: {query: x}}"]
)
def test_what_is_no_file_of_pairs(tmp_path: Path, text: str) -> None:
    with pytest.raises(ScenarioError, match=r"pairs\.yaml:\d+:\d+: "):
        loaded(tmp_path, text)


# -- what is expected


def expectation(**said: Any) -> ExpectWritten:
    return ExpectWritten.model_validate(said)


def test_an_expectation_that_holds_and_one_that_does_not() -> None:
    before, after = plan(over("Sort", scan()), buffers=100, examined=50), plan(seek(), buffers=20, examined=50)
    assert not list(mismatches(expectation(before="scan", after="seek", buffers="< 0.5", sort="goes"), before, after))
    wrong = list(
        mismatches(
            expectation(before="seek", after={"access": "scan", "index": "iy"}, buffers="< 0.1", examined="fewer",
                        keys="more", sort="stays"), before, after)
    )  # fmt: skip
    assert wrong == [
        "before: expected client to be read by seek, it was scan",
        "after: expected client to be read by scan, it was seek by ix",
        "after: expected client to be read by iy, it was by ix",
        "pages touched: expected < 0.1: 100 before, 20 after, which is 0.20 of it",
        "rows or documents examined: expected fewer: 50 before, 50 after",
        "keys examined: expected more: the engine does not say",
        "sort: expected that it stays: 1 before, 0 after",
    ]


def test_of_several_tables_one_must_be_named() -> None:
    two = plan(over("Nested Loop", scan(), scan("sale")))
    assert list(mismatches(expectation(before="scan"), two, two)) == [
        "say 'on:' which table is meant: the statement reads client, sale"
    ]
    assert not list(mismatches(expectation(on="sale", before="scan"), two, two))


# -- the schema for editors


def test_the_schemas_file_is_up_to_date() -> None:
    kept = (ROOT / "harness" / "plans" / "plans.schema.json").read_text(encoding="utf-8")
    assert kept == json.dumps(schema(), indent=2) + "\n", (
        "write it again: python -m harness.plans.written > harness/plans/plans.schema.json"
    )
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_is_valid_and_loads(file: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read(file).data)] == []
    assert load(file)


def test_there_are_six_pairs_and_more_over_all_databases() -> None:
    pairs = [pair for file in FILES for pair in load(file)]
    assert len(pairs) >= 6
    assert {pair.logical for pair in pairs} == {"promptcrm", "promptads", "promptsales", "promptcontent"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("before: scan", "before: scam"), ("query:", "querry:"), ("'< 0.5'", "5"), ("promptcrm", "promptcrn")],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    assert list(VALIDATOR.iter_errors(parse(GOOD.replace(old, new, 1), Path("x")).data))


def test_the_schema_allows_short_forms() -> None:
    assert not list(VALIDATOR.iter_errors(parse(GOOD, Path("x")).data))


# -- the pairs of PromptSales

PAIRS = [pytest.param(pair, id=pair.name) for file in FILES for pair in load(file)]
ON_SQL_SERVER = [one for one in PAIRS if one.values[0].logical in ("promptcrm", "promptads")]  # type: ignore[union-attr]


@pytest.mark.parametrize("pair", PAIRS)
def test_an_index_that_is_dropped_is_one_of_the_schema_on_each_engine(pair: Declared) -> None:
    for engine in ("postgresql", "sqlserver", "mongodb"):
        folder = PROMPTSALES / pair.logical / engine
        if has_query(pair, engine, PROMPTSALES) or not folder.is_dir():
            continue
        declared = "\n".join(file.read_text("utf-8") for file in folder.glob("*_indexes.*"))
        for name in (*pair.change(0, engine).drops, *pair.change(1, engine).drops):
            assert re.search(rf"\b{name}\b", declared), f"{name} is no index of {pair.logical} on {engine}"


@pytest.mark.parametrize("pair", ON_SQL_SERVER)
def test_what_is_written_for_sql_server_is_t_sql(pair: Declared) -> None:
    assert not has_query(pair, "sqlserver", PROMPTSALES)
    made = statement_for(pair, "sqlserver", PROMPTSALES)
    assert sqlglot.parse_one(str(made.body), dialect="tsql")
    assert str(made.body).count("?") == len(made.parameters)
    for body in (*pair.change(0, "sqlserver").statements, *pair.change(1, "sqlserver").statements):
        assert sqlglot.parse_one(str(body), dialect="tsql")


def test_every_accepted_shape_is_one_of_a_pair() -> None:
    names = {(pair.file.stem, pair.name) for file in FILES for pair in load(file)}
    kept = list((ROOT / "scenarios").rglob("accepted/*/*.json"))
    assert kept
    assert {(file.parent.name, file.name.partition("@")[0]) for file in kept} <= names
