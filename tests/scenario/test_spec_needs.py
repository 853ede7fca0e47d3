"""Which specifications keep others away from their server."""

from __future__ import annotations

import pytest

from harness.scenario.spec_needs import SERVER, Need, needs

PLAIN = "session s1 step a { SELECT 1; }"


@pytest.mark.parametrize(
    ("sql", "more"),
    [
        ("SELECT 1", []),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", [Need("serializable transactions", exclusive=False)]),
        (
            "BEGIN TRANSACTION ISOLATION LEVEL serializable, READ ONLY, DEFERRABLE",
            [Need("serializable transactions", exclusive=True)],
        ),
        ("PREPARE TRANSACTION 's1'", [Need("prepared transactions", exclusive=True)]),
        ("PREPARE plan AS SELECT 1", []),
        ("LISTEN a", [Need("notifications", exclusive=True)]),
        ("SELECT pg_notify('a', 'b')", [Need("notifications", exclusive=True)]),
        ("CREATE ROLE regress_a", [Need("roles", exclusive=True)]),
    ],
)
def test_what_a_text_says_is_needed(sql: str, more: list[Need]) -> None:
    found = needs(f"session s1 step a {{ {sql}; }}", named_database=False)
    assert [need for need in found if need.name != SERVER] == more
    assert Need(SERVER, exclusive=False) in found


@pytest.mark.parametrize("sql", ["VACUUM pg_database", "ALTER SYSTEM SET a = 1", "SELECT * FROM pg_authid"])
def test_what_touches_the_whole_server_has_it_alone(sql: str) -> None:
    assert needs(f"session s1 step a {{ {sql}; }}", named_database=False) == [Need(SERVER, exclusive=True)]


def test_a_database_of_a_given_name_is_there_once() -> None:
    assert needs(PLAIN, named_database=True) == [Need(SERVER, exclusive=True)]
    assert needs(PLAIN, named_database=False) == [Need(SERVER, exclusive=False)]
