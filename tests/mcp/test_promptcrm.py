"""The tools of PromptCrm on seeded rows, by logins of their own; every answer beside one computed here."""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from fixtures.databases import Database
from harness.errors import DataError, SourceError, ToolRefused
from harness.mcp.promptcrm import LOGINS, BestClient, ClientNear, Event, PromptCrm, open_toolset
from harness.mcp.promptcrm_sensitive import MASK, NOT_A_STEWARD
from harness.mcp.sql import SqlSource
from harness.promptsales.cipher import COLUMNS, Certificate, Cipher, make_certificate, seed_key
from harness.servers.base import Target
from harness.servers.logins import LoginFor, logins
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp

Plain = Callable[..., list[Any]]


def caller(*roles: str) -> Caller:
    return Caller("local.test", "test@example.com", frozenset(roles), "test")


ANALYST, STEWARD = caller("analyst"), caller("steward", "analyst")


@contextmanager
def entered(database: Database) -> Iterator[Mapping[LoginFor, Target]]:
    target = Target("promptcrm", "postgresql", database.url, stand_in="sqlserver")
    with logins({"promptcrm": target}, LOGINS, "psh_test_", valid=None) as made:
        assert made.own == LOGINS, made.notes
        yield made.targets


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


@pytest.fixture(scope="module")
def plain(promptcrm_shared: Database) -> Plain:
    connection = promptcrm_shared.connect()
    return lambda text, *values: connection.execute(text, values).fetchall()


def all_pages(ask: Callable[..., Any], limit: int) -> list[Any]:
    items: list[Any] = []
    cursor = None
    while True:
        page = ask(limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items
        assert len(page.items) == limit, "a page that is not the last one is full"


def away_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """By the angle between two vectors: another way than the database's."""

    def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
        up, round_ = math.radians(latitude), math.radians(longitude)
        return math.cos(up) * math.cos(round_), math.cos(up) * math.sin(round_), math.sin(up)

    a, b = vector(*one), vector(*other)
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return 6371.0088 * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(a, b, strict=True)))


# -- clients near a place


def test_clients_near(tools: PromptCrm, plain: Plain) -> None:
    clients = plain("SELECT id, latitude, longitude FROM client")
    _, *here = clients[0]
    for reach in (5.0, 100.0, 500.0):
        expected = sorted(
            (km, id_) for id_, *where in clients if (km := away_km((here[0], here[1]), (where[0], where[1]))) <= reach
        )
        found: list[ClientNear] = all_pages(
            lambda reach=reach, **page: tools.clients_near(ANALYST, *here, kilometres=reach, **page), 3
        )
        assert [one.client_id for one in found] == [id_ for _, id_ in expected]
        assert [one.kilometres for one in found] == pytest.approx([km for km, _ in expected], abs=0.002)
    ((name, city),) = plain(
        "SELECT c.name, t.name FROM client c JOIN city t ON t.id = city_id WHERE c.id = %s", clients[0][0]
    )
    first = tools.clients_near(ANALYST, *here, kilometres=1).items[0]
    assert (first.name, first.city, first.kilometres) == (name, city, 0)


@pytest.mark.data("tiny")
def test_pages_have_each_client_once_with_ties(promptcrm_db: Database) -> None:
    promptcrm_db.connect().execute("UPDATE client SET latitude = 9.93 + 0.01 * (id % 3), longitude = -84.08")
    with entered(promptcrm_db) as targets:
        tools = open_toolset(targets)
        for limit in (1, 7, 100):
            found = all_pages(lambda **page: tools.clients_near(ANALYST, 9.93, -84.08, kilometres=10, **page), limit)
            assert [one.client_id for one in found] == sorted(range(1, 201), key=lambda id_: (id_ % 3, id_))


def test_at_the_ends_of_the_earth(tools: PromptCrm) -> None:
    for place in ((90, 0), (-90, 180), (0, 180), (0, -180), (-89.99, 45)):
        assert tools.clients_near(ANALYST, *place, kilometres=500).items == []


# -- a client's history


def busiest(plain: Plain) -> int:
    """A client of whom there is everything."""
    rows = plain(
        "SELECT id FROM client c WHERE EXISTS (SELECT FROM opportunity WHERE client_id = c.id) "
        "AND EXISTS (SELECT FROM sale WHERE client_id = c.id) "
        "ORDER BY (SELECT count(*) FROM interaction WHERE client_id = c.id) DESC, id LIMIT 1"
    )
    return int(rows[0][0])


