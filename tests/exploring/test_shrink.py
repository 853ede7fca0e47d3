"""A failing schedule made small, and the file that replays it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from harness.evidence.model import Status
from harness.exploring.deltas import ddmin
from harness.exploring.explore import Explorer, Plan
from harness.exploring.journal import Journal
from harness.exploring.model import Kind, Task
from harness.exploring.pool import runner
from harness.exploring.replay import smallest
from harness.exploring.shrink import CONFIRMATIONS, shrink
from harness.exploring.text import shrunk_lines
from harness.exploring.trial import bases, scheduled
from harness.scenario.load import load
from harness.scenario.model import Case
from harness.suite import Settings, Suite

from .conftest import LOST, Explore, written
from .test_prove import EXAMPLE

Cases = Callable[..., Case]


def ordered(base: Case, *order: str) -> Case:
    return scheduled(base, Task(1, "random-001", order, 7))


# -- delta debugging


@pytest.mark.parametrize(
    "needed", [[0], [15], [3, 6], [0, 15], [1, 2, 3], [0, 5, 10, 15], list(range(16))], ids=lambda one: str(len(one))
)
def test_ddmin_finds_just_what_is_needed(needed: list[int]) -> None:
    asked: list[tuple[int, ...]] = []

    def fails(part: Sequence[int]) -> bool:
        asked.append(tuple(part))
        return set(needed) <= set(part)

    assert ddmin(range(16), fails) == needed
    assert all(list(part) == sorted(part) for part in asked)


def test_ddmin_is_one_minimal_where_parts_depend_on_each_other() -> None:
    def fails(part: Sequence[int]) -> bool:  # 7 needs 2, and something must be there twice
        return 7 in part and 2 in part and len(part) % 2 == 0

    made = ddmin(range(8), fails)
    assert fails(made)
    assert not any(fails([item for item in made if item != left]) for left in made)


def test_nothing_that_fails_alone_is_taken_apart() -> None:
    assert ddmin(["only"], lambda part: True) == ["only"]


# -- schedules


def test_the_example_becomes_two_sessions_and_what_they_need(own: Suite, case_of: Cases, tmp_path: Path) -> None:
    base = case_of(EXAMPLE, "read committed")
    case = ordered(base, "audit", "look", "look_too", "give", "done_too", "take", "note", "done")
    made = shrink(own, case)
    assert made.wanted == ("found lost update",)
    assert str(made.before) == "3 sessions, 8 steps, 3 switches"
    assert str(made.after) == "2 sessions, 6 steps, 2 switches"
    assert {entry.step for entry in made.schedule.entries} == {"look", "look_too", "give", "take", "done_too", "done"}
    assert (made.confirmed, made.confirmations) == (CONFIRMATIONS, CONFIRMATIONS)
    assert made.runs < 60

    file = tmp_path / "smallest.yaml"
    file.write_text(made.text, "utf-8")
    scenario = load(file)
    assert [session.name for session in scenario.sessions] == ["booking", "refund"]
    assert [schedule.name for schedule in scenario.schedules] == ["smallest"]
    (replay,) = own.cases(file)
    verdict = own.run(replay).evidence.verdict
    assert verdict.status is Status.passed, verdict.mismatches
    assert [one.value for one in verdict.phenomena] == ["lost update"]


def test_a_replay_fails_when_the_anomaly_does_not_come(own: Suite, case_of: Cases, tmp_path: Path) -> None:
    made = shrink(own, ordered(case_of(LOST), "read_1", "read_2", "write_1", "commit_1", "write_2", "commit_2"))
    file = tmp_path / "gone.yaml"
    file.write_text(made.text.replace("read committed", "serializable"), "utf-8")
    (replay,) = own.cases(file)
    assert own.run(replay).evidence.verdict.status is Status.failed


DIRTY = """
title: An invariant that one commit too many breaks
database: promptsales
levels: {postgresql: repeatable read}
setup:
  - CREATE TABLE duty (who text PRIMARY KEY, there boolean)
  - INSERT INTO duty VALUES ('a', true), ('b', true), ('c', true)
