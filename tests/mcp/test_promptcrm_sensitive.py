"""What of PromptCrm is encrypted: who sees it, who is told why not, and what the logins may."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from crm_tools import ANALYST, STEWARD, entered

from fixtures.databases import Database
from harness.errors import DataError, ToolRefused
from harness.mcp.promptcrm import LOGINS, ClientFound, PromptCrm, open_toolset
from harness.mcp.promptcrm_sensitive import MASK, NOT_A_STEWARD, Revealer
from harness.mcp.sql import SqlSource
from harness.promptsales.cipher import COLUMNS, Certificate, Cipher, make_certificate, seed_key
from harness.servers.base import Target
from harness.servers.logins import LoginFor

pytestmark = pytest.mark.mcp


@pytest.fixture(scope="module")
def own(promptcrm_shared: Database) -> Iterator[Mapping[LoginFor, Target]]:
    """The database by logins with the rights of one role each: what works here needs no more."""
    with entered(promptcrm_shared) as targets:
        yield targets


@pytest.fixture(scope="module")
def tools(own: Mapping[LoginFor, Target]) -> Iterator[PromptCrm]:
    made = open_toolset(own)
    yield made
    made.close()


# -- what is encrypted


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    public, private = make_certificate("test", "words", key_size=2048)
    return Certificate.load(public, private, "words")


@pytest.fixture
def wrapped(promptcrm_db: Database, certificate: Certificate) -> Database:
    """A seeded database whose key is under the certificate, as 'harness seed' with a certificate leaves it."""
    promptcrm_db.connect().execute(
        "UPDATE data_key SET wrapped_key = %s, certificate_thumbprint = %s WHERE version = 1",
        [certificate.wrap(seed_key(1)), certificate.thumbprint],
    )
    return promptcrm_db


@contextmanager
def tools_with(database: Database, certificate: Callable[[], Certificate | None]) -> Iterator[PromptCrm]:
    with entered(database) as targets:
        made = PromptCrm(*(SqlSource(targets[one]) for one in LOGINS), certificate)
        yield made
        made.close()


def in_the_clear(database: Database, id_: int) -> dict[str, str | None]:
    """What the seeder has encrypted."""
    row = database.connect().execute(
        "SELECT tax_id_cipher, email_cipher, phone_cipher FROM client WHERE id = %s", [id_]
    )
    cipher = Cipher.of(1, seed_key(1))
    return {
        column: cipher.decrypt(column, id_, value) if value else None
        for column, value in zip(COLUMNS, row.fetchone(), strict=True)
    }


@pytest.mark.data("tiny")
def test_masked_for_analysts_shown_to_stewards(wrapped: Database, certificate: Certificate) -> None:
    wrapped.connect().execute("UPDATE client SET phone_cipher = NULL, phone_hash = NULL WHERE id = 2")
    wrapped.connect().execute(
        "UPDATE client SET tax_id_cipher = NULL, tax_id_hash = NULL, email_cipher = NULL, email_hash = NULL, "
        "phone_cipher = NULL, phone_hash = NULL WHERE id = 3"
    )
    with tools_with(wrapped, lambda: certificate) as tools:
        for id_ in (1, 2, 3, 200):
            values = in_the_clear(wrapped, id_)
            contact = tools.client_history(STEWARD, id_).client.contact
            assert {column: getattr(contact, column).value for column in COLUMNS} == values
            assert contact.why_masked is None
            assert not any(getattr(contact, column).masked for column in COLUMNS)
            answer = tools.client_history(ANALYST, id_)
            contact = answer.client.contact
            for column, value in values.items():
                shown = getattr(contact, column)
                assert (shown.value, shown.masked) == ((None, False) if value is None else (MASK, True))
                assert value is None or value not in answer.model_dump_json()
            assert contact.why_masked == (NOT_A_STEWARD if any(values.values()) else None)
        assert in_the_clear(wrapped, 1)["email"]
        assert in_the_clear(wrapped, 2)["phone"] is None


@pytest.mark.data("tiny")
def test_under_several_keys(wrapped: Database, certificate: Certificate) -> None:
    """In the middle of a rotation, a client's values are under two keys."""
    from harness.promptsales.cipher import KeyRing, create_key, seal

    connection = wrapped.connect()
    create_key(connection, certificate)
    row = seal(KeyRing.open(connection, certificate), 1, {"email": "new@example.com"})
    connection.execute(
        "UPDATE client SET email_cipher = %(email_cipher)s, email_hash = %(email_hash)s, key_version = %(key_version)s "
        "WHERE id = 1",
        row,
    )
    with tools_with(wrapped, lambda: certificate) as tools:
        contact = tools.client_history(STEWARD, 1).client.contact
        assert contact.email.value == "new@example.com"
        assert contact.phone.value == Cipher.of(1, seed_key(1)).decrypt(
            "phone", 1, connection.execute("SELECT phone_cipher FROM client WHERE id = 1").fetchone()[0]
        )


