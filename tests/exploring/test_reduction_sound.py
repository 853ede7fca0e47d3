"""The reduction held against PostgreSQL itself: all interleavings are run, and those of one class must have one outcome.

How each step ended, its error, its rows as they came; what is left in the tables; who waited; the phenomena found.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from harness.evidence.verdict import judge
from harness.exploring.scout import scout
from harness.history import ENDINGS, EventKind, History, Phase
from harness.runner.case import Play
from harness.runner.stage import Stage
from harness.scenario.cases import cases
from harness.scenario.conflicts import Conflicts, conflicts_of
from harness.scenario.load import load
from harness.scenario.model import Case, Entry, Schedule, Step
from harness.scenario.schedules import interleavings, normal_form
from harness.suite import Suite

HEAD = """
title: Proved
database: promptsales
levels: {postgresql: [LEVEL]}
deadline: 5
"""

ROWS = """
setup:
  - CREATE TABLE a (id int PRIMARY KEY, v int)
  - CREATE TABLE b (id int PRIMARY KEY, v int)
  - INSERT INTO a VALUES (1, 10), (2, 20)
  - INSERT INTO b VALUES (1, 10), (2, 20)
items:
  a1: SELECT v FROM a WHERE id = 1
  a2: SELECT v FROM a WHERE id = 2
  b: SELECT sum(v) FROM b
  n: SELECT sum(id) FROM a
schedule: all
expect: {postgresql: {any: {}}}
"""

HANGING = """
setup:
  - CREATE TABLE p (id int PRIMARY KEY, v int)
  - CREATE TABLE a (id int PRIMARY KEY, v int, p int REFERENCES p ON DELETE CASCADE, u int UNIQUE)
  - CREATE TABLE g (id int PRIMARY KEY, v int)
  - CREATE TABLE g_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what int)
  - CREATE VIEW av AS SELECT id, v FROM a
  - "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(v) FROM g'"
  - |
    CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO g_log (what) VALUES (NEW.v); RETURN NEW; END'
  - CREATE TRIGGER tg AFTER UPDATE ON g FOR EACH ROW EXECUTE FUNCTION log_it()
  - |
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN UPDATE p SET v = v + 1 WHERE id = 2; RETURN NEW; END'
  - CREATE TRIGGER ta AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION touch()
  - INSERT INTO p VALUES (1, 10), (2, 20), (3, 30)
  - INSERT INTO a VALUES (1, 10, 1, 1), (2, 20, 2, 2)
  - INSERT INTO g VALUES (1, 10), (2, 20)
items:
  a: SELECT sum(v) FROM a
  n: SELECT sum(id) FROM a
  u: SELECT sum(u) FROM a
  p: SELECT sum(v) FROM p
  g: SELECT sum(v) FROM g
