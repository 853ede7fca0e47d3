"""The ETL's memory: what its tables refuse, and what etl_state makes of them."""

from __future__ import annotations

import psycopg
import pytest

RUN = {
    "source": "promptads",
    "status": "succeeded",
    "started_at": "2026-01-01 10:00Z",
    "finished_at": "2026-01-01 10:01Z",
}
RUN |= {"window_to": "100", "rows_read": 10, "message": None}


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


def add_run(connection, **changed) -> int:
    run = RUN | changed
    columns, places = ", ".join(run), ", ".join(f"%({name})s" for name in run)
    return connection.execute(f"INSERT INTO etl_run ({columns}) VALUES ({places}) RETURNING id", run).fetchone()[0]


def add_quarantine(connection, run: int, **changed) -> None:
    row = {
        "source": "promptads",
        "key": "7",
        "payload": '{"id": 7}',
        "reason": "no campaign 9",
        "run_id": run,
    } | changed
    columns, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO etl_quarantine ({columns}) VALUES ({places})", row)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"status": "running", "finished_at": None, "window_to": None},
        {"status": "failed", "message": "the source is down", "window_to": None},
        {"rows_inserted": 30, "rows_quarantined": 10},
    ],
)
def test_runs_that_can_be(connection, changed):
    add_run(connection, **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "done"},
        {"status": "running"},
        {"finished_at": None},
        {"finished_at": "2026-01-01 09:59Z"},
        {"window_to": None},
        {"status": "failed"},
        {"status": "failed", "message": ""},
        {"rows_read": -1},
        {"rows_inserted": -1},
        {"rows_updated": -1},
        {"rows_deleted": -1},
        {"rows_quarantined": -1},
        {"rows_quarantined": 11},
        {"source": None},
        {"rows_read": None},
    ],
)
def test_runs_that_cannot_be(connection, changed):
    with pytest.raises(psycopg.IntegrityError):
        add_run(connection, **changed)


def test_two_runs_of_a_source_do_not_overlap(connection):
    running = {"status": "running", "finished_at": None}
    first = add_run(connection, **running)
    add_run(connection, **running, source="promptcrm")
    with pytest.raises(psycopg.errors.UniqueViolation, match="ux_etl_run_running"):
        add_run(connection, **running)
    connection.execute(
        "UPDATE etl_run SET status = 'failed', message = 'killed', finished_at = now() WHERE id = %s", [first]
    )
    add_run(connection, **running)


def test_a_run_numbers_itself(connection):
    with pytest.raises(psycopg.errors.GeneratedAlways):
        add_run(connection, id=5)


@pytest.mark.parametrize("change", ["kind = 'hope'", "upper_bound = NULL", "updated_at = NULL"])
def test_watermarks_that_cannot_be(connection, change):
    connection.execute("INSERT INTO etl_watermark (source, kind, upper_bound) VALUES ('promptads', 'xid8', '734')")
    with pytest.raises(psycopg.IntegrityError):
        connection.execute(f"UPDATE etl_watermark SET {change}")


def test_a_source_has_one_watermark(connection):
    insert = "INSERT INTO etl_watermark (source, kind, upper_bound) VALUES ('promptads', 'xid8', '734')"
    connection.execute(insert)
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(insert)


def test_a_row_is_in_quarantine_once_until_it_is_resolved(connection):
    run = add_run(connection)
    add_quarantine(connection, run)
    add_quarantine(connection, run, key="8")
    add_quarantine(connection, run, source="promptcrm")
    with pytest.raises(psycopg.errors.UniqueViolation, match="ux_etl_quarantine_open"):
        add_quarantine(connection, run)
    connection.execute("UPDATE etl_quarantine SET resolved_at = now() WHERE key = '7'")
    add_quarantine(connection, run)


@pytest.mark.parametrize("changed", [{"reason": ""}, {"run_id": 0}, {"key": None}, {"payload": None}, {"source": None}])
def test_quarantined_rows_that_cannot_be(connection, changed):
    with pytest.raises(psycopg.IntegrityError):
        add_quarantine(connection, add_run(connection), **changed)


def test_a_run_with_rows_in_quarantine_stays(connection):
    add_quarantine(connection, add_run(connection))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM etl_run")


def test_the_state_of_each_source(connection):
    connection.execute("INSERT INTO etl_watermark (source, kind, upper_bound) VALUES ('cache', 'stream_id', '0-0')")
    add_run(connection, started_at="2026-01-01 09:00Z")
    add_run(connection)
    late = add_run(
        connection, status="failed", message="down", started_at="2026-01-01 11:00Z", finished_at="2026-01-01 11:01Z"
    )
    add_quarantine(connection, late)
    add_quarantine(connection, late, key="8")
    connection.execute("UPDATE etl_quarantine SET resolved_at = now() WHERE key = '8'")
    state = connection.execute(
        "SELECT source, upper_bound, last_status, last_message, last_succeeded_at = '2026-01-01 10:01Z', "
        "lag = now() - timestamptz '2026-01-01 10:00Z', quarantined FROM etl_state ORDER BY source"
    ).fetchall()
    assert state == [
        ("cache", "0-0", None, None, None, None, 0),
        ("promptads", None, "failed", "down", True, True, 1),
    ]
