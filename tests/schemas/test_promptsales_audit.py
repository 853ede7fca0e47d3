"""Who changed what in plan, campaign and identity is written down, without secrets."""

from __future__ import annotations

import pytest


@pytest.fixture
def connection(promptsales_db):
    own = promptsales_db.connect()
    own.execute("INSERT INTO plan (id, name, price) VALUES (7, 'Team', 100)")
    own.execute(
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
        "VALUES (1, 'Spring', 'active', '2025-01-01', '2025-12-31', 1000)"
    )
    own.execute("DELETE FROM audit_log")
    return own


def log(connection, columns="table_name, operation, row_key, old_values, new_values"):
    return connection.execute(f"SELECT {columns} FROM audit_log ORDER BY id").fetchall()


def test_what_is_inserted_changed_and_deleted(connection):
    connection.execute("INSERT INTO plan (id, name, price) VALUES (8, 'Company', 400.50)")
    connection.execute("UPDATE plan SET price = price + 1 WHERE id = 8")
    connection.execute("DELETE FROM plan WHERE id = 8")
    assert log(connection) == [
        ("plan", "INSERT", "8", None, {"id": 8, "name": "Company", "price": 400.5}),
        ("plan", "UPDATE", "8", {"price": 400.5}, {"price": 401.5}),
        ("plan", "DELETE", "8", {"id": 8, "name": "Company", "price": 401.5}, None),
    ]


def test_of_a_change_only_what_changed_and_to_and_from_nothing(connection):
    connection.execute("UPDATE campaign SET budget = 5, content_id = 9, name = name")
    connection.execute("UPDATE campaign SET content_id = NULL")
    connection.execute("UPDATE campaign SET name = name")
    assert log(connection, "old_values, new_values") == [
        ({"budget": 1000, "content_id": None}, {"budget": 5, "content_id": 9}),
        ({"content_id": 9}, {"content_id": None}),
    ]


def test_every_row_of_a_statement(connection):
    connection.execute("INSERT INTO plan (id, name, price) SELECT i, 'p' || i, i FROM generate_series(1, 3) AS i")
    connection.execute("UPDATE plan SET price = 0 WHERE id < 4")
    assert [row[:3] for row in log(connection)] == [
        *(("plan", "INSERT", key) for key in "123"),
        *(("plan", "UPDATE", key) for key in "123"),
    ]


@pytest.mark.parametrize("table", ["plan", "campaign", "identity"])
def test_all_at_once(connection, table):
    connection.execute(f"TRUNCATE {table} CASCADE")
    assert (table, "TRUNCATE", None, None, None) in log(connection)


def test_who_it_was(promptsales_db, connection):
    own = promptsales_db.connect()
    own.execute("UPDATE plan SET price = 1")
    own.execute("SET promptsales.identity = 'ana@example.com'")
    own.execute("SET ROLE promptsales_admin")
    own.execute("UPDATE plan SET price = 2")
    own.execute("SET promptsales.identity = ''")
    own.execute("UPDATE plan SET price = 3")
    user = own.info.user
    assert log(connection, "database_user, database_role, application_identity") == [
        (user, None, None),
        (user, "promptsales_admin", "ana@example.com"),
        (user, "promptsales_admin", None),
    ]


def test_what_is_rolled_back_was_not(connection):
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE plan SET price = 1")
    assert log(connection) == []


def test_no_secret_is_written_down(connection):
    connection.execute(
        "INSERT INTO identity (email, display_name, password_hash) VALUES ('ana@example.com', 'Ana', 'scrypt$first-secret')"
    )
    connection.execute("UPDATE identity SET password_hash = 'scrypt$other-secret'")
    connection.execute("UPDATE identity SET password_hash = NULL, display_name = 'Anna'")
    connection.execute("UPDATE identity SET password_hash = 'scrypt$last-secret'")
    connection.execute("DELETE FROM identity")
    entries = log(connection, "operation, old_values, new_values")
    assert [(operation, (new or {}).get("password_hash")) for operation, _, new in entries] == [
        ("INSERT", "***"),
        ("UPDATE", "***"),  # that it changed is seen
        ("UPDATE", None),
        ("UPDATE", "***"),
        ("DELETE", None),
    ]
    assert entries[1][1:] == ({"password_hash": "***"}, {"password_hash": "***"})
    assert entries[2][1:] == (
        {"password_hash": "***", "display_name": "Ana"},
        {"password_hash": None, "display_name": "Anna"},
    )
    assert "secret" not in str(log(connection, "audit_log::text"))


def test_attempts_to_log_in_are_no_changes_but_locking_out_is(connection):
    connection.execute(
        "INSERT INTO identity (email, display_name, password_hash) VALUES ('ana@example.com', 'Ana', 'scrypt$secret')"
    )
    connection.execute("DELETE FROM audit_log")
    for _ in range(4):
        connection.execute("SELECT begin_login('ana@example.com')")
    assert log(connection) == []
    connection.execute("SELECT begin_login('ana@example.com')")
    ((operation, new),) = log(connection, "operation, new_values")
    assert operation == "UPDATE"
    assert list(new) == ["locked_until"]


def test_a_writer_who_may_not_touch_the_log_leaves_a_trace(promptsales_db, connection):
    own = promptsales_db.connect()
    own.execute("SET ROLE promptsales_etl")
    own.execute("UPDATE campaign SET budget = 7")
    assert log(connection, "database_role, new_values") == [("promptsales_etl", {"budget": 7})]
