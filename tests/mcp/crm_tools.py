"""PromptCrm's tools by logins of their own, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fixtures.databases import Database
from harness.mcp.promptcrm import LOGINS
from harness.servers.base import Target
from harness.servers.logins import LoginFor, logins
from harness.sso.model import Caller

Plain = Callable[..., list[Any]]


def caller(*roles: str) -> Caller:
    return Caller("local.test", "test@example.com", frozenset(roles), "test")


ANALYST, STEWARD = caller("analyst"), caller("steward", "analyst")


@contextmanager
def entered(database: Database) -> Iterator[Mapping[LoginFor, Target]]:
    """A database by logins with the rights of one role each: what works here needs no more."""
    target = Target("promptcrm", "postgresql", database.url, stand_in="sqlserver")
    with logins({"promptcrm": target}, LOGINS, "psh_test_", valid=None) as made:
        assert made.own == LOGINS, made.notes
        yield made.targets
