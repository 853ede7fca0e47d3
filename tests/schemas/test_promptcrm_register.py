"""``register_sales``: a batch of sales with their lines, all or nothing; the same promise on both engines."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from polling import eventually
from tds import run

from fixtures.databases import Database

DAY = date(2026, 7, 1)
FIRST_ID = 1_000_000_000_000

Sale = tuple[int, int | None, int | None, int | None, date]
Line = tuple[int, int, int, int, Decimal | float | None]

GOOD: Sale = (1, 1, 2, None, DAY)
GOOD_LINE: Line = (1, 1, 1, 3, None)


class Session:
    """A connection that registers sales, and says errors alike on both engines: 6 for PS006 and 50006."""

    def __init__(self, database: Database) -> None:
        self.engine = database.engine
        self.connection = database.connect()
        if self.engine == "postgresql":
            from psycopg.types.composite import CompositeInfo, register_composite

            self.rows = []
            for name in ("sale_row", "sale_line_row"):
                info = CompositeInfo.fetch(self.connection, name)
                assert info is not None
                register_composite(info, self.connection)
                self.rows.append(info.python_type)

    def register(self, sales: Sequence[Sale], lines: Sequence[Line]) -> list[tuple[Any, ...]]:
        if self.engine == "postgresql":
            sale, line = self.rows
            cursor = self.connection.execute(
                "SELECT row_no, sale_id, total FROM register_sales(%s::sale_row[], %s::sale_line_row[])",
                [[sale(*row) for row in sales], [line(*row) for row in lines]],
            )
        else:
            # A table-valued parameter: the names of its type and schema, then the rows.
            cursor = self.connection.execute(
                "EXEC dbo.register_sales @sales = ?, @lines = ?",
                (["sale_row", "dbo", *sales], ["sale_line_row", "dbo", *lines]),
            )
        return [tuple(row) for row in cursor.fetchall()]

    def refused(self, sales: Sequence[Sale], lines: Sequence[Line]) -> tuple[int, str]:
        """The number of the error and its text; every statement after it finds the connection usable."""
        with pytest.raises(Exception) as caught:
            self.register(sales, lines)
        error: Any = caught.value
        if self.engine == "postgresql":
            return (int(error.sqlstate[2:]) if error.sqlstate.startswith("PS") else 0), error.diag.message_primary
        text = str(error.args[1])
        for number in range(1, 9):
            if f"({50000 + number})" in text:
                return number, text
        return 0, text

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        begin = "BEGIN" if self.engine == "postgresql" else "BEGIN TRANSACTION"
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """What PostgreSQL asks of the caller; in T-SQL the procedure does it."""
        if self.engine != "postgresql":
            yield
            return
        self.connection.execute("SAVEPOINT batch")
        yield
        self.connection.execute("ROLLBACK TO batch")


@pytest.fixture
def session(crm_sql: Database) -> Session:
    return Session(crm_sql)


def counted(database: Database) -> list[tuple[Any, ...]]:
    return run(database, "SELECT (SELECT COUNT(*) FROM sale), (SELECT COUNT(*) FROM sale_line)")


def test_a_batch(crm_sql: Database, session: Session) -> None:
    made = session.register(
        [(7, 1, 2, 1, DAY), (3, 2, None, None, DAY)],
        [(7, 1, 1, 3, None), (7, 2, 3, 1, Decimal("90.50")), (3, 1, 2, 1, Decimal(0))],
    )
    assert [(row_no, total) for row_no, _, total in made] == [(3, 0), (7, Decimal("120.50"))]
    ids = {row_no: id for row_no, id, _ in made}
    assert len(set(ids.values())) == 2
    assert min(ids.values()) >= FIRST_ID
    sales = run(
        crm_sql, f"SELECT id, client_id, campaign_id, opportunity_id, status, total FROM sale WHERE id >= {FIRST_ID}"
    )
    assert sorted(sales) == sorted(
        [(ids[7], 1, 2, 1, "open", Decimal("120.50")), (ids[3], 2, None, None, "open", Decimal("0.00"))]
    )
    lines = run(
        crm_sql, f"SELECT sale_id, line_no, product_id, quantity, unit_price FROM sale_line WHERE sale_id >= {FIRST_ID}"
    )
    assert sorted(lines) == sorted(
        [
            (ids[7], 1, 1, 3, Decimal("10.00")),
            (ids[7], 2, 3, 1, Decimal("90.50")),
            (ids[3], 1, 2, 1, Decimal("0.00")),
        ]
    )


def test_a_session_registers_again_and_again(crm_sql: Database, session: Session) -> None:
    for number in range(1, 5):
        ((row_no, _, total),) = session.register([(number, 1, None, None, DAY)], [(number, 1, 1, number, None)])
        assert (row_no, total) == (number, 10 * number)
    assert counted(crm_sql) == [(7, 8)]


@pytest.mark.parametrize(
    ("sales", "lines", "number", "text"),
    [
        ([GOOD], [GOOD_LINE], 2, "sale 1 is there 2 times"),
        ([], [GOOD_LINE], 2, "line 1 of sale 1 is there 2 times"),
        ([(2, 1, None, None, DAY)], [], 3, "sale 2 has no lines"),
        ([], [(2, 1, 1, 1, None)], 4, "line 1 is of sale 2, which is not in the batch"),
        ([], [(1, 2, 1, 0, None)], 5, "line 2 of sale 1: quantity 0"),
        ([], [(1, 2, 1, -1, None)], 5, "line 2 of sale 1: quantity -1"),
        ([], [(1, 2, 1, 1, Decimal("-0.01"))], 5, "line 2 of sale 1: price -0.01"),
        ([(2, 99, None, None, DAY)], [(2, 1, 1, 1, None)], 6, "sale 2: there is no client 99"),
        ([], [(1, 2, 99, 1, None)], 7, "line 2 of sale 1: there is no product 99"),
        ([(2, 2, None, 1, DAY)], [(2, 1, 1, 1, None)], 8, "sale 2: client 2 has no opportunity 1"),
        ([(2, 1, None, 99, DAY)], [(2, 1, 1, 1, None)], 8, "sale 2: client 1 has no opportunity 99"),
        ([(2, 99, None, None, DAY)], [(2, 1, 99, 0, None)], 5, "line 1 of sale 2: quantity 0"),  # the first of three
    ],
)
def test_what_is_wrong_undoes_the_batch(
    crm_sql: Database, session: Session, sales: list[Sale], lines: list[Line], number: int, text: str
) -> None:
    found = session.refused([GOOD, *sales], [GOOD_LINE, *lines])
    assert found[0] == number
    assert text in found[1]
    assert counted(crm_sql) == [(3, 4)]
    assert len(session.register([GOOD], [GOOD_LINE])) == 1


def test_an_empty_batch(crm_sql: Database) -> None:
    if crm_sql.engine == "postgresql":
        call = "SELECT * FROM register_sales('{}', '{}')"
    else:
        call = "DECLARE @s dbo.sale_row; DECLARE @l dbo.sale_line_row; EXEC dbo.register_sales @sales = @s, @lines = @l"
    with pytest.raises(Exception, match="the batch has no sale"):
        crm_sql.connect().execute(call)


def occupy(session: Session) -> None:
    """Write a sale with the id that the sequence gives next but one."""
    ((_, last, _),) = session.register([GOOD], [GOOD_LINE])
    session.connection.execute(
        "INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES "
        f"({last + 2}, 1, NULL, NULL, '2026-07-01', 'open', 0)"
    )


def test_an_error_among_the_writes_undoes_them(crm_sql: Database, session: Session) -> None:
    occupy(session)
    number, text = session.refused([GOOD, (2, 1, None, None, DAY)], [GOOD_LINE, (2, 1, 1, 1, None)])
    assert (number, "pk_sale" in text) == (0, True)
    assert counted(crm_sql) == [(5, 5)]
    assert len(session.register([GOOD], [GOOD_LINE])) == 1


def test_a_total_that_is_too_great_undoes_the_batch(crm_sql: Database, session: Session) -> None:
    """It is found only when it is written."""
    number, _ = session.refused(
        [GOOD, (2, 1, None, None, DAY)], [GOOD_LINE, (2, 1, 1, 2_000_000_000, Decimal("9999999999.00"))]
    )
    assert number == 0
    assert counted(crm_sql) == [(3, 4)]
    assert len(session.register([GOOD], [GOOD_LINE])) == 1


def test_in_a_transaction_only_the_batch_is_undone(crm_sql: Database, session: Session) -> None:
    with session.transaction():
        session.connection.execute("UPDATE client SET credit = 1 WHERE id = 1")
        kept = session.register([GOOD], [GOOD_LINE])
        with session.savepoint():
            assert session.refused([(2, 99, None, None, DAY)], [(2, 1, 1, 1, None)])[0] == 6
        assert len(session.register([(3, 1, None, None, DAY)], [(3, 1, 1, 1, None)])) == 1
    assert run(crm_sql, "SELECT credit FROM client WHERE id = 1") == [(1,)]
    assert counted(crm_sql) == [(5, 6)]
    assert run(crm_sql, f"SELECT total FROM sale WHERE id = {kept[0][1]}") == [(30,)]


def test_in_a_transaction_an_error_among_the_writes_leaves_it_to_the_caller(
    crm_sql: Database, session: Session
) -> None:
    occupy(session)
    with session.transaction():
        session.connection.execute("UPDATE client SET credit = 1 WHERE id = 1")
        with session.savepoint():
            assert "pk_sale" in session.refused([GOOD, (2, 1, None, None, DAY)], [GOOD_LINE, (2, 1, 1, 1, None)])[1]
        assert len(session.register([GOOD], [GOOD_LINE])) == 1
    assert run(crm_sql, "SELECT credit FROM client WHERE id = 1") == [(1,)]
    assert counted(crm_sql) == [(6, 6)]


def test_a_caller_who_rolls_back_takes_the_batch_along(crm_sql: Database, session: Session) -> None:
    with contextlib.suppress(KeyError), session.transaction():
        session.register([GOOD], [GOOD_LINE])
        raise KeyError
    assert counted(crm_sql) == [(3, 4)]


def test_many_sales_at_once(crm_sql: Database, session: Session) -> None:
    sales: list[Sale] = [(number, number % 3 + 1, None, None, DAY) for number in range(500)]
    lines: list[Line] = [(number, line, line, number + 1, None) for number in range(500) for line in (1, 2, 3)]
    made = session.register(sales, lines)
    assert [(row_no, total) for row_no, _, total in made] == [(number, 160 * (number + 1)) for number in range(500)]
    assert run(
        crm_sql,
        "SELECT COUNT(*) FROM sale AS s WHERE total <> "
        "(SELECT SUM(quantity * unit_price) FROM sale_line AS l WHERE l.sale_id = s.id)",
    ) == [(0,)]


def test_two_at_once_have_ids_of_their_own(crm_sql: Database) -> None:
    sessions = [Session(crm_sql), Session(crm_sql)]
    ids: list[list[int]] = [[], []]

    def work(own: Session, into: list[int]) -> None:
        for _ in range(20):
            into += [row[1] for row in own.register([GOOD, (2, 2, None, None, DAY)], [GOOD_LINE, (2, 1, 1, 1, None)])]

    threads = [threading.Thread(target=work, args=pair) for pair in zip(sessions, ids, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*ids[0], *ids[1]}) == 80
    assert counted(crm_sql) == [(83, 84)]


@pytest.mark.data("sample")
def test_a_client_who_goes_meanwhile(promptcrm_db: Database) -> None:
    """The check still sees the client, the write waits for who deletes it, and then nothing is registered."""
    if promptcrm_db.engine != "postgresql":
        pytest.skip("who waits is asked of PostgreSQL")
    session, other, watch = Session(promptcrm_db), promptcrm_db.connect(), promptcrm_db.connect()
    other.execute(
        "INSERT INTO client (id, code, name, kind, city_id, latitude, longitude, created_on) "
        "VALUES (4, 'CL-4', 'Eva', 'person', 1, 0, 0, '2026-01-01')"
    )
    other.execute("BEGIN")
    other.execute("DELETE FROM client WHERE id = 4")
    errors: list[Any] = []

    def register() -> None:
        try:
            session.register([GOOD, (2, 4, None, None, DAY)], [GOOD_LINE, (2, 1, 1, 1, None)])
        except Exception as error:  # noqa: BLE001 (the test's own thread: it is looked at below)
            errors.append(error)

    thread = threading.Thread(target=register)
    thread.start()
    pid = session.connection.info.backend_pid
    eventually(lambda: watch.execute("SELECT cardinality(pg_blocking_pids(%s))", [pid]).fetchone()[0])
    other.execute("COMMIT")
    thread.join()
    assert [error.sqlstate for error in errors] == ["23503"]
    assert counted(promptcrm_db) == [(3, 4)]


@pytest.mark.data("sample")
def test_nulls_where_none_may_be(promptcrm_db: Database) -> None:
    """An array of rows may hold what a table type refuses."""
    if promptcrm_db.engine != "postgresql":
        pytest.skip("a table type has NOT NULL columns")
    connection = promptcrm_db.connect()
    line = "ARRAY[ROW(1, 1, 1, 1, NULL)]::sale_line_row[]"
    for sales, lines, state in (
        ("NULL", "NULL", "PS001"),
        ("ARRAY[NULL]::sale_row[]", line, "PS003"),
        ("ARRAY[ROW(1, NULL, NULL, NULL, '2026-01-01')]::sale_row[]", line, "PS006"),
        ("ARRAY[ROW(1, 1, NULL, NULL, NULL)]::sale_row[]", line, "23502"),
        ("ARRAY[ROW(1, 1, NULL, NULL, '2026-01-01')]::sale_row[]", "NULL", "PS003"),
        ("ARRAY[ROW(1, 1, NULL, NULL, '2026-01-01')]::sale_row[]", line.replace("1, NULL", "NULL, NULL"), "23502"),
        ("ARRAY[ROW(1, 1, NULL, NULL, '2026-01-01')]::sale_row[]", line.replace("ROW(1", "ROW(NULL"), "PS003"),
    ):
        with pytest.raises(Exception) as caught:
            connection.execute(f"SELECT * FROM register_sales({sales}, {lines})")
        assert getattr(caught.value, "sqlstate", "") == state
    assert counted(promptcrm_db) == [(3, 4)]