items: {there: SELECT count(*) FROM duty WHERE there}
sessions:
  T0:
    steps: {look_0: SELECT 1, more_0: SELECT 2}
  T1:
    steps:
      begin_1: begin
      count_1: {run: SELECT count(*) FROM duty WHERE there AND who <> 'c', reads: n}
      leave_1: "UPDATE duty SET there = ${n < 2} WHERE who = 'a'"
      done_1: commit
  T2:
    steps:
      begin_2: begin
      count_2: {run: SELECT count(*) FROM duty WHERE there AND who <> 'c', reads: n}
      noise_2: SELECT 3
      leave_2: "UPDATE duty SET there = ${n < 2} WHERE who = 'b'"
      done_2: commit
schedules: reduced
expect: {postgresql: {finds: nothing, allows: [write skew, read skew], may_refuse: serialization failure, holds: there > 1}}
"""


def test_a_broken_invariant_is_kept_and_begin_goes_with_its_commit(own: Suite, case_of: Cases) -> None:
    base = case_of(DIRTY)
    order = ("look_0", "begin_1", "begin_2", "count_1", "noise_2")[:4]
    order = (*order, "count_2", "noise_2", "leave_1", "more_0", "leave_2", "done_1", "done_2")
    made = shrink(own, ordered(base, *order))
    assert made.wanted == ("holds there > 1",)
    left = {entry.step for entry in made.schedule.entries}
    # What breaks it is that both leave, however they came to read what they did: no transaction is needed for that.
    assert left == {"count_1", "count_2", "leave_1", "leave_2"}
    assert made.after.switches == 2
    assert "sees: {count_1: 2, count_2: 2}" in made.text
    assert "final: {there: 1}" in made.text


def test_what_does_not_fail_again_is_told(own: Suite, case_of: Cases) -> None:
    made = shrink(own, ordered(case_of(LOST), "read_1", "write_1", "commit_1", "read_2", "write_2", "commit_2"))
    assert (made.confirmed, made.before) == (0, made.after)
    assert "it did not fail again in this way" in "\n".join(shrunk_lines(made, str))


def test_what_a_serial_order_shows_too_is_not_the_schedules_fault(own: Suite, case_of: Cases, explore: Explore) -> None:
    text = LOST.replace("finds: nothing", "finds: nothing, final: {a: 50}")
    made = shrink(own, ordered(case_of(text), "read_1", "write_1", "commit_1", "read_2", "write_2", "commit_2"))
    assert made.wanted == ("final a",)
    assert made.before == made.after
    assert made.notes == (
        "it fails in every serial order, too, so it is not the schedule's fault: nothing was made smaller",
    )
    assert [*shrunk_lines(made, str)] == [f"no smallest schedule (final a): {made.notes[0]}"]
    (told,) = smallest(own, explore(text.replace("- 10", "- 0").replace("- 20", "- 0"), "all", most=1), None, str)
    assert told.file is None
    assert not [*own.store.folder.glob("*smallest*")]


def test_a_value_at_the_end_keeps_the_steps_that_make_it(own: Suite, case_of: Cases) -> None:
    text = LOST.replace("finds: nothing", "finds: nothing, allows: lost update, final: {a: 70}")
    made = shrink(own, ordered(case_of(text), "read_1", "read_2", "write_1", "commit_1", "write_2", "commit_2"))
    assert made.wanted == ("final a",)
    # Without a transaction around them, too; but each reads and writes.
    assert {entry.step for entry in made.schedule.entries} >= {"read_1", "read_2", "write_1", "write_2"}
    assert made.after.switches == 2


def test_an_invariant_over_who_committed_keeps_what_they_do(own: Suite, case_of: Cases) -> None:
    holds = "finds: nothing, allows: lost update, holds: a == 100 - 10 * committed_T1 - 20 * committed_T2"
    text = LOST.replace("finds: nothing", holds)
    made = shrink(own, ordered(case_of(text), "read_1", "read_2", "write_1", "commit_1", "write_2", "commit_2"))
    assert made.wanted == ("holds a == 100 - 10 * committed_T1 - 20 * committed_T2",)
    assert made.after.steps == 6


def test_each_kind_of_failure_has_its_smallest_one(own: Suite, explore: Explore, tmp_path: Path) -> None:
    explored = explore(LOST, "random", most=12)
    told: list[str] = []
    (made,) = smallest(own, explored, tmp_path / "sub" / "here.yaml", told.append)
    assert made.file == tmp_path / "sub" / "here.yaml"
    assert made.replayed is True
    assert made.file.read_text("utf-8") == made.text
    assert made.notes == ()
    assert told
    lines = [*shrunk_lines(made, lambda path: path.name)]
    assert lines[0].startswith("smallest failing (found lost update): 2 sessions, 6 steps, ")
    assert lines[2:] == ["  written to here.yaml; replayed: the same", "  run it: harness run here.yaml"]


# -- what the replay says


COPIES = """
title: Copies count up
database: promptsales
parameters: {by: 5}
levels: {postgresql: read committed}
setup: ["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)"]
items: {v: SELECT v FROM t}
sessions:
  W:
    copies: 3
    setup: begin
    steps:
      read: {run: SELECT v FROM t WHERE id = 1, reads: v}
      write: {run: "UPDATE t SET v = ${v + by * i + next - n} WHERE id = 1", writes: v}
      done: commit