@pytest.mark.data("tiny")
def test_a_steward_without_the_key_is_told_why(wrapped: Database, certificate: Certificate) -> None:
    public, private = make_certificate("other", "words", key_size=2048)
    other = Certificate.load(public, private, "words")
    public_only = Certificate.load(public)

    def broken() -> Certificate:
        raise DataError("PROMPTCRM_CERTIFICATE: /secret/path cannot be read")

    connection = wrapped.connect()

    def why(given: Callable[[], Certificate | None]) -> str:
        with tools_with(wrapped, given) as tools:
            answer = tools.client_history(STEWARD, 1)
        contact = answer.client.contact
        assert [getattr(contact, column).value for column in COLUMNS] == [MASK] * 3
        assert "/secret/path" not in answer.model_dump_json()
        return str(contact.why_masked)

    assert why(lambda: None) == "they cannot be decrypted: this server is given no certificate"
    assert "cannot be read" in why(broken)
    assert "under another certificate" in why(lambda: other)
    connection.execute("UPDATE data_key SET certificate_thumbprint = %s", [public_only.thumbprint])
    assert "without its private key" in why(lambda: public_only)
    connection.execute("UPDATE data_key SET certificate_thumbprint = %s", [certificate.thumbprint])
    connection.execute("UPDATE client SET email_cipher = (SELECT email_cipher FROM client WHERE id = 2) WHERE id = 1")
    assert "they cannot be decrypted: " in why(lambda: certificate)
    connection.execute("UPDATE data_key SET wrapped_key = NULL")
    assert "their key is not in the database" in why(lambda: certificate)


