from __future__ import annotations

import json

import pytest

from harness.load.tally import Counts, Tally, clock

DATABASE = "promptsales@postgresql"


def counted(tally: Tally) -> Counts:
    return tally.take()[0]


def test_a_request_is_counted_from_its_intended_start_and_from_its_real_one():
    tally, now = Tally(), clock()
    tally.kind("read", DATABASE, "postgresql").done.append((now, now + 0.9, now + 1.0))
    (one,) = counted(tally).requests()
    assert (one.name, one.database, one.done) == ("read", DATABASE, 1)
    assert one.percentiles["99"] == pytest.approx(1000, rel=0.01)
    assert one.service["99"] == pytest.approx(100, rel=0.01)


def test_where_both_are_the_same_only_one_is_kept():
    tally, now = Tally(), clock()
    tally.kind("read", DATABASE, "postgresql").done.append((now, now, now + 0.01))
    (one,) = counted(tally).requests()
    assert one.service == {}


def test_who_began_late_is_counted():
    tally, now = Tally(), clock()
    tally.kind("read", DATABASE, "postgresql").done += [(now, now + 0.5, now + 0.6), (now, now + 0.0001, now + 0.1)]
    assert counted(tally).late == 1


def test_what_was_taken_is_not_taken_again():
    tally, now = Tally(), clock()
    kind = tally.kind("read", DATABASE, "postgresql")
    kind.done.append((now, now, now))
    assert counted(tally).requests()
    assert not counted(tally).requests()
    kind.done.append((now, now, now))  # who keeps the kind notes down in the same place
    assert counted(tally).requests()[0].done == 1


def test_users_of_one_kind_note_down_together():
    tally = Tally()
    assert tally.kind("read", DATABASE, "postgresql") is tally.kind("read", DATABASE, "postgresql")
    assert tally.kind("read", "promptads@postgresql-standin", "postgresql") is not tally.kind("read", DATABASE, "pg")


def test_refusals_are_counted_by_their_kind():
    tally, now = Tally(), clock()
    kind = tally.kind("transfer", DATABASE, "postgresql")
    kind.retried += [(now, "deadlock"), (now, "deadlock"), (now, "serialization failure")]
    kind.failed += [(now, now, now + 0.1, "deadlock")]
    (one,) = counted(tally).requests()
    assert one.done == 0
    assert one.retried == {"deadlock": 2, "serialization failure": 1}
    assert one.failed == {"deadlock": 1}
    assert (sum(s.failed for s in one.seconds), sum(s.retried for s in one.seconds)) == (1, 3)


def test_seconds_are_those_of_the_wall_clock_and_lose_nothing():
    tally, now = Tally(), clock()
    kind = tally.kind("read", DATABASE, "postgresql")
    kind.done += [(now + n / 10, now + n / 10, now + n / 10 + 0.001) for n in range(35)]
    (one,) = counted(tally).requests()
    assert sum(second.done for second in one.seconds) == 35
    assert [second.at for second in one.seconds] == sorted({int(tally.wall(now + n / 10 + 0.001)) for n in range(35)})
    assert all(second.p50 == pytest.approx(1, rel=0.02) for second in one.seconds)


def test_counts_of_workers_are_merged_as_if_there_had_been_one():
    now = clock()
    rows = [(now, now, now + n / 1000) for n in range(1, 101)]
    parts = [Tally() for _ in range(3)]
    whole = Tally()
    whole._since_1970 = 0.0
    for number, row in enumerate(rows):
        parts[number % 3].kind("read", DATABASE, "postgresql").done.append(row)
        whole.kind("read", DATABASE, "postgresql").done.append(row)
    merged = Counts()
    for part in parts:
        part._since_1970 = 0.0  # one clock
        merged.merge(Counts.from_json(json.loads(json.dumps(counted(part).to_json()))))
    (one,), (other,) = merged.requests(), counted(whole).requests()
    assert one == other


def test_the_busiest_come_first():
    tally, now = Tally(), clock()
    tally.kind("seldom", DATABASE, "postgresql").done.append((now, now, now))
    tally.kind("often", DATABASE, "postgresql").done += [(now, now, now)] * 2
    assert [one.name for one in counted(tally).requests()] == ["often", "seldom"]