schedule: {random: 3}
expect: {postgresql: {finds: nothing}}
"""


def test_copies_become_sessions_with_their_own_numbers(own: Suite, case_of: Cases, tmp_path: Path) -> None:
    own.settings.parameters["by"] = "7"
    base = case_of(COPIES)
    steps = ["read_1", "read_3", "read_2", "write_3", "done_3", "write_2", "done_2", "write_1", "done_1"]
    made = shrink(own, ordered(base, *steps))
    data = yaml.safe_load(made.text)
    assert len(data["sessions"]) == 2
    assert data["parameters"] == {"by": 7}
    own.settings.parameters.clear()
    file = tmp_path / "copies.yaml"
    file.write_text(made.text, "utf-8")
    (replay,) = own.cases(file)
    assert own.run(replay).evidence.verdict.status is Status.passed


def test_other_engines_statements_stay_and_the_rest_is_one_case(own: Suite, case_of: Cases, tmp_path: Path) -> None:
    text = LOST.replace("database: promptsales", "database: [promptsales, promptads]")
    text = text.replace("read committed}", "[read committed, serializable], sqlserver: snapshot}")
    text = text.replace("{finds: nothing}", "{finds: nothing}, sqlserver: {finds: nothing}")
    text = text.replace(
        "read_2: {run: SELECT balance FROM account WHERE id = 1, reads: a}",
        "read_2: {run: SELECT balance FROM account WHERE id = 1, sqlserver: SELECT 1, reads: a}",
    ).replace("commit_1: commit", "commit_1: {run: commit, sqlserver: null}")
    made = shrink(own, ordered(case_of(text), "read_1", "read_2", "write_1", "commit_1", "write_2", "commit_2"))
    data = yaml.safe_load(made.text)
    assert data["database"] == "promptsales"
    assert data["levels"] == {"postgresql": "read committed"}
    assert data["sessions"]["T2"]["steps"]["read_2"]["sqlserver"] == "SELECT 1"
    assert data["sessions"]["T1"]["steps"]["commit_1"]["sqlserver"] is None
    assert list(data["expect"]) == ["postgresql"]
    head = made.text.splitlines()
    assert head[0].startswith("# The smallest schedule of made_")
    assert head[2] == "# The schedule that was found: read_1 read_2 write_1 commit_1 write_2 commit_2"
    assert "schedule random-001 (seed 7)" in data["about"]


def test_a_hidden_value_is_not_written_down(own: Suite, case_of: Cases) -> None:
    text = LOST.replace("schedules: reduced", "sensitive: [balance, a]\nschedules: reduced")
    made = shrink(own, ordered(case_of(text), "read_1", "read_2", "write_1", "commit_1", "write_2", "commit_2"))
    expected = yaml.safe_load(made.text)["expect"]["postgresql"]["read committed"]
    assert set(expected) & {"sees", "final"} == set()
    assert "80" not in str(expected)


def test_a_refusal_is_expected_by_its_code(own: Suite, case_of: Cases, tmp_path: Path) -> None:
    text = LOST.replace("read committed", "repeatable read")
    made = shrink(own, ordered(case_of(text), "read_1", "read_2", "write_1", "commit_1", "write_2", "commit_2"))
    assert made.wanted == ("refused: serialization failure",)
    assert yaml.safe_load(made.text)["expect"]["postgresql"]["repeatable read"]["errors"] == {"write_2": "40001"}
    file = written(tmp_path, made.text)
    assert own.run(next(own.cases(file))).evidence.verdict.status is Status.passed


def test_a_specification_is_made_small_too(own: Suite, case_of: Cases, tmp_path: Path) -> None:
    file = tmp_path / "specs" / "skew.spec"
    file.parent.mkdir()
    file.write_text(
        """
