"""Workloads' files: what they say, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.errors import ScenarioError
from harness.evidence.checker.model import Workload
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.source import parse, read
from harness.workloads.load import load
from harness.workloads.model import ANYTHING, Expected, schema

ROOT = Path(__file__).parents[2]
FILES = sorted(file for file in (ROOT / "scenarios").rglob("*.yaml") if kind_of(file) is Kind.workload)
VALIDATOR = Draft202012Validator(schema())

GOOD = """\
title: Lists
workload: list-append
database: [promptsales, cache]
sessions: 3
transactions: 40
keys: 2
operations: 2
reads: 0.25
writes_per_key: 5
seed: 7
levels:
  postgresql: [read committed, serializable]
expect:
  postgresql:
    read committed: {finds: G-single, allows: [lost-update, G2-item], level: snapshot}
    serializable: nothing
  redis: {allows: anything}
  mongodb: nothing
"""


def loaded(tmp_path: Path, text: str) -> object:
    file = tmp_path / "lists.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_all_that_it_says(tmp_path: Path) -> None:
    file = tmp_path / "lists.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert kind_of(file) is Kind.workload
    made = load(file)
    assert (made.kind, made.name, made.title) == (Workload.list_append, "lists", "Lists")
    assert made.logicals == ("promptsales", "cache")
    assert (made.sessions, made.transactions, made.keys, made.ops) == (3, 40, 2, (2, 2))
    assert (made.reads, made.writes_per_key, made.seed) == (0.25, 5, 7)
    assert made.levels == {"postgresql": ("read committed", "serializable")}
    expected = Expected(("G-single",), ("lost-update", "G2-item"), "snapshot isolation")
    assert made.expected("postgresql", "read committed") == expected
    assert made.expected("postgresql", "serializable") == Expected()
    assert made.expected("redis", "atomic commands") == Expected(allows=(ANYTHING,))
    assert made.expected("mongodb", "local") == Expected()
    assert made.expected("sqlserver", "read committed") is None


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("list-append", "list-apend", "2:1", "did you mean 'list-append'?"),
        ("seed: 7", "sede: 7", "10:1", "unknown key 'sede'"),
        ("operations: 2", "operations: [3, 2]", "7:1", "cannot have from 3 to 2 operations"),
        ("operations: 2", "operations: many", "7:1", "operations are a number, or [least, most]"),
        ("keys: 2", "keys: 0", "6:1", "greater than or equal to 1"),
        ("serializable]", "serialisable]", "12:32", "did you mean 'serializable'?"),
        ("finds: G-single", "finds: G-singel", "15:22", "did you mean 'G-single'?"),
        ("finds: G-single", "finds: anything", "15:22", "unknown anomaly 'anything'"),
        ("level: snapshot", "level: snapshots", "15:", "unknown isolation level 'snapshots'"),
        ("serializable: nothing", "serializable: nothin", "16:5", "did you mean 'nothing'?"),
        ("    serializable: nothing\n", "", "14:3", "no expectation for postgresql at 'serializable'"),
        ("    serializable: nothing\n", "    read commited: nothing\n", "16:5", "did you mean 'read committed'?"),
        ("serializable: nothing", "read uncommitted, read committed: nothing", "16:5", "is expected something of twice"),
        ("levels:\n", "levels:\n  sqlserver: [snapshot]\n", "12:3", "nothing is expected there"),
        ("mongodb: nothing", "mongodb: none", "18:3", "unknown expectation 'none' (known: nothing)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, place: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioError) as wrong:
        loaded(tmp_path, GOOD.replace(old, new))
    assert f"lists.yaml:{place}" in str(wrong.value)
    assert said in str(wrong.value)


def test_a_bank_of_one_account_is_none(tmp_path: Path) -> None:
    text = GOOD.replace("list-append", "bank").replace("keys: 2", "keys: 1")
    with pytest.raises(ScenarioError, match="a transfer needs two accounts"):
        loaded(tmp_path, text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_of_the_project_is_good(file: Path) -> None:
    assert load(file).expect
    assert [error.message for error in VALIDATOR.iter_errors(read(file).data)] == []


def test_there_are_files() -> None:
    assert FILES


def test_the_schema_knows_the_short_forms_and_refuses_a_typo() -> None:
    Draft202012Validator.check_schema(schema())
    assert not list(VALIDATOR.iter_errors(parse(GOOD, Path("x.yaml")).data))
    assert list(VALIDATOR.iter_errors(parse(GOOD.replace("seed:", "sede:"), Path("x.yaml")).data))
