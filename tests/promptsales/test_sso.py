"""Passwords, tokens, and logging in."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from harness.errors import DataError
from harness.promptsales.sso import (
    LONGEST,
    Login,
    Scrypt,
    add_identity,
    hash_password,
    identity_of,
    log_in,
    log_out,
    new_token,
    refresh,
    roles_of,
    token_hash,
    verify_password,
)

CHEAP = Scrypt(n=16, r=1, p=1)
PASSWORD = "correct horse"
HOUR = timedelta(hours=1)


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


@pytest.fixture
def ana(connection) -> UUID:
    return add_identity(connection, "Ana@Example.com", "Ana", PASSWORD, ["analyst", "reader"], cost=CHEAP)


def enter(connection, email="ana@example.com", password=PASSWORD) -> Login | None:
    return log_in(connection, email, password, HOUR, cost=CHEAP)


def test_a_password_and_its_hash():
    stored = hash_password(PASSWORD)
    assert stored.startswith("scrypt$16384$8$5$")
    assert PASSWORD not in stored
    assert verify_password(PASSWORD, stored)
    assert not verify_password(PASSWORD + " ", stored)


def test_one_password_has_many_hashes():
    assert len({hash_password(PASSWORD, CHEAP) for _ in range(10)}) == 10


@pytest.mark.parametrize("password", ["ñandúñandú", "🦤" * 8, "x" * LONGEST, "with\0nothing", "half \ud800 of it"])
def test_any_text_can_be_a_password(password):
    assert verify_password(password, hash_password(password, CHEAP))


def test_one_letter_written_in_two_ways_is_one_password():
    assert verify_password("cafe\u0301 con leche", hash_password("caf\u00e9 con leche", CHEAP))


@pytest.mark.parametrize("password", ["", "short", "x" * (LONGEST + 1)])
def test_passwords_that_are_none(password):
    with pytest.raises(DataError, match="8 to 1024 characters"):
        hash_password(password, CHEAP)
    assert not verify_password(password, hash_password(PASSWORD, CHEAP))


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "correct horse",
        "scrypt$16$1$1$",
        "scrypt$16$1$1$!!!!$AAAA",
        "bcrypt$16$1$1$" + "A" * 24 + "$" + "A" * 43 + "=",
        "scrypt$x$1$1$" + "A" * 24 + "$" + "A" * 43 + "=",
        "scrypt$16$1$1$AAAA$" + "A" * 43 + "=",
        "scrypt$16$1$1$" + "A" * 24 + "$",  # an empty hash, which a careless comparison would find equal
        "scrypt$15$1$1$" + "A" * 24 + "$" + "A" * 43 + "=",
        "scrypt$-2$-8$1$" + "A" * 24 + "$" + "A" * 43 + "=",
        "scrypt$1048576$1024$1$" + "A" * 24 + "$" + "A" * 43 + "=",
        "scrypt$16$1$1000000$" + "A" * 24 + "$" + "A" * 43 + "=",
    ],
)
def test_stored_hashes_that_are_none_or_ask_for_too_much(stored):
    with pytest.raises(DataError, match="password") as caught:
        verify_password(PASSWORD, stored)
    assert PASSWORD not in str(caught.value)


def test_tokens_are_random_and_their_hash_is_sha256():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    token = tokens.pop()
    assert len(token) == 43
    assert token_hash(token) == hashlib.sha256(token.encode()).digest()


def test_log_in_and_out(connection, ana):
    login = enter(connection)
    assert login is not None
    assert login.identity == ana
    assert identity_of(connection, login.token) == ana
    assert roles_of(connection, login.session) == {"analyst": "promptsales_analyst", "reader": "promptsales_reader"}
    assert log_out(connection, login.token)
    assert not log_out(connection, login.token)
    assert identity_of(connection, login.token) is None
    assert roles_of(connection, login.session) == {}


def test_neither_password_nor_token_is_kept_or_shown(connection, ana):
    login = enter(connection)
    assert login is not None
    assert login.token not in repr(login)
    shown = ""
    for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
        shown += str(connection.execute(f"SELECT string_agg(t::text, '') FROM {name} AS t").fetchone())
    assert str(login.session) in shown
    for secret in (PASSWORD, login.token):
        assert secret not in shown
        assert secret.encode().hex() not in shown


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ana@example.com", "wrong horse"),
        ("ana@example.com", ""),
        ("ana@example.com", PASSWORD.upper()),
        ("eva@example.com", PASSWORD),
        ("", PASSWORD),
        ("ana@example.com\0", PASSWORD),
        ("\ud800", PASSWORD),
        ("ana@example.com' OR '1'='1", PASSWORD),
        ("ana@example.com'; DELETE FROM identity; --", PASSWORD),
        ("%", PASSWORD),
        ("x" * 100_000, PASSWORD),
        ("ana@example.com", "x" * 100_000),
    ],
)
def test_refused(connection, ana, email, password):
    assert enter(connection, email, password) is None
    assert enter(connection) is not None  # nothing happened to the identity


@pytest.mark.parametrize("email", ["ana@example.com", "ANA@EXAMPLE.COM", "  Ana@example.com "])
def test_an_address_is_one_however_it_is_written(connection, ana, email):
    login = enter(connection, email)
    assert login is not None
    assert login.identity == ana


def test_an_identity_without_a_password_logs_in_elsewhere(connection):
    add_identity(connection, "eva@example.com", "Eva")
    assert enter(connection, "eva@example.com") is None


def test_locked_after_five_and_open_again_when_it_is_over(connection, ana):
    for _ in range(5):
        assert enter(connection, password="wrong horse") is None
    assert enter(connection) is None
    connection.execute("UPDATE identity SET locked_until = now() - interval '1 second'")
    assert enter(connection, password="wrong horse") is None
    assert enter(connection) is not None
    assert connection.execute("SELECT failed_attempts, locked_until FROM identity").fetchone() == (0, None)


def test_a_login_forgives_the_attempts_before_it(connection, ana):
    for _ in range(3):
        for _ in range(4):
            assert enter(connection, password="wrong horse") is None
        assert enter(connection) is not None


def test_many_at_once_are_not_many_guesses(promptsales_db, connection, ana, monkeypatch):
    """Forty tries side by side: no more than five passwords are looked at."""
    looked: list[str] = []
    monkeypatch.setattr(
        "harness.promptsales.sso.verify_password", lambda password, stored: bool(looked.append(password))
    )
    connections = [promptsales_db.connect() for _ in range(8)]

    def guess(own) -> None:
        for _ in range(5):
            assert enter(own, password="wrong horse") is None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, connections))
    assert len(looked) == 5


def test_an_attempt_counts_even_if_nobody_hears_of_it(promptsales_db, ana):
    with pytest.raises(DataError, match="autocommit"):
        enter(promptsales_db.connect(autocommit=False))


def test_disabled(connection, ana):
    login = enter(connection)
    assert login is not None
    connection.execute("UPDATE identity SET disabled_at = now()")
    assert enter(connection) is None
    assert identity_of(connection, login.token) is None
    assert roles_of(connection, login.session) == {}
    assert refresh(connection, login.token, HOUR) is None


def test_a_refreshed_session_goes_on_under_a_new_token(connection, ana):
    first = enter(connection)
    assert first is not None
    refreshed = refresh(connection, first.token, HOUR)
    assert refreshed is not None
    second, expires_at = refreshed
    assert identity_of(connection, first.token) is None
    assert identity_of(connection, second.token) == second.identity == ana
    assert roles_of(connection, first.session) == roles_of(connection, second.session) != {}
    assert connection.execute("SELECT %s > now()", [expires_at]).fetchone()[0]


def test_a_token_that_is_refreshed_twice_ends_the_session(connection, ana):
    first = enter(connection)
    assert first is not None
    refreshed = refresh(connection, first.token, HOUR)
    assert refreshed is not None
    second = refreshed[0]
    assert refresh(connection, first.token, HOUR) is None
    assert identity_of(connection, second.token) is None
    assert refresh(connection, second.token, HOUR) is None
    assert roles_of(connection, second.session) == {}


@pytest.mark.parametrize("token", ["", "x", "' OR true --", "\0", "\ud800", "x" * 100_000])
def test_tokens_that_are_none(connection, ana, token):
    assert enter(connection) is not None
    assert identity_of(connection, token) is None
    assert refresh(connection, token, HOUR) is None
    assert not log_out(connection, token)


def test_a_session_can_be_asked_about_in_a_transaction_that_only_reads(promptsales_db, connection, ana):
    login = enter(connection)
    assert login is not None
    reading = promptsales_db.connect(options="-c default_transaction_read_only=on")
    assert identity_of(reading, login.token) == ana
    assert len(roles_of(reading, login.session)) == 2


def test_the_issuer_needs_no_right_on_any_table(promptsales_db, ana):
    own = promptsales_db.connect()
    own.execute("SET ROLE promptsales_sso")
    login = enter(own)
    assert login is not None
    refreshed = refresh(own, login.token, HOUR)
    assert refreshed is not None
    assert log_out(own, refreshed[0].token)


def test_the_admin_makes_identities(promptsales_db):
    own = promptsales_db.connect()
    own.execute("SET ROLE promptsales_admin")
    add_identity(own, "eva@example.com", "Eva", PASSWORD, ["etl"], cost=CHEAP)
    own.execute("RESET ROLE")
    assert enter(own, "eva@example.com") is not None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"email": "ANA@example.com "}, "already"),
        ({"email": "not an address"}, "cannot be"),
        ({"email": "a@b\0"}, "cannot be"),
        ({"email": "a@" + "b" * 300}, "cannot be"),
        ({"roles": ["king"]}, "no such role"),
        ({"roles": ["etl", "etl"]}, "named twice"),
        ({"password": "short"}, "characters"),
    ],
)
def test_identities_that_cannot_be(connection, ana, changed, says):
    given = {"email": "eva@example.com", "display_name": "Eva", "password": PASSWORD, "roles": []} | changed
    with pytest.raises(DataError, match=says) as caught:
        add_identity(connection, **given, cost=CHEAP)
    assert PASSWORD not in str(caught.value)
    assert connection.execute("SELECT count(*) FROM identity").fetchone() == (1,)