setup { CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0); }
teardown { DROP TABLE t; }
session s1
setup { BEGIN ISOLATION LEVEL REPEATABLE READ; }
step r1 { SELECT 1; }
step w1 { UPDATE t SET v = 1 WHERE id = 1; }
step c1 { COMMIT; }
session s2
setup { BEGIN ISOLATION LEVEL REPEATABLE READ; }
step r2 { SELECT sum(v) FROM t; }
step w2 { UPDATE t SET v = 2 WHERE id = 1; }
step c2 { COMMIT; }
""",
        "utf-8",
    )
    base = case_of(file)
    made = shrink(own, ordered(base, "r1", "r2", "w1", "c1", "w2", "c2"))
    assert made.wanted == ("refused: serialization failure",)
    assert {entry.step for entry in made.schedule.entries} == {"r2", "w1", "c1", "w2"}
    replay = written(tmp_path, made.text)
    verdict = own.run(next(own.cases(replay))).evidence.verdict
    assert verdict.status is Status.passed, (verdict.mismatches, made.text)


SEVERAL = """
title: The cache may keep an old price
databases: {sales: promptsales, cache: cache}
setup:
  sales: ["CREATE TABLE product (id int PRIMARY KEY, price int)", "INSERT INTO product VALUES (7, 100)"]
  cache: ["SET price:7 100"]
items:
  price: {run: SELECT price FROM product WHERE id = 7, on: sales}
  cached: {redis: GET price:7, on: cache}
sessions:
  service:
    on: sales
    steps:
      look: {run: SELECT price FROM product WHERE id = 7, reads: price}
      fill: {redis: "SET price:7 ${price}", on: cache, writes: cached}
  editor:
    on: sales
    steps:
      change: {run: UPDATE product SET price = 80 WHERE id = 7, writes: {price: 80}}
      drop: {redis: "SET price:7 80", on: cache, writes: {cached: 80}}
schedules: reduced
expect: {postgresql: {allows: [read skew, lost update, write skew, non-repeatable read], holds: int(cached) == price}}
"""


def test_over_two_engines_only_what_its_file_names_is_expected(suite: Suite, tmp_path: Path) -> None:
    environ = {f"{name.upper()}_URL": suite.servers.target(name).url for name in ("promptsales", "cache")}
    own = Suite(Settings(root=tmp_path, results=tmp_path / "results", mode="external", environ=environ))
    try:
        base = bases(own, written(tmp_path, SEVERAL))[0]
        explored = Explorer(base, Plan(Kind.all), runner(own, base, 1), Journal(own, base.id)).explore()
        taken: set[Path] = set()
        made = [one for _ in range(2) for one in smallest(own, explored, tmp_path / "small.yaml", str, taken)]
    finally:
        own.close()
    assert [one.replayed for one in made] == [True] * len(made)
    names = [one.file.name for one in made if one.file is not None]
    assert names == ["small.yaml", *(f"small-{number}.yaml" for number in range(2, len(made) + 1))]
    assert {file.name for file in taken} == {*names}
    assert "levels: {postgresql: read committed}" in made[0].text