def test_as_seeded_without_a_certificate(tools: PromptCrm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTCRM_CERTIFICATE", raising=False)
    contact = tools.client_history(STEWARD, 1).client.contact
    assert (contact.email.value, contact.email.masked) == (MASK, True)
    assert contact.why_masked == "they cannot be decrypted: this server is given no certificate"


# -- looked for


@pytest.mark.data("tiny")
def test_found_by_email(wrapped: Database, certificate: Certificate) -> None:
    connection = wrapped.connect()
    rows = connection.execute("SELECT id, email_cipher FROM client WHERE email_cipher IS NOT NULL").fetchall()
    emails = {id_: Cipher.of(1, seed_key(1)).decrypt("email", id_, value) for id_, value in rows}
    with tools_with(wrapped, lambda: certificate) as tools:
        for id_ in sorted(emails)[:3]:
            expected = [other for other, email in sorted(emails.items()) if email.lower() == emails[id_].lower()]
            for written in (emails[id_], f" {emails[id_].upper()} "):
                found = tools.find_client(STEWARD, written)
                assert [one.client_id for one in found.clients] == expected
                assert not found.more
        ((code, name),) = connection.execute("SELECT code, name FROM client WHERE id = %s", [id_]).fetchall()
        assert ClientFound(client_id=id_, code=code, name=name) in found.clients
        for nobody in ("nobody@example.com", "'; DROP TABLE client; --@x", "%@%", "_@_"):
            assert tools.find_client(STEWARD, nobody).clients == []


@pytest.mark.data("tiny")
def test_found_under_a_new_key_and_no_more_than_twenty(wrapped: Database, certificate: Certificate) -> None:
    from harness.promptsales.cipher import KeyRing, create_key, seal

    connection = wrapped.connect()
    ring = KeyRing.open(connection, certificate)
    for id_ in range(1, 31):
        if id_ == 20:
            create_key(connection, certificate)
            ring.reload(connection)
        row = seal(ring, id_, {"email": "all@example.com"})
        connection.execute(
            "UPDATE client SET email_cipher = %s, email_hash = %s WHERE id = %s",
            [row["email_cipher"], row["email_hash"], id_],
        )
    with tools_with(wrapped, lambda: certificate) as tools:
        found = tools.find_client(STEWARD, "All@example.com")
    assert ([one.client_id for one in found.clients], found.more) == (list(range(1, 21)), True)


def test_not_found_without_the_key(tools: PromptCrm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTCRM_CERTIFICATE", raising=False)
    with pytest.raises(ToolRefused, match=r"^clients cannot be found by email: this server is given no certificate$"):
        tools.find_client(STEWARD, "a@b")


class SQLServer:
    """Stands for a source on SQL Server, where the server decrypts: written from 50_encryption.sql, never run there."""

    engine = "sqlserver"

    def __init__(self, row: dict[str, Any] | None) -> None:
        self.answer = row

    def row(self, query: Any, /, client_id: int) -> dict[str, Any] | None:
        assert (query.engine, query.parameters, client_id) == ("sqlserver", ("client_id",), 7)
        return self.answer


def test_sqlserver_decrypts_by_itself() -> None:
    card = {"client_id": 7, "has_tax_id": 1, "has_email": 1, "has_phone": 0}

    def contact(row: dict[str, Any] | None, who: Any = STEWARD) -> Any:
        return Revealer(SQLServer(row), lambda: None).contact(who, card)  # type: ignore[arg-type]

    shown = contact({"tax_id": "1-2", "email": "a@b", "phone": None})
    assert (shown.tax_id.value, shown.email.value, shown.phone.value, shown.why_masked) == ("1-2", "a@b", None, None)
    for row in ({"tax_id": None, "email": "a@b", "phone": None}, None):  # a ciphertext of another place; no certificate
        shown = contact(row)
        assert (shown.tax_id.value, shown.email.value, shown.phone.value) == (MASK, MASK, None)
        assert shown.why_masked == "they cannot be decrypted: the database does not decrypt them"
    assert contact({"tax_id": "1-2", "email": "a@b"}, ANALYST).email.value == MASK


# -- the roles


@contextmanager
def inside(database: Database, role: str) -> Iterator[Any]:
    """A login that is in this role and in no other one."""
    name, admin = f"mcp_{uuid.uuid4().hex[:8]}", database.connect()
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'words' IN ROLE {role}")
    try:
        with psycopg.connect(database.url, user=name, password="words", autocommit=True) as connection:
            yield connection
    finally:
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


SECRET = {"id", "tax_id_cipher", "email_cipher", "phone_cipher", "email_hash"}
KEYS = {"version", "wrapped_key", "certificate_thumbprint"}


@pytest.mark.parametrize("role", ["promptcrm_mcp", "promptcrm_mcp_steward"])
def test_what_the_roles_may(promptcrm_db: Database, role: str) -> None:
    connection = promptcrm_db.connect()
    of_a_column = connection.execute(
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f') AND attnum > 0 "
        "AND has_column_privilege(%s, pg_class.oid, attnum, 'SELECT')",
        [role],
    ).fetchall()
    found: dict[str, set[str]] = defaultdict(set)
    for table, column in of_a_column:
        found[table].add(column)
    whole = {"city", "client_card", "sale", "opportunity", "interaction"}
    assert set(found) == whole | ({"client", "data_key"} if role.endswith("steward") else set())
    assert not any("cipher" in column or "hash" in column for column in found["client_card"])
    if role.endswith("steward"):
        assert (found["client"], found["data_key"]) == (SECRET, KEYS)
    writes = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f') "
        "AND (has_any_column_privilege(%s, oid, 'INSERT, UPDATE, REFERENCES') "
        "OR has_table_privilege(%s, oid, 'DELETE, TRUNCATE, TRIGGER'))",
        [role, role],
    ).fetchall()
    assert writes == []
    called = connection.execute(
        "SELECT proname FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace "
        "AND has_function_privilege(%s, oid, 'EXECUTE') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')",
        [role],
    ).fetchall()
    assert called == [("distance_km",)]
    flags = "rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls"
    assert not any(connection.execute(f"SELECT {flags} FROM pg_roles WHERE rolname = %s", [role]).fetchone())


@pytest.mark.data("tiny")
def test_what_they_may_not(promptcrm_db: Database) -> None:
    both = [
        "SELECT phone_hash FROM client",
        "SELECT tax_id_hash FROM client",
        "SELECT name FROM client",
        "SELECT * FROM client",
        "SELECT name FROM data_key",
        "SELECT * FROM contact",
        "SELECT * FROM tombstone",
        "SELECT * FROM changes_since(NULL, NULL)",
        "UPDATE client_card SET name = 'x'",
        "UPDATE client SET credit = 0",
        "DELETE FROM sale",
        "CREATE TABLE mine (id int)",
        "SET ROLE promptcrm_etl",
    ]
    mine = [
        "SELECT email_hash FROM client",
        "SELECT email_cipher FROM client",
        "SELECT wrapped_key FROM data_key",
        "SELECT id FROM client",
    ]
    for role, statements in (("promptcrm_mcp", both + mine), ("promptcrm_mcp_steward", both)):
        with inside(promptcrm_db, role) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            assert connection.execute("SELECT count(*) FROM client_card").fetchone() == (200,)
            if role.endswith("steward"):
                assert connection.execute("SELECT email_cipher FROM client").fetchone()