def events(plain: Plain, id_: int) -> list[tuple[Any, ...]]:
    """What happened with a client: the newest first, then by kind and id."""
    midnight = datetime.min.time()
    found = [
        (datetime.combine(day, midnight), "sale", number, status, total, campaign, None, None)
        for day, number, status, total, campaign in plain(
            "SELECT sold_on, id, status, total, campaign_id FROM sale WHERE client_id = %s", id_
        )
    ]
    found += [
        (datetime.combine(day, midnight), "opportunity", number, stage, amount, campaign, None, None)
        for day, number, stage, amount, campaign in plain(
            "SELECT opened_on, id, stage, amount, campaign_id FROM opportunity WHERE client_id = %s", id_
        )
    ]
    found += [
        (when, "interaction", number, kind, None, campaign, content, note)
        for when, number, kind, campaign, content, note in plain(
            "SELECT happened_at, id, kind, campaign_id, content_id, note FROM interaction WHERE client_id = %s", id_
        )
    ]
    return sorted(found, key=lambda row: (-(row[0] - datetime(1970, 1, 1)).total_seconds(), row[1], row[2]))


def test_history(tools: PromptCrm, plain: Plain) -> None:
    id_ = busiest(plain)
    expected = [(row[0].replace(tzinfo=UTC), *row[1:]) for row in events(plain, id_)]
    assert {row[1] for row in expected} == {"sale", "opportunity", "interaction"}
    for limit in (1, 4, 100):
        found: list[Event] = all_pages(lambda **page: tools.client_history(ANALYST, id_, **page), limit)
        assert [
            (one.happened_at, one.kind, one.id, one.what, one.amount, one.campaign_id, one.content_id, one.note)
            for one in found
        ] == expected
    card = tools.client_history(ANALYST, id_).client
    ((code, name, city, country, credit),) = plain(
        "SELECT c.code, c.name, t.name, t.country, c.credit FROM client c JOIN city t ON t.id = city_id WHERE c.id = %s",
        id_,
    )
    assert (card.code, card.name, card.city, card.country, card.credit) == (code, name, city, country, credit)


@pytest.mark.data("tiny")
def test_a_history_in_which_all_happened_at_once(promptcrm_db: Database) -> None:
    connection = promptcrm_db.connect()
    read: Plain = lambda text, *values: connection.execute(text, values).fetchall()  # noqa: E731
    id_ = busiest(read)
    connection.execute("UPDATE sale SET sold_on = '2025-01-01'")
    connection.execute(
        "UPDATE opportunity SET opened_on = '2025-01-01', closed_on = closed_on - closed_on + date '2025-01-02'"
    )
    connection.execute("UPDATE interaction SET happened_at = '2025-01-01'")
    with entered(promptcrm_db) as targets:
        tools = open_toolset(targets)
        for limit in (1, 2, 5):
            found = all_pages(lambda **page: tools.client_history(ANALYST, id_, **page), limit)
            assert [(one.kind, one.id) for one in found] == [(row[1], row[2]) for row in events(read, id_)]


def test_a_client_that_is_not_there(tools: PromptCrm) -> None:
    for who in (ANALYST, STEWARD):
        with pytest.raises(ToolRefused, match=r"^there is no client 7000: clients_near and best_clients tell ids$"):
            tools.client_history(who, 7000)


@pytest.mark.parametrize("cursor", ["'; DROP TABLE client; --", "x", "", "ñ", "%s", "[]"])
def test_a_cursor_is_checked(tools: PromptCrm, cursor: str) -> None:
    for ask in (
        lambda: tools.client_history(ANALYST, 1, cursor=cursor),
        lambda: tools.clients_near(ANALYST, 1, 1, cursor=cursor),
        lambda: tools.best_clients(ANALYST, cursor=cursor),
    ):
        with pytest.raises(ToolRefused, match="the cursor is none that"):
            ask()