schedule: all
expect: {postgresql: {any: {}}}
"""


def session(name: str, *statements: str, setup: str = "begin", priority: str = "normal") -> str:
    lines = [
        f"  {name}:",
        *([f"    setup: {setup}"] if setup else []),
        f"    deadlock_priority: {priority}",
        "    steps:",
    ]
    return "\n".join([*lines, *(f"      {name}{n}: {text}" for n, text in enumerate(statements, 1))])


READ_1, READ_2 = "{run: SELECT v FROM a WHERE id = 1, reads: a1}", "{run: SELECT v FROM a WHERE id = 2, reads: a2}"
ADD_1, ADD_2 = "UPDATE a SET v = v + 1 WHERE id = 1", "UPDATE a SET v = v + 2 WHERE id = 2"
TWICE_1, TWICE_2 = "UPDATE a SET v = v * 2 WHERE id = 1", "UPDATE a SET v = v * 2 WHERE id = 2"
LESS = "{run: 'UPDATE a SET v = ${a1 - %d} WHERE id = 1', writes: a1}"
NONE_1 = "{run: UPDATE a SET v = 0 WHERE id = 1, writes: {a1: 0}}"
NONE_2 = "{run: UPDATE a SET v = 0 WHERE id = 2, writes: {a2: 0}}"
FAILS = "SELECT 1 / (v - v) FROM b WHERE id = 1"
CHILD, PARENT = "INSERT INTO a VALUES (3, 3, 1, 3)", "DELETE FROM p WHERE id = 1"
MARK_1, MARK_2 = "UPDATE a SET u = 3 WHERE id = 1", "UPDATE a SET u = 3 WHERE id = 2"
LOGGED_1, LOGGED_2 = "UPDATE g SET v = v + 1 WHERE id = 1", "UPDATE g SET v = v * 2 WHERE id = 2"

SCENARIOS: dict[str, list[str]] = {
    "lost update": [session("A", READ_1, LESS % 1, "commit"), session("B", READ_1, LESS % 2, "commit")],
    "write skew": [session("A", READ_2, NONE_1, "commit"), session("B", READ_1, NONE_2, "commit")],
    "phantom": [
        session("A", "SELECT count(*) FROM a", "SELECT count(*) FROM a", "commit"),
        session("B", "INSERT INTO a VALUES (3, 30)", "commit"),
    ],
    "deadlock": [
        session("A", ADD_1, ADD_2, "commit"),
        session("B", TWICE_2, TWICE_1, "commit", priority="low"),
    ],
    "snapshot at the first statement": [
        session("A", "SELECT sum(v) FROM b", READ_1, ADD_1, "commit"),
        session("B", ADD_1, "commit"),
    ],
    "snapshot and single statements": [
        session("A", "begin", READ_2, READ_1, setup=""),
        session("B", ADD_1, "UPDATE b SET v = v + 1", setup=""),
    ],
    "one waits, a third one passes": [
        session("A", ADD_1, "commit"),
        session("B", TWICE_1, TWICE_2, "commit"),
        session("C", ADD_2, setup=""),
    ],
    "an error lets others go": [
        session("A", ADD_1, FAILS, "commit"),
        session("B", TWICE_1, TWICE_2, "commit"),
        session("C", ADD_2, setup=""),
    ],
    "one key, inserted twice": [
        session("A", "INSERT INTO a VALUES (3, 30)", "rollback"),
        session("B", "INSERT INTO a VALUES (3, 31)", ADD_1, "commit"),
    ],
    "rows as they lie": [
        session("A", ADD_1, "commit"),
        session("B", ADD_2, "commit"),
        session("C", "SELECT id FROM a", setup=""),
    ],
    "foreign key": [session("A", CHILD, "commit"), session("B", PARENT, "SELECT sum(v) FROM av", "commit")],
    "unique besides the key": [session("A", MARK_1, "rollback"), session("B", MARK_2, LOGGED_1, "commit")],
    "trigger": [
        session("A", "INSERT INTO a VALUES (3, 3, 3, 3)", "commit"),
        session("B", "UPDATE p SET v = v * 2 WHERE id = 2", "SELECT total()", "commit"),
    ],
    "logs": [session("A", LOGGED_1, "commit"), session("B", LOGGED_2, "SELECT v FROM g WHERE id = 2", "commit")],
}
HANGS = ("foreign key", "unique besides the key", "trigger", "logs")
RC, RR, SSI = "read committed", "repeatable read", "serializable"
LEVELS = {
    "lost update": (RC, SSI),
    "write skew": (RR, SSI),
    "phantom": (RR, SSI),
    "deadlock": (RC, SSI),
    "snapshot at the first statement": (RR, SSI),
    "snapshot and single statements": (RR,),
    "foreign key": (RC, SSI),
    "logs": (RC, SSI),
}
"""Where a scenario can go wrong; those that are about waiting and order, at read committed: there the fewest pairs
conflict."""
FEWER = {
    ("lost update", "read committed"): (20, 8),
    ("write skew", "repeatable read"): (20, 3),
    ("phantom", "repeatable read"): (10, 3),
    ("logs", "read committed"): (10, 1),
}
"""Interleavings of some, and how many of them are kept: a relation in which everything conflicts would be right, too."""


MADE = "CREATE TABLE t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v / 10) STORED UNIQUE)"
DEFERRED = [
    "CREATE TABLE t (id int PRIMARY KEY, v int, w int)",
    "INSERT INTO t VALUES (1, 0, 0), (2, 0, 0)",
    "CREATE TABLE o (id int PRIMARY KEY, v int)",
    "INSERT INTO o VALUES (3, 1)",
    "CREATE VIEW ov AS SELECT id AS k, v AS m FROM o",
]
WHOLE = [
    "CREATE TABLE t (id int PRIMARY KEY, v int)",
    "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)",
    "CREATE FUNCTION whole(one t) RETURNS int LANGUAGE sql STABLE AS 'SELECT sum(v)::int FROM t'",
]
APART = ("UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 2 WHERE id = 2")

HOSTILE: dict[str, tuple[list[str], str, str]] = {
    "a unique column is made of another one": (
        [MADE, "INSERT INTO t VALUES (1, 10), (2, 20)"],
        "UPDATE t SET v = 55 WHERE id = 1",
        "UPDATE t SET v = 57 WHERE id = 2",
    ),
    "an exclusion constraint has a predicate": (
        [
            "CREATE TABLE t (id int PRIMARY KEY, v int, ok bool, EXCLUDE USING btree (v WITH =) WHERE (ok))",
            "INSERT INTO t VALUES (1, 0, false), (2, 0, false)",
        ],
        "UPDATE t SET ok = true WHERE id = 1",
        "UPDATE t SET ok = true WHERE id = 2",
    ),
    "a deferred trigger writes through a view": (
        [
            *DEFERRED,
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN UPDATE ov SET m = m + 1 WHERE k = 3; RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER g AFTER UPDATE OF w ON t DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION f()",
        ],
        "UPDATE t SET w = 1 WHERE id = 1",
        "UPDATE o SET v = v * 2 WHERE id = 3",
    ),
    "a deferred trigger reads what another one commits": (
        [
            *DEFERRED,
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN IF (SELECT v FROM o) > 5 THEN RAISE EXCEPTION USING ERRCODE = ''P0009''; END IF; RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER g AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION f()",
        ],
        "UPDATE t SET w = 1 WHERE id = 1",
        "UPDATE o SET v = 9 WHERE id = 3",
    ),
    "a sum depends on the order of rows": (
        [
            "CREATE TABLE t (id int PRIMARY KEY, v double precision)",
            "INSERT INTO t VALUES (1, 1e16), (2, 1), (3, -1e16)",
        ],
        "UPDATE t SET v = 1e16 WHERE id = 1",
        "UPDATE t SET v = 1 WHERE id = 2",
    ),
    "a function has the name of a built-in one": (
        [
            *WHOLE,
            "CREATE FUNCTION levenshtein(a text, b text) RETURNS int LANGUAGE sql STABLE AS 'SELECT sum(v)::int FROM t'",
        ],
        "UPDATE t SET v = levenshtein('a', 'b') WHERE id = 1",
        "UPDATE t SET v = 77 WHERE id = 2",
    ),
    "a function overloads a built-in one": (
        [*WHOLE, "ALTER FUNCTION whole(t) RENAME TO abs"],
        "UPDATE t SET v = abs(t) WHERE id = 1",
        "UPDATE t SET v = 77 WHERE id = 2",
    ),
    "a function is called like a column": (
        WHOLE,
        "UPDATE t SET v = t.whole WHERE id = 1",
        "UPDATE t SET v = 77 WHERE id = 2",
    ),
    "an operator calls a function": (
        [*WHOLE, "CREATE OPERATOR + (rightarg = t, function = whole)"],
        "UPDATE t SET v = + t WHERE id = 1",
        "UPDATE t SET v = 77 WHERE id = 2",
    ),
    "a cast calls a function": (
        [*WHOLE, "CREATE CAST (t AS int) WITH FUNCTION whole(t)"],
        "UPDATE t SET v = CAST(t AS int) WHERE id = 1",
        "UPDATE t SET v = 77 WHERE id = 2",
    ),
    "a default calls a function": (
        [
            "CREATE TABLE t (id int PRIMARY KEY, v int)",
            "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)",
            "CREATE FUNCTION all_of() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(v) FROM t); END'",
            "ALTER TABLE t ALTER v SET DEFAULT all_of()",
        ],
        "UPDATE t SET v = DEFAULT WHERE id = 1",
        "UPDATE t SET v = 77 WHERE id = 2",
    ),
    "columns differ by large letters only": (
        ['CREATE TABLE t ("ID" int PRIMARY KEY, id int, v int)', "INSERT INTO t VALUES (1, 5, 1), (2, 5, 2)"],
        "UPDATE t SET v = 10 WHERE id = 5",
        'UPDATE t SET v = v + 5 WHERE "ID" = 1',
    ),
    "an item shows the order of rows through a view": (
        [*WHOLE, "CREATE VIEW shown AS SELECT string_agg(id::text, '') FROM t"],
        *APART,
    ),
    "an item shows the order of rows through a function": (
        [*WHOLE, "CREATE FUNCTION shown() RETURNS text LANGUAGE sql AS 'SELECT string_agg(id::text, '''') FROM t'"],
        *APART,
    ),
    "an item shows where the rows lie": ([*WHOLE, "CREATE TABLE ctid (id int)"], *APART),
}
"""Set-up, A's statement, B's statement, each between BEGIN and COMMIT: they meet where their words do not say so."""


@dataclass(frozen=True)
class Outcome:
    endings: dict[str, object]
    left: dict[str, object]
    waited: set[str]
    found: set[str]
    end: str


class Shared:
    """A case's interleavings on one stage: the set-up makes the tables anew each time."""

    def __init__(self, suite: Suite, case: Case) -> None:
        drop = "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        setup = {
            alias: {engine: bodies if engine == "redis" else (drop, *bodies) for engine, bodies in by_engine.items()}
            for alias, by_engine in case.scenario.setup.items()
        }
        sessions = tuple(
            replace(one, teardown=(Step(f"end of {one.name}", one.name, one.databases[0], {"*": "rollback"}),))
            for one in case.scenario.sessions
        )
        self._case = replace(case, scenario=replace(case.scenario, setup=setup, sessions=sessions, shared=True))
        self.stage = Stage(self._case, suite.databases)

    def run(self, order: tuple[str, ...]) -> Outcome:
        case = replace(self._case, schedule=Schedule("one", tuple(map(Entry, order))))
        return outcome(case, Play(case, self.stage).run().history())


