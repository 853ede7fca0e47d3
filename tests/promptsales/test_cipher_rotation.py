"""A new data key for all, while others read and write, and when it is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from polling import eventually
from promptsales.crm import PASSWORD, add_clients, values_of

from harness.errors import DataError
from harness.promptsales.cipher import (
    Certificate,
    KeyRing,
    create_key,
    find_client,
    make_certificate,
    reveal,
    rotate,
    seal,
)

CLIENTS = range(1, 61)


@pytest.fixture(scope="module")
def pems() -> tuple[bytes, bytes]:
    return make_certificate("promptcrm", PASSWORD, key_size=2048)


@pytest.fixture(scope="module")
def certificate(pems) -> Certificate:
    return Certificate.load(*pems, PASSWORD)


@pytest.fixture
def ring(connection, certificate) -> KeyRing:
    create_key(connection, certificate)
    ring = KeyRing.open(connection, certificate)
    add_clients(connection, ring, CLIENTS)
    return ring


def all_is_right(connection, ring: KeyRing, version: int, clients=CLIENTS) -> bool:
    versions = connection.execute("SELECT DISTINCT key_version FROM client").fetchall()
    ciphers = connection.execute(
        "SELECT DISTINCT substr(c, 2, 2) FROM client, unnest(ARRAY[tax_id_cipher, email_cipher, phone_cipher]) AS c "
        "WHERE c IS NOT NULL"
    ).fetchall()
    assert versions == [(version,)]
    assert ciphers == [(version.to_bytes(2, "big"),)]
    for client_id in clients:
        assert reveal(connection, ring, client_id) == values_of(client_id)
        for column, value in values_of(client_id).items():
            assert not value or find_client(connection, ring, column, value) == [client_id]
    return True


def retired(connection) -> list[tuple[int, bool]]:
    return connection.execute("SELECT version, retired_at IS NOT NULL FROM data_key ORDER BY version").fetchall()


@pytest.mark.parametrize("batch", [1, 7, 60, 10_000])
def test_everything_is_encrypted_and_hashed_anew(connection, certificate, ring, batch):
    steps: list[tuple[int, int]] = []
    before = connection.execute("SELECT tax_id_hash FROM client").fetchall()
    done = rotate(connection, ring, certificate, batch=batch, progress=lambda *step: steps.append(step))
    assert (done.version, done.retired, done.rows, done.resumed) == (2, (1,), 60, False)
    assert steps[-1] == (60, 60)
    assert len(steps) == -(-60 // batch)
    assert all_is_right(connection, ring, 2)
    assert retired(connection) == [(1, True), (2, False)]
    after = connection.execute("SELECT tax_id_hash FROM client").fetchall()
    assert not {*before} & {*after}
    under_first = ring.cipher(1).digest("email", "client7@example.com")
    assert connection.execute("SELECT id FROM client WHERE email_hash = %s", [under_first]).fetchall() == []


def test_again_and_again(connection, certificate, ring):
    for version in (2, 3, 4):
        assert rotate(connection, ring, certificate).version == version
    assert all_is_right(connection, ring, 4)
    assert retired(connection) == [(1, True), (2, True), (3, True), (4, False)]


def test_clients_without_values_stay_as_they_are(connection, certificate, ring):
    connection.execute(
        "UPDATE client SET tax_id_cipher = NULL, tax_id_hash = NULL, email_cipher = NULL, email_hash = NULL, "
        "phone_cipher = NULL, phone_hash = NULL, key_version = CASE WHEN id > 1 THEN key_version END WHERE id IN (1, 2)"
    )
    rotate(connection, ring, certificate)
    assert connection.execute("SELECT id, key_version FROM client WHERE id < 4 ORDER BY id").fetchall() == [
        (1, None),
        (2, 2),
        (3, 2),
    ]
    assert reveal(connection, ring, 1) == reveal(connection, ring, 2) == dict.fromkeys(("tax_id", "email", "phone"))


def test_a_column_that_is_empty_everywhere(connection, certificate, ring):
    connection.execute("UPDATE client SET phone_cipher = NULL, phone_hash = NULL")
    rotate(connection, ring, certificate)
    assert reveal(connection, ring, 1) == values_of(1) | {"phone": None}


def test_readers_are_right_at_any_moment(crm, connection, certificate, ring):
    """Two readers with rings of their own, opened before; after each batch it waits until both have looked at all."""
    over = threading.Event()
    looked = [0, 0]

    def read(number: int) -> None:
        own, mine = connections[number], rings[number]
        while not over.is_set():
            for client_id in CLIENTS:
                assert reveal(own, mine, client_id) == values_of(client_id)
                for column, value in values_of(client_id).items():
                    assert not value or find_client(own, mine, column, value) == [client_id]
            looked[number] += 1
        assert mine.versions == {1, 2}

    def progress(done: int, total: int) -> None:
        aim = [count + 2 for count in looked]  # one look that began after this batch has ended
        eventually(lambda: all(map(int.__ge__, looked, aim)) or any(reader.done() for reader in readers))

    connections = [crm.connect(), crm.connect()]
    rings = [KeyRing.open(own, certificate) for own in connections]
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, number) for number in range(2)]
        try:
            eventually(lambda: all(looked) or any(reader.done() for reader in readers))
            rotate(connection, ring, certificate, batch=20, progress=progress)
        finally:
            over.set()
        for reader in readers:
            reader.result()
    assert all_is_right(connection, ring, 2)


def test_a_reader_of_an_old_snapshot_still_reads(crm, connection, certificate, ring):
    reader = crm.connect(autocommit=False)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    reader.execute("SELECT 1 FROM client LIMIT 1")
    rotate(connection, ring, certificate)
    for known in (ring, KeyRing.open(reader, certificate)):
        assert reveal(reader, known, 7) == values_of(7)
        assert find_client(reader, known, "email", "client7@example.com") == [7]


def test_who_writes_under_the_old_key_meanwhile_is_waited_for(crm, connection, certificate, ring):
    """A writer with an old ring has not committed yet when the old version would be retired."""
    old = KeyRing.open(connection, certificate)
    writer, asking = crm.connect(autocommit=False), crm.connect()
    add_clients(writer, old, [0, 100])
    with ThreadPoolExecutor(1) as pool:
        rotation = pool.submit(rotate, connection, ring, certificate)
        pid = connection.info.backend_pid
        waits = "SELECT %s = ANY(pg_blocking_pids(%s))"
        eventually(lambda: asking.execute(waits, [writer.info.backend_pid, pid]).fetchone()[0] or rotation.done())
        assert not rotation.done()
        writer.commit()
        assert rotation.result().rows == 62
    assert all_is_right(connection, ring, 2, [0, *CLIENTS, 100])


def test_who_writes_under_the_retired_key_later_is_still_found_and_caught_up(crm, connection, certificate, ring):
    old = KeyRing.open(connection, certificate)
    rotate(connection, ring, certificate)
    add_clients(connection, old, [100])
    assert find_client(connection, ring, "email", "client100@example.com") == [100]
    assert reveal(connection, ring, 100) == values_of(100)
    rotate(connection, ring, certificate)
    assert all_is_right(connection, ring, 3, [*CLIENTS, 100])


def test_two_clients_with_one_tax_id_end_the_rotation(crm, connection, certificate, ring):
    """The unique index cannot see it while the two are under two versions."""
    create_key(connection, certificate)
    second = KeyRing.open(connection, certificate)
    add_clients(connection, second, [100])
    twice = seal(second, 100, {"tax_id": values_of(31)["tax_id"]})
    connection.execute(
        "UPDATE client SET tax_id_cipher = %(tax_id_cipher)s, tax_id_hash = %(tax_id_hash)s WHERE id = 100", twice
    )
    with pytest.raises(DataError, match=r"two clients have one tax id.*31 to 40") as caught:
        rotate(connection, ring, certificate, batch=10)
    assert values_of(31)["tax_id"] not in str(caught.value)
    assert caught.value.__suppress_context__
    assert connection.execute("SELECT count(*) FROM client WHERE key_version = 2").fetchone() == (31,)
    connection.execute("DELETE FROM client WHERE id = 100")
    assert rotate(connection, ring, certificate).resumed
    assert all_is_right(connection, ring, 2)


def test_damaged_rows_end_the_rotation_and_nothing_is_lost(connection, certificate, ring):
    connection.execute("UPDATE client SET email_cipher = set_byte(email_cipher, 9, 0) || '\\x00' WHERE id = 25")
    with pytest.raises(DataError, match="email of client 25 cannot be decrypted"):
        rotate(connection, ring, certificate, batch=10)
    assert retired(connection) == [(1, False), (2, False)]
    assert connection.execute("SELECT count(*) FROM client WHERE key_version = 2").fetchone() == (20,)
    for client_id in (1, 20, 21, 60):
        assert reveal(connection, ring, client_id) == values_of(client_id)


def test_only_one_rotates_at_a_time(crm, connection, certificate, ring):
    other = crm.connect()

    def progress(done: int, total: int) -> None:
        with pytest.raises(DataError, match="by somebody else"):
            rotate(other, ring, certificate)

    rotate(connection, ring, certificate, progress=progress)
    assert rotate(other, ring, certificate).version == 3


def test_it_asks_for_autocommit_and_for_a_ring_that_can_open_the_new_key(crm, connection, certificate, ring):
    with pytest.raises(DataError, match="autocommit"):
        rotate(crm.connect(autocommit=False), ring, certificate)
    other = Certificate.load(*make_certificate("other", "x", key_size=2048), "x")
    with pytest.raises(DataError, match="was not opened with certificate 'other'"):
        rotate(connection, ring, other)
    assert retired(connection) == [(1, False)]


@pytest.mark.parametrize("batches", [1, 3, 6])
def test_killed_between_batches_the_next_call_finishes(crm, connection, certificate, ring, pems, tmp_path, batches):
    for name, pem in zip(("c.pem", "k.pem"), pems, strict=True):
        (tmp_path / name).write_bytes(pem)
    child = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("rotating.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        print(crm.url, tmp_path / "c.pem", tmp_path / "k.pem", PASSWORD, file=child.stdin)
        for number in range(1, batches + 1):
            assert child.stdout.readline().split() == [str(number * 10), "60"]
            if number < batches:
                print(file=child.stdin)
        child.kill()
    done = connection.execute("SELECT count(*) FROM client WHERE key_version = 2").fetchone()[0]
    assert done == batches * 10
    assert retired(connection) == [(1, False), (2, False)]
    for client_id in CLIENTS:  # in the middle, too
        assert reveal(connection, ring, client_id) == values_of(client_id)
        assert find_client(connection, ring, "email", values_of(client_id)["email"]) == [client_id]
    gone = (
        "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    eventually(lambda: connection.execute(gone).fetchone()[0], "the server lets the lock of the dead one go")
    finished = rotate(connection, ring, certificate, batch=10)
    assert (finished.version, finished.rows, finished.resumed) == (2, 60 - done, True)
    assert all_is_right(connection, ring, 2)
    assert retired(connection) == [(1, True), (2, False)]
