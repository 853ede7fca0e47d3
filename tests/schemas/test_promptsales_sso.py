"""Sessions in PromptSales: expiry, revocation, refreshing, locking out. Time is data: nobody waits for it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from polling import eventually

HOUR = timedelta(hours=1)


def sha(number: int) -> bytes:
    """What stands for a token's hash."""
    return number.to_bytes(32, "big")


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


@pytest.fixture
def ask(connection):
    """The one value that a query gives."""

    def ask(query, *parameters):
        row = connection.execute(query, parameters).fetchone()
        return row and row[0]

    return ask


@pytest.fixture
def ana(ask) -> uuid.UUID:
    identity = ask(
        "INSERT INTO identity (email, display_name, password_hash) VALUES ('ana@example.com', 'Ana', 'scrypt$x') "
        "RETURNING id"
    )
    ask("INSERT INTO role_of_identity VALUES (%s, 'analyst') RETURNING role", identity)
    return identity


@pytest.fixture
def session(ask, ana) -> uuid.UUID:
    return ask("SELECT open_session(%s, %s, %s)", ana, sha(1), HOUR)


def expire(connection):
    connection.execute(
        "UPDATE sso_session SET created_at = created_at - interval '9 days', expires_at = now() - interval '1 ms'"
    )


def refresh(connection, old: int, new: int, ttl=HOUR):
    return connection.execute("SELECT * FROM refresh_session(%s, %s, %s)", [sha(old), sha(new), ttl]).fetchone()


def test_a_session_is_its_identity_s(ask, ana, session):
    assert ask("SELECT session_identity(%s)", sha(1)) == ana
    assert ask("SELECT session_identity(%s)", sha(2)) is None
    assert ask("SELECT database_role FROM roles_of(%s)", session) == "promptsales_analyst"
    assert ask("SELECT chain_id = id AND expires_at - created_at = '1 hour' FROM sso_session")


def test_an_expired_session_is_none(connection, ask, session):
    expire(connection)
    assert ask("SELECT session_identity(%s)", sha(1)) is None
    assert ask("SELECT count(*) FROM roles_of(%s)", session) == 0
    assert refresh(connection, 1, 2) is None
    assert ask("SELECT count(*) FROM sso_session") == 1


def test_a_revoked_session_is_none_at_once(connection, promptsales_db, ask, session):
    reader = promptsales_db.connect()
    assert ask("SELECT revoke_session(%s)", sha(1))
    assert reader.execute("SELECT session_identity(%s)", [sha(1)]).fetchone() == (None,)
    assert reader.execute("SELECT count(*) FROM roles_of(%s)", [session]).fetchone() == (0,)
    assert refresh(reader, 1, 2) is None
    assert ask("SELECT revoke_session(%s)", sha(1)) is False
    assert ask("SELECT revoke_session(%s)", sha(99)) is False


def test_who_is_disabled_has_no_session_and_opens_none(connection, ask, ana, session):
    connection.execute("UPDATE identity SET disabled_at = now()")
    assert ask("SELECT session_identity(%s)", sha(1)) is None
    assert refresh(connection, 1, 2) is None
    for nobody in (ana, uuid.uuid4()):
        with pytest.raises(
            psycopg.errors.InvalidAuthorizationSpecification, match="no such identity, or it is disabled"
        ):
            ask("SELECT open_session(%s, %s, %s)", nobody, sha(3), HOUR)


def test_a_chain_goes_on_under_the_next_token(connection, ask, ana, session):
    second, identity, _ = refresh(connection, 1, 2)
    assert identity == ana
    assert ask("SELECT session_identity(%s)", sha(1)) is None
    assert ask("SELECT session_identity(%s)", sha(2)) == ana
    third = refresh(connection, 2, 3)[0]
    assert len({session, second, third}) == 3
    for number in (session, second, third):
        assert ask("SELECT role FROM roles_of(%s)", number) == "analyst"
    assert ask("SELECT count(DISTINCT chain_id) FROM sso_session") == 1


def test_a_token_is_refreshed_once_and_the_second_time_ends_the_chain(connection, ask, session):
    refresh(connection, 1, 2)
    refresh(connection, 2, 3)
    assert ask("SELECT session_identity(%s)", sha(3)) is not None
    assert refresh(connection, 1, 4) is None
    assert ask("SELECT bool_and(revoked_at IS NOT NULL) AND count(*) = 3 FROM sso_session")
    assert ask("SELECT session_identity(%s)", sha(3)) is None
    assert refresh(connection, 3, 5) is None
    assert ask("SELECT count(*) FROM roles_of(%s)", session) == 0


def test_other_chains_of_the_identity_go_on_then(connection, ask, ana, session):
    ask("SELECT open_session(%s, %s, %s)", ana, sha(10), HOUR)
    refresh(connection, 1, 2)
    refresh(connection, 1, 3)
    assert ask("SELECT session_identity(%s)", sha(10)) == ana