REDIS = """
title: Watched
database: cache
setup: [{redis: SET a 1}, {redis: SET b 2}]
items: {a: {redis: GET a}, b: {redis: GET b}}
schedule: all
expect: {redis: {any: {}}}
sessions:
  A: {steps: {A1: {redis: WATCH a}, A2: {redis: MULTI}, A3: {redis: INCRBY a 10}, A4: {redis: EXEC}}}
  B: {steps: {B1: {redis: GET b}, B2: {redis: INCRBY a 100}, B3: {redis: MGET a b}}}
"""


def test_what_is_queued_and_watched_on_redis(suite: Suite, tmp_path: Path) -> None:
    file = tmp_path / "watched.yaml"
    file.write_text(REDIS, "utf-8")
    case = next(iter(cases(load(file), suite.servers.describe)))
    learned = scout(suite, case)
    assert not any(footprint.everything for footprint in learned.values())
    hold(suite, case, (35, 5))


def outcome(case: Case, history: History) -> Outcome:
    steps = [event for event in history.events if event.phase is Phase.schedule]
    return Outcome(
        {
            event.step: (
                event.kind,
                event.error.code if event.error else "",
                [(r.rows, r.affected) for r in event.results],
            )
            for event in steps
            if event.kind in ENDINGS or event.kind is EventKind.skipped
        },
        dict(history.final),
        {event.step for event in steps if event.kind is EventKind.blocked},
        {found.value for found in judge(history, case.expectation).phenomena},
        history.end.value,
    )


