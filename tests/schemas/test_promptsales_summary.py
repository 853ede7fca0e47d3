"""month_summary follows its sources, whoever writes and how, and is then the same as when it is made anew."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
import pytest
from polling import eventually

MONTHS = [date(2025, month, 1) for month in range(1, 7)]
EARNED = "sales, revenue, interactions"


@pytest.fixture
def connection(promptsales_db):
    own = promptsales_db.connect()
    own.execute(
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
        "SELECT i, 'c' || i, 'active', '2025-01-01', '2025-12-31', 1000 FROM generate_series(1, 20) AS i; "
        "INSERT INTO client (id, name, country, created_on) "
        "SELECT i, 'k' || i, 'CR', '2025-01-01' FROM generate_series(1, 20) AS i"
    )
    return own


def summary(connection) -> list[tuple]:
    return connection.execute(f"SELECT month, cost, {EARNED} FROM month_summary ORDER BY month").fetchall()


def summed(connection) -> list[tuple]:
    """What it must be, asked in another way than the schema does."""
    return connection.execute(
        "SELECT month, sum(cost), sum(sales)::bigint, sum(revenue), sum(interactions)::bigint FROM ("
        "SELECT month, cost, 0 AS sales, 0 AS revenue, 0 AS interactions FROM campaign_month "
        "UNION ALL SELECT month, 0, sales, revenue, interactions FROM client_month) AS s GROUP BY month "
        "HAVING (sum(cost), sum(sales), sum(revenue), sum(interactions)) <> (0, 0, 0, 0) ORDER BY month"
    ).fetchall()


def is_right(connection) -> bool:
    assert summary(connection) == summed(connection)
    return connection.execute("SELECT rebuild_month_summary()").fetchone() == (0,)


def change(chance: random.Random) -> tuple[str, list]:
    """One statement, of every kind that there is, over several months at once and in any order."""
    months = chance.sample(MONTHS, chance.randint(1, 4))
    some = [chance.randint(1, 20) for _ in months]
    amount = chance.randint(0, 50)
    kind = chance.randrange(8)
    spent = "SELECT * FROM unnest(%s::int[], %s::date[]) AS n (id, month)"
    if kind == 0:
        return (
            f"INSERT INTO campaign_month (campaign_id, month, cost) SELECT id, month, %s FROM ({spent}) AS n "
            "ON CONFLICT DO NOTHING",
            [amount, some, months],
        )
    if kind == 1:
        return (
            f"INSERT INTO campaign_month AS kept (campaign_id, month, cost) SELECT id, month, %s FROM ({spent}) AS n "
            "ON CONFLICT (campaign_id, month) DO UPDATE SET cost = kept.cost + excluded.cost",
            [amount, some, months],
        )
    if kind == 2:
        return (
            f"MERGE INTO client_month AS kept USING ({spent}) AS n ON kept.client_id = n.id AND kept.month = n.month "
            "WHEN MATCHED AND kept.sales > 3 THEN DELETE "
            "WHEN MATCHED THEN UPDATE SET sales = kept.sales + 1, revenue = kept.revenue + %s "
            f"WHEN NOT MATCHED THEN INSERT (client_id, month, {EARNED}) VALUES (n.id, n.month, 1, 10, 2)",
            [some, months, amount],
        )
    if kind == 3:
        return "UPDATE client_month SET interactions = interactions + 1 WHERE month = ANY(%s)", [months]
    if kind == 4:  # rows change their month
        return (
            "UPDATE campaign_month SET month = %s WHERE campaign_id = %s AND month = %s AND NOT EXISTS "
            "(SELECT FROM campaign_month AS o WHERE o.campaign_id = campaign_month.campaign_id AND o.month = %s)",
            [months[0], some[0], months[-1], months[0]],
        )
    if kind == 5:
        return "DELETE FROM campaign_month WHERE month = ANY(%s) AND campaign_id = ANY(%s)", [months, some]
    if kind == 6:
        return "DELETE FROM client_month WHERE month = ANY(%s)", [months[:1]]
    return "UPDATE campaign_month SET cost = 0 WHERE month = ANY(%s)", [months[:1]]


@pytest.mark.parametrize("seed", range(6))
def test_after_any_change_it_is_what_it_would_be_if_made_anew(connection, seed):
    chance = random.Random(seed)
    seen = set()
    for _ in range(60):
        connection.execute(*change(chance))
        assert summary(connection) == summed(connection)
        seen.add(len(summary(connection)))
    assert len(seen) > 2  # months come and go
    assert is_right(connection)


@pytest.mark.parametrize("seed", range(3))
def test_after_the_changes_of_many_writers_too(promptsales_db, connection, seed):
    """Each statement a transaction, over the same few months: nothing is lost, and none is ever a victim."""

    def write(number: int) -> None:
        own, chance = promptsales_db.connect(options="-c deadlock_timeout=50ms"), random.Random(f"{seed} {number}")
        for _ in range(50):
            amount, months = chance.randint(0, 50), chance.sample(MONTHS, 4)
            ids = [
                number * 5 + 1 + chance.randrange(5) for _ in months
            ]  # own rows: the summary is what is fought about
            own.execute(
                "INSERT INTO campaign_month AS kept (campaign_id, month, cost) "
                "SELECT *, %s FROM unnest(%s::int[], %s::date[]) "
                "ON CONFLICT (campaign_id, month) DO UPDATE SET cost = excluded.cost",
                [amount, ids, months],
            )
            own.execute(
                "MERGE INTO client_month AS kept USING unnest(%s::int[], %s::date[]) AS n (id, month) "
                "ON kept.client_id = n.id AND kept.month = n.month "
                "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (client_id, month, sales) VALUES (n.id, n.month, %s)",
                [ids, months, amount],
            )
            own.execute("DELETE FROM campaign_month WHERE campaign_id = ANY(%s) AND month = ANY(%s)", [ids[:2], months])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert is_right(connection)


def test_a_month_that_two_writers_make_and_empty(promptsales_db, connection):
    """One deletes a month's last row while another's first one of it waits: the row of the month must come back."""
    one, other = promptsales_db.connect(autocommit=False), promptsales_db.connect(autocommit=False)
    connection.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5)")
    one.execute("DELETE FROM campaign_month")
    with ThreadPoolExecutor(1) as pool:
        insert = pool.submit(
            other.execute, "INSERT INTO client_month (client_id, month, sales) VALUES (1, '2025-01-01', 3)"
        )
        waits = "SELECT %s = ANY (pg_blocking_pids(%s))"
        pids = [one.info.backend_pid, other.info.backend_pid]
        eventually(lambda: connection.execute(waits, pids).fetchone()[0])
        one.commit()
        insert.result()
    other.commit()
    assert summary(connection) == [(date(2025, 1, 1), 0, 3, 0, 0)]
    assert is_right(connection)


def test_copy_is_followed_too(connection):
    with connection.cursor().copy("COPY client_month (client_id, month, sales, revenue) FROM STDIN") as copy:
        for number in range(1, 11):
            copy.write_row((number, MONTHS[number % 2], 1, 10))
    assert summary(connection) == [(MONTHS[0], 0, 5, 50, 0), (MONTHS[1], 0, 5, 50, 0)]


def test_truncate_is_followed_too(connection):
    connection.execute(
        "INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5), (1, '2025-02-01', 6); "
        f"INSERT INTO client_month (client_id, month, {EARNED}) "
        "VALUES (1, '2025-02-01', 1, 2, 3), (1, '2025-03-01', 4, 5, 6)"
    )
    connection.execute("TRUNCATE campaign_month")
    assert summary(connection) == [(MONTHS[1], 0, 1, 2, 3), (MONTHS[2], 0, 4, 5, 6)]
    connection.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-02-01', 6)")
    connection.execute("TRUNCATE client_month")
    assert summary(connection) == [(MONTHS[1], 6, 0, 0, 0)]
    connection.execute("TRUNCATE campaign_month, client_month")
    assert summary(connection) == []


def test_what_is_rolled_back_is_not_followed(connection):
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5)")
        assert summary(connection) != []
    assert summary(connection) == []


def test_switched_off_it_stays_and_is_made_anew_afterwards(connection):
    connection.execute(
        "INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5), (1, '2025-02-01', 6)"
    )
    before = summary(connection)
    with connection.transaction():
        connection.execute("SET LOCAL promptsales.upkeep = 'off'")
        connection.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (2, '2025-01-01', 7)")
        connection.execute("DELETE FROM campaign_month WHERE month = '2025-02-01'")
        connection.execute(f"INSERT INTO client_month (client_id, month, {EARNED}) VALUES (1, '2025-03-01', 1, 2, 3)")
        connection.execute("UPDATE client_month SET sales = 2")
        connection.execute("DELETE FROM client_month WHERE client_id = 2")
        assert summary(connection) == before
        assert connection.execute("SELECT rebuild_month_summary()").fetchone() == (3,)
    assert summary(connection) == [(MONTHS[0], 12, 0, 0, 0), (MONTHS[2], 0, 2, 2, 3)]
    assert is_right(connection)
    connection.execute("UPDATE campaign_month SET cost = 1")  # on again
    assert is_right(connection)
    connection.execute("SET promptsales.upkeep = 'off'")
    connection.execute("TRUNCATE campaign_month")
    assert summary(connection)[0][1] == 2
    assert connection.execute("SELECT rebuild_month_summary()").fetchone() == (1,)


def test_made_anew_it_mends_what_is_wrong_and_says_how_much(connection):
    connection.execute(
        "INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5), (1, '2025-02-01', 6)"
    )
    connection.execute(
        "UPDATE month_summary SET cost = 7 WHERE month = '2025-01-01'; "
        "INSERT INTO month_summary (month, sales) VALUES ('2025-06-01', 1)"
    )
    assert connection.execute("SELECT rebuild_month_summary()").fetchone() == (2,)
    assert is_right(connection)


def test_made_anew_it_waits_for_who_writes(promptsales_db, connection):
    writer, asking = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    connection.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5)")
    writer.execute("UPDATE campaign_month SET cost = 6")
    with ThreadPoolExecutor(1) as pool:
        rebuild = pool.submit(lambda: connection.execute("SELECT rebuild_month_summary()").fetchone())
        pids = [writer.info.backend_pid, connection.info.backend_pid]
        eventually(lambda: asking.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        writer.commit()
        assert rebuild.result() == (0,)
    assert is_right(connection)


def test_who_writes_while_it_is_made_anew_adds_to_it(promptsales_db, connection):
    rebuilding, writer = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    connection.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5)")
    connection.execute("UPDATE month_summary SET cost = 999")
    assert rebuilding.execute("SELECT rebuild_month_summary()").fetchone() == (1,)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(writer.execute, "UPDATE campaign_month SET cost = 6")
        pids = [rebuilding.info.backend_pid, writer.info.backend_pid]
        eventually(lambda: connection.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        rebuilding.commit()
        written.result()
    assert summary(connection) == [(MONTHS[0], 6, 0, 0, 0)]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_made_anew_under_an_old_snapshot_it_would_miss_something_so_it_is_refused(connection, level):
    connection.execute(f"SET default_transaction_isolation = '{level}'")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="READ COMMITTED"):
        connection.execute("SELECT rebuild_month_summary()")


@pytest.mark.data("sample")
def test_the_sample_is_right(promptsales_db):
    own = promptsales_db.connect()
    assert summary(own) == [(date(2025, 12, 1), 600, 7, 1000, 3)]
    assert is_right(own)


@pytest.mark.data("tiny")
def test_what_is_seeded_is_right(promptsales_db):
    own = promptsales_db.connect()
    assert summary(own)
    assert is_right(own)


def test_a_writer_who_may_not_touch_the_summary_moves_it(promptsales_db, connection):
    own = promptsales_db.connect()
    own.execute("SET ROLE promptsales_etl")
    own.execute("INSERT INTO campaign_month (campaign_id, month, cost) VALUES (1, '2025-01-01', 5)")
    assert summary(own) == [(MONTHS[0], 5, 0, 0, 0)]