@pytest.mark.parametrize("attempt", range(5))
def test_of_many_who_refresh_one_token_at_once_one_gets_it_and_the_chain_ends(promptsales_db, ask, session, attempt):
    connections = [promptsales_db.connect() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(lambda pair: refresh(pair[1], 1, 10 + pair[0]), enumerate(connections)))
    assert sum(row is not None for row in given) == 1
    assert ask("SELECT bool_and(revoked_at IS NOT NULL) AND count(*) = 2 FROM sso_session")


@pytest.mark.parametrize("how", ["revoke_session", "revoke_all"])
def test_who_refreshes_while_it_is_revoked_keeps_nothing(promptsales_db, connection, ask, ana, session, how):
    """The next token is there and not committed: who revokes does not see it yet, and must wait for it."""
    refreshing, revoking = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    assert refresh(refreshing, 1, 2) is not None
    with ThreadPoolExecutor(1) as pool:
        revoked = pool.submit(revoking.execute, f"SELECT {how}(%s)", [ana if how == "revoke_all" else sha(1)])
        pids = [refreshing.info.backend_pid, revoking.info.backend_pid]
        eventually(lambda: connection.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        refreshing.commit()
        assert revoked.result().fetchone()[0]
    assert ask("SELECT bool_and(revoked_at IS NOT NULL) AND count(*) = 2 FROM sso_session")
    assert ask("SELECT session_identity(%s)", sha(2)) is None


@pytest.mark.parametrize("how", ["revoke_session", "revoke_all"])
def test_who_revokes_while_it_is_refreshed_leaves_nothing(promptsales_db, connection, ask, ana, session, how):
    revoking, refreshing = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    revoking.execute(f"SELECT {how}(%s)", [ana if how == "revoke_all" else sha(1)])
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(refresh, refreshing, 1, 2)
        pids = [revoking.info.backend_pid, refreshing.info.backend_pid]
        eventually(lambda: connection.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        revoking.commit()
        assert refreshed.result() is None
    assert ask("SELECT bool_and(revoked_at IS NOT NULL) AND count(*) = 1 FROM sso_session")


def test_a_refreshed_session_is_revoked_by_any_of_its_tokens(connection, ask, session):
    refresh(connection, 1, 2)
    assert ask("SELECT revoke_session(%s)", sha(1))
    assert ask("SELECT session_identity(%s)", sha(2)) is None


def test_revoke_all_is_all_of_one(connection, ask, ana, session):
    eva = ask("INSERT INTO identity (email, display_name) VALUES ('eva@example.com', 'Eva') RETURNING id")
    ask("SELECT open_session(%s, %s, %s)", ana, sha(2), HOUR)
    ask("SELECT open_session(%s, %s, %s)", eva, sha(3), HOUR)
    refresh(connection, 1, 4)
    assert ask("SELECT revoke_all(%s)", ana) == 2
    assert ask("SELECT revoke_all(%s)", ana) == 0
    assert [ask("SELECT session_identity(%s)", sha(number)) for number in (1, 2, 3, 4)] == [None, None, eva, None]


def test_a_chain_ends_however_often_it_is_refreshed(connection, ask, ana):
    ask("SELECT open_session(%s, %s, %s, %s)", ana, sha(1), timedelta(minutes=40), HOUR)
    assert refresh(connection, 1, 2) is not None
    assert ask("SELECT expires_at = chain_expires_at FROM sso_session WHERE token_hash = %s", sha(2))
    connection.execute(
        "UPDATE sso_session SET created_at = created_at - interval '1 day', expires_at = now() - interval '1 ms', "
        "chain_expires_at = now() - interval '1 ms'"
    )
    assert refresh(connection, 2, 3) is None


def test_a_session_is_seen(connection, ask, session):
    assert ask("SELECT last_seen_at FROM sso_session") is None
    connection.execute("SELECT touch_session(%s)", [sha(1)])
    assert ask("SELECT last_seen_at >= created_at FROM sso_session")


def test_purging_takes_what_ended_long_ago_and_keeps_the_old_tokens_of_what_lives(connection, ask, ana, session):
    refresh(connection, 1, 2)  # lives
    ask("SELECT open_session(%s, %s, %s)", ana, sha(10), HOUR)  # will be revoked ten days ago
    refresh(connection, 10, 11)
    ask("SELECT open_session(%s, %s, %s)", ana, sha(20), HOUR)  # revoked now
    ask("SELECT open_session(%s, %s, %s)", ana, sha(30), HOUR)  # expired ten days ago
    connection.execute("UPDATE sso_session SET created_at = created_at - interval '20 days'")
    connection.execute(
        "UPDATE sso_session SET revoked_at = now() - interval '10 days' WHERE token_hash IN (%s, %s)",
        [sha(10), sha(11)],
    )
    connection.execute("SELECT revoke_session(%s)", [sha(20)])
    connection.execute(
        "UPDATE sso_session SET expires_at = now() - interval '10 days' WHERE token_hash IN (%s, %s)", [sha(1), sha(30)]
    )
    assert ask("SELECT purge_sessions('11 days')") == 0
    assert ask("SELECT purge_sessions('9 days')") == 3
    left = connection.execute("SELECT token_hash FROM sso_session ORDER BY token_hash").fetchall()
    assert left == [(sha(1),), (sha(2),), (sha(20),)]
    assert refresh(connection, 1, 3) is None  # known as stolen still
    assert ask("SELECT session_identity(%s)", sha(2)) is None


@pytest.mark.parametrize(
    "change",
    [
        "token_hash = decode('00', 'hex')",
        "token_hash = NULL",
        "expires_at = created_at",
        "expires_at = chain_expires_at + interval '1 s'",
        "chain_id = gen_random_uuid()",
        "identity_id = gen_random_uuid()",
    ],
)
def test_sessions_that_cannot_be(connection, session, change):
    with pytest.raises(psycopg.IntegrityError):
        connection.execute(f"UPDATE sso_session SET {change}")


def test_one_token_is_one_session(ask, ana, session):
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask("SELECT open_session(%s, %s, %s)", ana, sha(1), HOUR)
    with pytest.raises(psycopg.errors.CheckViolation):
        ask("SELECT open_session(%s, %s, %s)", ana, sha(2), timedelta(0))


@pytest.mark.parametrize(
    "change",
    ["email = 'x'", "email = 'a b@c'", "email = NULL", "password_hash = 'correct horse'", "failed_attempts = -1"],
)
def test_identities_that_cannot_be(connection, ana, change):
    with pytest.raises(psycopg.IntegrityError):
        connection.execute(f"UPDATE identity SET {change}")


def test_an_identity_takes_its_sessions_and_roles_with_it(connection, ask, ana, session):
    refresh(connection, 1, 2)
    connection.execute("DELETE FROM identity")
    assert ask("SELECT (SELECT count(*) FROM sso_session) + (SELECT count(*) FROM role_of_identity)") == 0


@pytest.mark.parametrize(
    "injection",
    [
        "' OR '1'='1",
        "ana@example.com' --",
        "'; DROP TABLE identity; --",
        "ana@example.com'); DELETE FROM sso_session; --",
        "%",
        "_na@example.com",
        "$$ || $$",
        "\\",
        "ana@example.com\n",
        "ＡＮＡ@example.com",
    ],
)
def test_what_is_injected_is_an_address_that_nobody_has(connection, ask, ana, session, injection):
    found = connection.execute("SELECT * FROM begin_login(%s)", [injection]).fetchall()
    assert found == []
    assert ask("SELECT count(*) FROM identity") == ask("SELECT count(*) FROM sso_session") == 1
    for function in ("session_identity", "revoke_session"):
        assert not ask(f"SELECT {function}(%s)", injection.encode())


def test_attempts_are_counted_before_the_hash_is_given_out(connection, ask, ana):
    for number in range(1, 4):
        assert ask("SELECT password_hash FROM begin_login('ANA@example.com ', 3)") == "scrypt$x"
        assert ask("SELECT failed_attempts FROM identity") == number
    assert ask("SELECT password_hash FROM begin_login('ana@example.com', 3)") is None
    assert ask("SELECT locked_until > now() + interval '14 minutes' FROM identity")
    connection.execute("UPDATE identity SET locked_until = now() - interval '1 ms'")
    assert ask("SELECT password_hash FROM begin_login('ana@example.com', 3)") == "scrypt$x"
    assert ask("SELECT failed_attempts = 1 AND locked_until IS NULL FROM identity")
    connection.execute("SELECT end_login(%s)", [ana])
    assert ask("SELECT failed_attempts FROM identity") == 0


def test_no_function_can_be_led_astray_by_a_search_path(connection):
    """Every function that runs with its owner's rights says where it looks, its caller's own schema last."""
    found = connection.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef "
        "AND NOT coalesce('search_path=pg_catalog, public, pg_temp' = ANY (proconfig), false)"
    ).fetchall()
    assert found == []
    counted = connection.execute(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    )
    assert counted.fetchone()[0] >= 15
    connection.execute(
        "CREATE TEMP TABLE identity AS SELECT gen_random_uuid() AS id, NULL::timestamptz AS disabled_at; "
        "CREATE TEMP TABLE sso_session (token_hash bytea)"
    )
    assert connection.execute("SELECT session_identity(%s)", [sha(1)]).fetchone() == (None,)
