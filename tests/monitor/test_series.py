from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.monitor.series import Cost, Measure, Series, TopStatement, read_series, write_series
from harness.monitor.turning import Row
from harness.monitor.writing import SeriesWriter


def series(name: str = "promptads") -> Series:
    measures = [Measure("active", "sessions", "sessions"), Measure("transactions", "1/s")]
    return Series(name, f"{name}@postgresql-standin", "postgresql", "18.6", measures, databases=[name], interval=0.5)


def row(at: float, active: float | None, transactions: float | None, **waits: float) -> Row:
    return Row(at, {"active": active, "transactions": transactions}, waits)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = series()
    made.at, made.columns = [1.5, 2.5], {"active": [1, 2], "transactions": [None, 10.5]}
    made.waits = [(1.5, "Lock:tuple", 1.0)]
    made.statements = [TopStatement('SELECT "a, b"\n', 3, 1.5, None)]
    made.cost, made.notes = Cost(2, 0, 1.0, 2.0, 0.001, 0.1), ["no WAL: not permitted"]
    write_series(tmp_path, made)
    assert read_series(tmp_path) == [made]


def test_a_column_that_a_server_never_told_is_none(tmp_path: Path) -> None:
    made = series()
    made.at, made.columns = [1.0], {"active": [1], "transactions": [None]}
    write_series(tmp_path, made)
    (read,) = read_series(tmp_path)
    assert [one.name for one in read.measures] == ["active"]
    assert list(read.columns) == ["active"]


def test_every_row_is_there_before_the_end(tmp_path: Path) -> None:
    writer = SeriesWriter(tmp_path, series())
    writer.row(row(1, 1, None))
    writer.row(row(2, 3, 10, **{"Lock:tuple": 1}))
    (read,) = read_series(tmp_path)  # nothing was closed
    assert read.at == [1, 2]
    assert read.columns["active"] == [1, 3]
    assert read.waits == [(2, "Lock:tuple", 1)]
    assert read.cost is None


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_last_row_that_was_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    writer = SeriesWriter(tmp_path, series())
    for at in (1001, 1002, 1003):
        writer.row(row(at, 1, 2))
    file = tmp_path / "monitor/promptads.csv"
    file.write_bytes(file.read_bytes()[:-cut])
    (read,) = read_series(tmp_path)
    assert read.at == [1001, 1002]


def test_a_second_monitor_of_a_run_goes_on_after_a_gap(tmp_path: Path) -> None:
    first = SeriesWriter(tmp_path, series())
    first.row(row(1, 1, 5))
    first.series.notes.append("one")
    first.statements([TopStatement("A", 1, 9.0, 1), TopStatement("B", 1, 5.0, None)])
    first.close(Cost(1, 0, 2.0, 3.0, 0.1, 0.5))
    second = SeriesWriter(tmp_path, series())
    second.series.notes.append("two")
    second.facts()  # before there is a row, nothing of the first one's is touched
    second.row(row(9, 2, 6))
    second.statements([TopStatement("B", 2, 6.0, None), TopStatement("C", 1, 1.0, 4)])
    second.close(Cost(3, 1, 4.0, 2.0, 0.1, 0.5))
    (read,) = read_series(tmp_path)
    assert read.columns["active"] == [1, None, 2]
    assert read.at == [1, 1, 9]
    assert read.cost == Cost(4, 1, 3.5, 3.0, 0.1, 1.0)
    assert read.notes == ["one", "two"]
    assert read.statements == [TopStatement("B", 3, 11.0, None), TopStatement("A", 1, 9.0, 1)]


def test_a_file_cut_off_before_is_gone_on_with(tmp_path: Path) -> None:
    first = SeriesWriter(tmp_path, series())
    first.row(row(1001, 1, 5))
    first.row(row(1002, 1, 5))
    file = tmp_path / "monitor/promptads.csv"
    file.write_bytes(file.read_bytes()[:-4])
    second = SeriesWriter(tmp_path, series())
    second.row(row(1009, 2, 6))
    second.close(Cost(1, 0, 1, 1, 0))
    (read,) = read_series(tmp_path)
    assert read.at == [1001, 1001, 1009]
    assert read.columns["active"] == [1, None, 2]


def test_other_columns_begin_anew(tmp_path: Path) -> None:
    first = SeriesWriter(tmp_path, series())
    first.row(row(1, 1, 5))
    other = series()
    other.measures = other.measures[:1]
    second = SeriesWriter(tmp_path, other)
    second.row(row(9, 2, None))
    (read,) = read_series(tmp_path)
    assert read.at == [9]


def test_a_file_of_before_there_were_more_facts_is_read(tmp_path: Path) -> None:
    made = series()
    made.at, made.columns = [1.0], {"active": [1], "transactions": [2]}
    write_series(tmp_path, made)
    file = tmp_path / "monitor/promptads.json"
    facts = json.loads(file.read_text())
    del facts["databases"], facts["interval"]
    file.write_text(json.dumps(facts))
    (read,) = read_series(tmp_path)
    assert (read.databases, read.interval) == ([], None)


def test_the_host_comes_last(tmp_path: Path) -> None:
    for name, engine in (("host", "host"), ("promptsales", "postgresql"), ("cache", "redis")):
        made = series(name)
        made.engine = engine
        write_series(tmp_path, made)
    assert [one.name for one in read_series(tmp_path)] == ["cache", "promptsales", "host"]
