"""Imports go one way: ground ← scenario ← evidence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).parent
GROUND = {"harness", "harness.answers", "harness.errors", "harness.history", "harness.vocabulary"}
FLOORS = {
    "engines": {"harness.engines"},
    "scenario": {"harness.scenario"},
    "evidence": {"harness.scenario", "harness.evidence"},
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("floor", FLOORS)
def test_nothing_is_imported_from_above(floor: str) -> None:
    for file in (ROOT / floor).rglob("*.py"):
        for module in imported(file):
            if module.startswith("harness"):
                package = ".".join(module.split(".")[:2])
                assert module in GROUND or package in FLOORS[floor], f"{file.name} imports {module}"
