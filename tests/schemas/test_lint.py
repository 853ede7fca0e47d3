"""sqlfluff finds nothing in PromptAds's and PromptCrm's SQL, and parses all of it, in T-SQL and in PostgreSQL's dialect."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlfluff.core import FluffConfig, Linter

SCHEMAS = Path(__file__).parents[2] / "schemas"
DIALECTS = {"sqlserver": "tsql", "postgresql": "postgres"}
LOGICAL = ("promptads", "promptcrm")


def files() -> Iterator[tuple[Path, str]]:
    """Every file with its dialect; a sample that both engines read has both."""
    for logical in LOGICAL:
        for engine, dialect in DIALECTS.items():
            yield from ((file, dialect) for file in sorted((SCHEMAS / logical / engine).rglob("*.sql")))
            yield SCHEMAS / logical / "sample.sql", dialect


@lru_cache
def linter(dialect: str) -> Linter:
    # "raw": nothing in the files is a template.
    return Linter(config=FluffConfig.from_path(str(SCHEMAS), overrides={"dialect": dialect, "templater": "raw"}))


def violations(text: str, dialect: str) -> list[str]:
    """What sqlfluff has to say about a text, a line each."""
    return [
        f"line {found.line_no}: {found.rule_code()} {found.desc()}"
        for found in linter(dialect).lint_string(text).get_violations(filter_ignore=True)
    ]


def lint(file: Path, dialect: str) -> list[str]:
    return [f"{file.relative_to(SCHEMAS)} ({dialect}) {line}" for line in violations(file.read_text(), dialect)]


def test_nothing_is_found() -> None:
    given = sorted(files(), key=lambda pair: -pair[0].stat().st_size)  # the long ones first
    assert len(given) > 40
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert [line for found in pool.map(lint, *zip(*given, strict=True)) for line in found] == []


@pytest.mark.parametrize("dialect", DIALECTS.values())
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("SELECT id FROM campaign WHERE;\n", "PRS"),
        ("select id FROM campaign;\n", "CP01"),
        ("SELECT id FROM campaign \n", "LT01"),
        ("CREATE TABLE t (id INT NOT NULL);\n", "CP05"),
        ("SELECT c.id FROM campaign c;\n", "AL01"),
        ("SELECT\n    id,\n  name\nFROM campaign;\n", "LT02"),
    ],
)
def test_something_would_be_found(text: str, rule: str, dialect: str) -> None:
    found = violations(text, dialect)
    assert any(rule in line for line in found), found