def orders(case: Case, kind: str, conflicts: Conflicts | None = None) -> Iterator[tuple[str, ...]]:
    for schedule in interleavings(case.scenario.sessions, kind, conflicts=conflicts):
        yield tuple(entry.step for entry in schedule.entries)


def classes_of(case: Case, conflicts: Conflicts) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """All interleavings by the one of their class that is kept."""
    steps = {step.name: step for one in case.scenario.sessions for step in one.steps}
    classes: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for order in orders(case, "all"):
        classes[normal_form([steps[step] for step in order], conflicts)].append(order)
    assert set(orders(case, "reduced", conflicts)) == set(classes)
    return classes


@pytest.mark.parametrize(("name", "level"), [(name, level) for name in SCENARIOS for level in LEVELS.get(name, (RC,))])
def test_interleavings_of_one_class_have_one_outcome(name: str, level: str, suite: Suite, tmp_path: Path) -> None:
    tables, sessions = HANGING if name in HANGS else ROWS, SCENARIOS[name]
    file = tmp_path / "proved.yaml"
    file.write_text(
        textwrap.dedent(HEAD.replace("LEVEL", level) + tables) + "\n".join(["sessions:", *sessions]), "utf-8"
    )
    case = next(iter(cases(load(file), suite.servers.describe)))
    hold(suite, case, FEWER.get((name, level)))