def test_cursors_of_the_right_form_with_wrong_keys(tools: PromptCrm) -> None:
    from harness.mcp.pages import cursor_of

    for key in (("no day", "sale", 1), ("2025-01-01T00:00:00+00:00", "sale", 1), ("2025-01-01", "x" * 13, 1)):
        with pytest.raises(ToolRefused, match="the cursor is none that client_history has given"):
            tools.client_history(ANALYST, 1, cursor=cursor_of("client_history", *key))
    assert tools.client_history(ANALYST, 1, cursor=cursor_of("client_history", "2025-01-01", "' OR 1=1--", 1))


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


# -- the best clients


def test_best_clients(tools: PromptCrm, plain: Plain) -> None:
    first, last = date(2025, 1, 16), date(2026, 1, 15)
    sums: dict[int, list[Any]] = defaultdict(lambda: [0, Decimal()])
    for id_, total in plain(
        "SELECT client_id, total FROM sale WHERE status <> 'cancelled' AND sold_on BETWEEN %s AND %s", first, last
    ):
        sums[id_] = [sums[id_][0] + 1, sums[id_][1] + total]
    country = dict(plain("SELECT c.id, t.country FROM client c JOIN city t ON t.id = city_id"))
    for where in (None, *sorted(set(country.values()))[:3], "XX"):
        some = {id_: row for id_, row in sums.items() if where in (None, country[id_])}
        revenues = [revenue for _, revenue in some.values()]
        expected = sorted((1 + sum(one > row[1] for one in revenues), id_, *row) for id_, row in some.items())
        for limit in (7, 100):
            found: list[BestClient] = all_pages(
                lambda where=where, **page: tools.best_clients(ANALYST, first, last, where, **page), limit
            )
            assert [(one.place, one.client_id, one.sales, one.revenue) for one in found] == expected
            assert all(one.country == country[one.client_id] for one in found)


@pytest.mark.data("tiny")
def test_best_clients_that_are_equal(promptcrm_db: Database) -> None:
    connection = promptcrm_db.connect()
    connection.execute("UPDATE sale SET status = 'closed', total = 10, sold_on = '2025-06-01'")
    with entered(promptcrm_db) as targets:
        tools = PromptCrm(*(SqlSource(targets[one]) for one in LOGINS), today=lambda: date(2025, 6, 1))
        counts = connection.execute("SELECT client_id, count(*) FROM sale GROUP BY 1").fetchall()
        expected = sorted((1 + sum(other > count for _, other in counts), id_) for id_, count in counts)
        for limit in (1, 100):
            found = all_pages(lambda **page: tools.best_clients(ANALYST, **page), limit)
            assert [(one.place, one.client_id) for one in found] == expected


def test_spans_that_cannot_be(tools: PromptCrm) -> None:
    with pytest.raises(ToolRefused, match="turn them around"):
        tools.best_clients(ANALYST, date(2025, 2, 1), date(2025, 1, 1))
    with pytest.raises(ToolRefused, match="more than 366 days"):
        tools.best_clients(ANALYST, date(2024, 1, 1), date(2025, 1, 1))
    assert tools.best_clients(ANALYST, date(2024, 1, 1), date(2024, 12, 31), limit=1).items


def test_schema_and_prompt(tools: PromptCrm) -> None:
    text = tools.schema(ANALYST)
    assert "| tax_id_cipher | bytea | yes | encrypted" in text
    assert "client 12 of" in tools.prepare_a_call(ANALYST, "12")


def test_the_server_is_away() -> None:
    away = Target("promptcrm", "postgresql", "postgresql://u:hunter2@127.0.0.1:1/x")
    tools = open_toolset(dict.fromkeys(LOGINS, away))
    with pytest.raises(SourceError, match=r"^promptcrm does not answer: try again later$"):
        tools.client_history(STEWARD, 1)


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


SECRET = {"id", "tax_id_cipher", "email_cipher", "phone_cipher"}
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
        "SELECT email_hash FROM client",
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
    mine = ["SELECT email_cipher FROM client", "SELECT wrapped_key FROM data_key", "SELECT id FROM client"]
    for role, statements in (("promptcrm_mcp", both + mine), ("promptcrm_mcp_steward", both)):
        with inside(promptcrm_db, role) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            assert connection.execute("SELECT count(*) FROM client_card").fetchone() == (200,)
            if role.endswith("steward"):
                assert connection.execute("SELECT email_cipher FROM client").fetchone()
