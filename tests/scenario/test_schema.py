"""The JSON Schema for editors: up to date, allowing what the loader allows and the short forms, refusing typos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import harness
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.source import parse, read
from harness.scenario.written import schema

from .files import changed

ROOT = Path(harness.__file__).parent.parent
FILE = ROOT / "harness" / "scenario" / "scenario.schema.json"
SCENARIOS = sorted(file for file in (ROOT / "scenarios").rglob("*.yaml") if kind_of(file) is Kind.scenario)
VALIDATOR = Draft202012Validator(schema())


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == json.dumps(schema(), indent=2) + "\n", (
        "write it again: python -m harness.scenario.written > harness/scenario/scenario.schema.json"
    )


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_every_scenario_is_valid(file: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read(file).data)] == []


def test_there_are_scenarios() -> None:
    assert SCENARIOS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("look: runs", "look: {blocks: true, until: commit}"),
        ("writes: budget", "writes: [budget]"),
        ("writes: budget", "writes: {budget: 5}"),
        ("blocks: []", "blocks: look"),
        ("blocks: []", "errors: {commit: 40001}"),
        ("blocks: []", "may_refuse: [deadlock, 40001, '1205']"),
        ("blocks: []", "may_refuse: 40001"),
        ("blocks: []", "holds: budget > 0"),
        ("finds: nothing", "finds: [incorrect summary, P4]"),
        ("commit: commit", "commit: {run: , redis: [SET, a, 5], mongodb: {find: x}}"),
        ("    setup: begin", "    setup: [begin, {run: begin, on: db}]"),
        ("  T2:\n", "  T2:\n    copies: ${n}\n"),
        ("  T2:\n", "  T2:\n    copies: 2\n"),
        ("marks: [dirty_read]", "marks: dirty_read"),
        ("database: promptsales", "database: [promptsales, cache]"),
    ],
)
def test_short_forms_are_allowed(old: str, new: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(parse(changed(old, new), Path("x")).data)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title:", "titel:"),
        ("        writes:", "        wirtes:"),
        ("finds: nothing", "finds: lost updat"),
        ("look: runs", "look: blocs"),
        ("look: runs", "look: {bloks: true}"),
        ("[dirty_read]", "[dirty_reed]"),
        ("database: promptsales", "database: promtsales"),
        ("  postgresql: [", "  postgres: ["),
        ("  postgresql:\n", "  postgres:\n"),
        ("      blocks: []", "      blcks: []"),
    ],
)
def test_typos_are_refused(old: str, new: str) -> None:
    assert list(VALIDATOR.iter_errors(parse(changed(old, new), Path("x")).data))
