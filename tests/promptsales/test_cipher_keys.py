"""Data keys in the table, and clients sealed, shown and found with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from promptsales.crm import PASSWORD, add_clients, values_of

from harness.errors import DataError
from harness.promptsales.cipher import (
    Certificate,
    KeyRing,
    create_key,
    find_client,
    make_certificate,
    reveal,
    rewrap_keys,
    seal,
    seed_key,
)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate.load(*make_certificate("promptcrm", PASSWORD, key_size=2048), PASSWORD)


@pytest.fixture(scope="module")
def newer() -> Certificate:
    return Certificate.load(*make_certificate("promptcrm next year", PASSWORD, key_size=2048), PASSWORD)


@pytest.fixture
def ring(connection, certificate) -> KeyRing:
    create_key(connection, certificate)
    return KeyRing.open(connection, certificate)


def test_the_table_shows_neither_key_nor_values(connection, certificate):
    create_key(connection, certificate, key=seed_key(42))
    ring = KeyRing.open(connection, certificate)
    add_clients(connection, ring, range(1, 6))
    shown = connection.execute("SELECT string_agg(t::text, '') FROM (TABLE client) t").fetchone()[0]
    keys = connection.execute("SELECT string_agg(t::text, '') FROM (TABLE data_key) t").fetchone()[0]
    plain = [value for client_id in range(1, 6) for value in values_of(client_id).values() if value]
    for value in [*plain, *(value.lower() for value in plain)]:
        assert value not in shown
        assert value.encode().hex() not in shown
    assert seed_key(42).hex() not in keys + shown
    assert certificate.thumbprint.hex() in keys


def test_what_is_sealed_is_revealed_and_found(connection, ring):
    add_clients(connection, ring, range(1, 11))
    for client_id in range(1, 11):
        assert reveal(connection, ring, client_id) == values_of(client_id)
    assert find_client(connection, ring, "email", " CLIENT7@example.com ") == [7]
    assert find_client(connection, ring, "tax_id", "3.101.000007") == [7]
    assert find_client(connection, ring, "phone", "50680070000") == [7]
    assert find_client(connection, ring, "phone", "client7@example.com") == []
    assert find_client(connection, ring, "email", "client77@example.com") == []


def test_all_that_share_a_value_are_found_and_one_tax_id_is_one_client(connection, ring):
    add_clients(connection, ring, [3, 1, 2])
    shared = seal(ring, 1, {"email": values_of(3)["email"]})
    connection.execute("UPDATE client SET email_hash = %(email_hash)s WHERE id IN (1, 3)", shared)
    assert find_client(connection, ring, "email", values_of(3)["email"]) == [1, 3]
    twice = seal(ring, 1, {"tax_id": values_of(3)["tax_id"]})
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("UPDATE client SET tax_id_hash = %(tax_id_hash)s WHERE id = 1", twice)


def test_ciphertexts_that_change_places_do_not_decrypt(connection, ring):
    add_clients(connection, ring, [1, 2])
    connection.execute("UPDATE client SET email_cipher = (SELECT email_cipher FROM client WHERE id = 2) WHERE id = 1")
    with pytest.raises(DataError, match="email of client 1 cannot be decrypted"):
        reveal(connection, ring, 1)
    assert reveal(connection, ring, 2) == values_of(2)
    connection.execute("UPDATE client SET email_cipher = tax_id_cipher WHERE id = 2")
    with pytest.raises(DataError, match="email of client 2 cannot be decrypted") as caught:
        reveal(connection, ring, 2)
    assert values_of(2)["tax_id"] not in str(caught.value)


def test_a_client_that_is_not_there(connection, ring):
    with pytest.raises(DataError, match="no client 5"):
        reveal(connection, ring, 5)


@pytest.mark.parametrize("column", ["name", "email_cipher", 'email_hash" = email_hash --'])
def test_only_sensitive_columns_are_searched(connection, ring, column):
    with pytest.raises(DataError, match="not a sensitive column"):
        find_client(connection, ring, column, "x")
    with pytest.raises(DataError, match="not a sensitive column"):
        seal(ring, 1, {column: "x"})


def test_a_search_uses_the_index(connection, ring):
    add_clients(connection, ring, range(1, 4))
    connection.execute("SET enable_seqscan = off")
    plan = connection.execute(
        "EXPLAIN SELECT id FROM client WHERE email_hash = ANY(%s)", [ring.digests("email", "a@b.c")]
    ).fetchall()
    assert "ix_client_email_hash" in str(plan)


def test_keys_are_numbered_and_the_newest_is_current(connection, certificate, ring):
    assert create_key(connection, certificate, name="second") == 2
    assert ring.versions == {1}
    ring.reload(connection)
    assert (ring.versions, ring.current.version) == ({1, 2}, 2)
    connection.execute("UPDATE data_key SET retired_at = created_at WHERE version = 2")
    ring.reload(connection)
    assert (ring.versions, ring.current.version) == ({1, 2}, 1)
    with pytest.raises(DataError, match="called 'second' already"):
        create_key(connection, certificate, name="second")
    assert repr(ring) == "KeyRing(versions=[1, 2], current=1)"


def test_each_key_is_another(connection, certificate, ring):
    create_key(connection, certificate)
    ring.reload(connection)
    assert ring.cipher(1).digest("email", "x") != ring.cipher(2).digest("email", "x")


def test_without_keys_there_is_no_ring(connection, certificate, ring):
    connection.execute("UPDATE data_key SET retired_at = created_at")
    with pytest.raises(DataError, match="make one first"):
        KeyRing.open(connection, certificate)
    connection.execute("DELETE FROM data_key")
    with pytest.raises(DataError, match="make one first"):
        ring.reload(connection)
    assert ring.versions == {1}


def test_a_version_that_is_nowhere(connection, certificate, ring):
    create_key(connection, certificate)
    other = KeyRing.open(connection, certificate)
    add_clients(connection, other, [1])
    connection.execute("SET session_replication_role = replica")  # the foreign key would not let the key go
    connection.execute("DELETE FROM data_key WHERE version = 2")
    with pytest.raises(DataError, match=r"version 2 is not in the key ring, which has \[1\]"):
        reveal(connection, ring, 1)


def test_the_wrong_certificate_opens_nothing_and_is_named(connection, certificate, newer, ring):
    with pytest.raises(DataError, match=f"wrapped by the certificate {certificate.thumbprint.hex()[:16]}.*next year"):
        KeyRing.open(connection, newer)
    with pytest.raises(DataError, match="given: none"):
        KeyRing.open(connection)
    connection.execute("UPDATE data_key SET certificate_thumbprint = %s", [newer.thumbprint])
    with pytest.raises(DataError, match="does not open"):
        KeyRing.open(connection, newer)
    connection.execute("UPDATE data_key SET wrapped_key = NULL")
    with pytest.raises(DataError, match="key store"):
        KeyRing.open(connection, newer)


def test_an_expired_certificate_opens_and_makes_nothing(connection, certificate, ring):
    late = datetime.now(UTC) + timedelta(days=400)
    with pytest.raises(DataError, match="has expired"):
        KeyRing.open(connection, certificate, now=late)
    with pytest.raises(DataError, match="has expired"):
        create_key(connection, certificate, now=late)
    assert connection.execute("SELECT count(*) FROM data_key").fetchone() == (1,)


def test_keys_move_to_another_certificate_and_rows_stay(connection, certificate, newer, ring):
    add_clients(connection, ring, range(1, 4))
    create_key(connection, certificate)
    before = connection.execute("SELECT * FROM client ORDER BY id").fetchall()
    assert rewrap_keys(connection, certificate, newer) == 2
    assert rewrap_keys(connection, certificate, newer) == 0
    assert connection.execute("SELECT * FROM client ORDER BY id").fetchall() == before
    moved = KeyRing.open(connection, newer)
    assert [reveal(connection, moved, client_id) for client_id in (1, 2, 3)] == [values_of(i) for i in (1, 2, 3)]
    assert find_client(connection, moved, "email", "client3@example.com") == [3]
    with pytest.raises(DataError, match="wrapped by the certificate"):
        KeyRing.open(connection, certificate)


def test_an_expired_certificate_can_be_left_but_not_moved_to(connection, certificate, ring):
    long_ago = datetime.now(UTC) - timedelta(days=900)
    old = Certificate.load(*make_certificate("old", PASSWORD, not_before=long_ago, key_size=2048), PASSWORD)
    connection.execute("DELETE FROM data_key")
    create_key(connection, old, now=long_ago + timedelta(days=1))
    with pytest.raises(DataError, match="has expired"):
        KeyRing.open(connection, old)
    assert rewrap_keys(connection, old, certificate) == 1
    with pytest.raises(DataError, match="has expired"):
        rewrap_keys(connection, certificate, old)
    assert KeyRing.open(connection, certificate).versions == {1}


def test_all_keys_are_moved_or_none(connection, certificate, newer, ring):
    create_key(connection, certificate)
    connection.execute("UPDATE data_key SET certificate_thumbprint = '\\x00' WHERE version = 2")
    with pytest.raises(DataError, match="key version 2 is wrapped by the certificate 00"):
        rewrap_keys(connection, certificate, newer)
    thumbprint = connection.execute("SELECT certificate_thumbprint FROM data_key WHERE version = 1").fetchone()[0]
    assert thumbprint == certificate.thumbprint


def test_a_reader_with_both_certificates_reads_through_the_move(connection, certificate, newer, ring):
    add_clients(connection, ring, [1])
    reader = KeyRing.open(connection, certificate, newer)
    rewrap_keys(connection, certificate, newer)
    create_key(connection, newer)
    add_clients(connection, KeyRing.open(connection, newer), [2])
    assert [reveal(connection, reader, client_id) for client_id in (1, 2)] == [values_of(1), values_of(2)]


def test_who_moves_keys_must_be_in_autocommit_mode(crm, certificate, newer):
    connection = crm.connect(autocommit=False)
    for call in (lambda: create_key(connection, certificate), lambda: rewrap_keys(connection, certificate, newer)):
        with pytest.raises(DataError, match="autocommit"):
            call()


def test_who_reads_need_not(crm, connection, certificate, ring):
    add_clients(connection, ring, [1])
    reading = crm.connect(autocommit=False)
    own = KeyRing.open(reading, certificate)
    assert find_client(reading, own, "email", "client1@example.com") == [1]
    assert reveal(reading, own, 1) == values_of(1)