@pytest.mark.parametrize("name", HOSTILE)
def test_statements_that_meet_where_their_words_do_not_say_so(name: str, suite: Suite, tmp_path: Path) -> None:
    setup, *statements = HOSTILE[name]
    document = yaml.safe_load(HEAD.replace("LEVEL", "read committed"))
    document |= {"setup": setup, "schedule": "all", "expect": {"postgresql": {"any": {}}}}
    document["items"] = {"all": "SELECT id, v FROM t ORDER BY id", "sum": "SELECT sum(v) FROM t"}
    last = setup[-1].split()[2]
    if shown := {"shown": "SELECT * FROM shown", "shown()": "SELECT shown()", "ctid": "SELECT id, ctid FROM t"}.get(
        last
    ):
        document["items"]["shown"] = shown
    if any("TABLE o" in text for text in setup):
        document["items"]["o"] = "SELECT v FROM o WHERE id = 3"
    document["sessions"] = {
        one: {"setup": "begin", "steps": {f"{one}1": statement, f"{one}2": "commit"}}
        for one, statement in zip("AB", statements, strict=True)
    }
    file = tmp_path / "hostile.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    hold(suite, next(iter(cases(load(file), suite.servers.describe))))


HELD = """
title: Held since the set-up
database: promptsales
levels: {postgresql: [read committed]}
deadline: 5
setup:
  - CREATE TABLE t (id int PRIMARY KEY, v int)
  - CREATE TABLE o (id int PRIMARY KEY, v int)
  - INSERT INTO t VALUES (1, 10)
  - INSERT INTO o VALUES (1, 10)
  - |
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE o SET v = v + 1 WHERE id = 1; RETURN NEW; END'
  - CREATE TRIGGER g AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()
items: {o: SELECT v FROM o WHERE id = 1}
schedule: all
expect: {postgresql: {any: {}}}
sessions:
  A: {setup: [begin, UPDATE t SET v = 1 WHERE id = 1], steps: {A1: commit}}
  B: {steps: {B1: SELECT 2, B2: SELECT v FROM o WHERE id = 1}}
"""


def test_what_the_set_up_of_a_session_has_done_shows_at_its_end(suite: Suite, tmp_path: Path) -> None:
    """A trigger of it wrote another table."""
    file = tmp_path / "held.yaml"
    file.write_text(HELD, "utf-8")
    hold(suite, next(iter(cases(load(file), suite.servers.describe))))


def hold(suite: Suite, case: Case, sizes: tuple[int, int] | None = None) -> None:
    """Run all members of each class. ``sizes``: how many interleavings and classes there are."""
    classes = classes_of(case, conflicts_of(case, scout(suite, case)))
    if sizes is not None:
        assert (sum(map(len, classes.values())), len(classes)) == sizes
    shared = Shared(suite, case)
    try:
        for kept, members in classes.items():
            others = [order for order in members if order != kept]
            expected = shared.run(kept) if others else None
            for order in others:
                assert (order, shared.run(order)) == (order, expected)
    finally:
        shared.stage.close()
