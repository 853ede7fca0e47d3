"""Footprints of statements, and which steps conflict, without a server; test_reduction_sound.py proves it on one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.scenario.conflicts import Access, Conflicts, Footprint, Table, unplaced
from harness.scenario.conflicts_model import key_text
from harness.scenario.conflicts_read import Reader
from harness.scenario.conflicts_setup import tables_of
from harness.scenario.conflicts_sql import read_sql
from harness.scenario.model import Session, Step

KEYED = {
    "t": Table(("id",), {"id": "integer", "v": "integer", "mail": "text"}, frozenset({"mail"})),
    "pair": Table(("a", "b"), {"a": "integer", "b": "integer", "v": "integer"}),
    "plain": Table(("id",), {"id": "integer", "v": "integer"}),
    "child": Table(("id",), {"id": "integer", "p": "integer"}, frozenset({"p"}), frozenset({"plain"})),
    "fired": Table(("id",), {"id": "integer", "v": "integer"}, triggers=frozenset({"update"})),
    "kinds": Table(
        ("id",), {"id": "integer", "real": "double precision", "exact": "numeric(10, 2)", "day": "date", "word": "text"}
    ),
    "drawn": Table(("id",), {"id": "integer", "v": "integer"}, drawn=True),
}


def touched(text: str, dialect: str = "postgres") -> set[str] | None:
    """``r t``, ``w t 1 2``: what a statement reads and writes, with the keys of its rows."""
    read = read_sql(text, dialect, "db", KEYED)
    if read is None:
        return None
    return {
        " ".join(["w" if one.writes else "r", one.where.removeprefix("db."), *sorted(one.keys or ())])
        + ("" if one.keys is None or one.keys else " none")
        for one in read.accesses
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SELECT 1", set()),
        ("SELECT count(*) FROM Sale WHERE x = ${y}", {"r sale"}),
        ("SELECT a FROM b UNION SELECT c FROM d", {"r b", "r d"}),
        ("SELECT * FROM x FOR UPDATE", {"w x"}),
        ("INSERT INTO a SELECT x FROM b", {"w a", "w b"}),
        ("WITH gone AS (DELETE FROM x RETURNING *) SELECT * FROM gone", {"w x", "w gone"}),
        ("SELECT v FROM plain WHERE id = 1", {"r plain 1"}),
        ("SELECT v FROM plain AS p WHERE p.id = 1 AND p.v > 3", {"r plain 1"}),
        ("SELECT v FROM plain WHERE 1 = id", {"r plain 1"}),
        ("SELECT v FROM plain WHERE id IN (1, 2)", {"r plain 1 2"}),
        ("SELECT v FROM plain WHERE id = 1 FOR UPDATE", {"w plain 1"}),
        ("SELECT v FROM plain WHERE id = -1", {"r plain -1"}),
        ("SELECT v FROM plain WHERE id = 1 AND id = 2", {"r plain none"}),
        ("SELECT v FROM plain WHERE id = 1 OR v = 2", {"r plain"}),
        ("SELECT v FROM plain WHERE id >= 1", {"r plain"}),
        ("SELECT v FROM plain WHERE NOT id = 1", {"r plain"}),
        ("SELECT v FROM plain WHERE id = '01'", {"r plain"}),
        ("SELECT v FROM plain WHERE id = v", {"r plain"}),
        ("SELECT v FROM plain WHERE id = ${unknown}", {"r plain"}),
        ("SELECT v FROM plain WHERE id = (SELECT 1)", {"r plain"}),
        ("SELECT p.v FROM plain p JOIN x ON true WHERE p.id = 1", {"r plain", "r x"}),
        ("SELECT v FROM pair WHERE a = 1", {"r pair"}),
        ("SELECT v FROM pair WHERE a = 1 AND b IN (2, 3)", {"r pair (1, 2) (1, 3)"}),
        ("UPDATE plain SET v = v + 1 WHERE id = 1", {"w plain 1"}),
        ("UPDATE plain SET id = 2 WHERE id = 1", {"w plain"}),
        ("UPDATE plain SET (v, id) = (1, 2) WHERE id = 1", {"w plain"}),
        ("UPDATE plain SET v = x.v FROM x WHERE plain.id = 1", {"w plain", "w x"}),
        ("UPDATE t SET v = 1 WHERE id = 1", {"w t 1"}),
        ("UPDATE t SET mail = 'm' WHERE id = 1", {"w t"}),
        ("UPDATE fired SET v = 1 WHERE id = 1", {"w fired"}),
        ("UPDATE child SET p = 2 WHERE id = 1", {"w child", "w plain"}),
        ("DELETE FROM plain WHERE id = 1", {"w plain 1"}),
        ("DELETE FROM fired WHERE id = 1", {"w fired 1"}),
        ("INSERT INTO plain VALUES (3, 1)", {"w plain 3"}),
        ("INSERT INTO plain (v, id) VALUES (1, 3), (1, 4)", {"w plain 3 4"}),
        ("INSERT INTO plain (v) VALUES (1)", {"w plain"}),
        ("INSERT INTO plain VALUES (3, 1) ON CONFLICT (id) DO UPDATE SET v = 2", {"w plain 3"}),
        ("INSERT INTO plain VALUES (3, 1) ON CONFLICT (id) DO UPDATE SET id = 2", {"w plain"}),
        ("INSERT INTO t VALUES (3, 1, 'm')", {"w t"}),
        ("INSERT INTO drawn VALUES (3, 1)", {"w drawn"}),
        ("INSERT INTO child VALUES (3, 1)", {"w child", "w plain"}),
        ("SELECT v FROM plain WHERE id = 1; UPDATE plain SET v = 2 WHERE id = 2", {"r plain 1", "w plain 2"}),
        ("SELECT nextval('s')", None),
        ("SELECT my_function(v) FROM plain", None),
        ("SELECT * FROM my_function(1)", None),
        ("SELECT xmin FROM plain", None),
        ("SELECT * FROM pg_locks", None),
        ("LOCK TABLE a", None),
        ("CREATE TABLE a (x int)", None),
        ("COMMIT; SELECT 1", None),
        ("garbage (", None),
    ],
)
def test_what_sql_touches(text: str, what: set[str] | None) -> None:
    assert touched(text) == what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SELECT * FROM t WITH (UPDLOCK) WHERE id = 1", {"w t 1"}),
        ("UPDATE ${databases.ads}.dbo.campaign SET x = 1", {"w ads.campaign"}),
        ("UPDATE crm.dbo.client SET x = 1", {"w *.client"}),
        ("SELECT a INTO b FROM c", None),
        ("EXEC p", None),
    ],
)
def test_what_tsql_touches(text: str, what: set[str] | None) -> None:
    assert touched(text, "tsql") == what


@pytest.mark.parametrize(
    "value", ["01", "1.0", "1e0", "true", "T", "now", "2024-1-1", "é", "a b", "", "--1", None, True, 1.0]
)
def test_keys_that_have_several_writings_are_no_keys(value: object) -> None:
    assert key_text(value) is None


def test_keys_that_a_collation_may_call_equal_are_one() -> None:
    assert key_text("Ana ") == key_text("ana") == "ana"
    assert key_text(7) == key_text("7") == "7"


def test_tables_of_a_set_up() -> None:
    texts = [
        "CREATE TABLE p (id int PRIMARY KEY, v int CHECK (v > 0))",
        "CREATE TABLE c (a int, b int, p int REFERENCES p, mail text UNIQUE, PRIMARY KEY (a, b)); CREATE INDEX i ON c (b)",
        "CREATE TABLE s (id serial PRIMARY KEY, at timestamptz DEFAULT now())",
        "CREATE UNIQUE INDEX u ON p (v)",
        "INSERT INTO p VALUES (1, 1)",
    ]
    made = tables_of(texts, "postgres")
    assert made["p"].key == ("id",)
    assert made["p"].children == {"c"}
    assert {"v"} <= made["p"].shared
    assert (made["c"].key, made["c"].parents) == (("a", "b"), {"p"})
    assert made["c"].shared == {"p", "mail"}
    assert made["s"].drawn
    assert not made["p"].drawn


def test_what_a_generated_column_is_made_of_counts_as_unique() -> None:
    made = tables_of(
        ["CREATE TABLE g (id int PRIMARY KEY, v int, w int GENERATED ALWAYS AS (v / 10) STORED UNIQUE)"], "postgres"
    )
    assert made["g"].shared == {"id", "v", "w"}


# -- which steps conflict


def steps(engine: str, level: str, **texts: Sequence[object]) -> tuple[Conflicts, dict[str, Step]]:
    """The conflicts of sessions with these statements; each begins with BEGIN in its set-up."""
    made = [
        Session(
            name,
            tuple(Step(f"{name}{n}", name, "db", {"*": body}) for n, body in enumerate(own, 1)),  # type: ignore[dict-item]
            (Step("begin", name, "db", {"*": "begin"}),),
        )
        for name, own in texts.items()
    ]
    told = Reader({"db": engine}, {"db": KEYED}, documents_apart=True).footprints(made)
    return Conflicts(made, told, {"db": level}), {step.name: step for session in made for step in session.steps}


def pairs(engine: str, level: str, **texts: Sequence[object]) -> set[str]:
    """``A1 B2``: the steps that conflict."""
    made, named = steps(engine, level, **texts)
    found = {
        f"{one} {two}"
        for one in named
        for two in named
        if one < two and one[0] != two[0] and made.conflict(named[one], named[two])
    }
    assert len(made) == len(found)
    assert all(made.why(*(named[name] for name in pair.split())) for pair in found)
    return found


R1, R2, W1, W2 = (
    "SELECT v FROM plain WHERE id = 1",
    "SELECT v FROM plain WHERE id = 2",
    "UPDATE plain SET v = 1 WHERE id = 1",
    "UPDATE plain SET v = 1 WHERE id = 2",
)


def test_rows_are_told_apart_below_serializable() -> None:
    for level in ("read committed", "repeatable read"):
        assert pairs("postgresql", level, A=[W1, "commit"], B=[W2, "commit"]) == set()
    assert pairs("postgresql", "serializable", A=[W1], B=[W2]) == {"A1 B1"}


def test_a_reader_conflicts_with_the_commit_not_with_the_write() -> None:
    assert pairs("postgresql", "read committed", A=[R1, R1, "commit"], B=[W1, "commit"]) == {"A1 B2", "A2 B2"}


def test_the_first_statement_takes_the_snapshot_of_all_that_follows() -> None:
    """At repeatable read what A2 reads was decided at A1, which reads another row."""
    assert pairs("postgresql", "repeatable read", A=[R2, R1, "commit"], B=[W1, "commit"]) == {"A1 B2", "A2 B2"}
    assert pairs("postgresql", "read committed", A=[R2, R1, "commit"], B=[W1, "commit"]) == {"A2 B2"}


def test_what_may_wait_is_ordered_with_what_may_let_go() -> None:
    """A holds row 1, B waits for it; B's next step may come at once when A commits, whatever C does to the same row."""
    found = pairs("postgresql", "read committed", A=[W1, "commit"], B=[W1, W2, "commit"], C=[W2, "commit"])
    assert {"A1 B1", "A2 B1", "A2 B2", "A2 B3", "A2 C1", "B2 C1", "B3 C1"} <= found
    assert "A1 C1" not in found


def test_the_victim_of_a_deadlock_depends_on_who_waited_first() -> None:
    """A2 and B2 are about different rows."""
    found = pairs("postgresql", "read committed", A=[W1, W2], B=[W2, W1])
    assert "A2 B2" in found
    assert "A1 B1" not in found


def test_three_connected_serializable_transactions_are_ordered_throughout() -> None:
    two = pairs(
        "postgresql", "serializable", A=["SELECT x FROM a", "commit"], B=["SELECT x FROM a", "UPDATE b SET x = 1"]
    )
    assert two == set()
    apart = {"A": ["SELECT x FROM a", "UPDATE b SET x = 1"], "B": ["SELECT x FROM b", "UPDATE c SET x = 1"]}
    three = pairs("postgresql", "serializable", **apart, C=["SELECT x FROM c"])
    assert three == {"A1 B1", "A1 B2", "A2 B1", "A2 B2", "A1 C1", "A2 C1", "B1 C1", "B2 C1"}


def test_what_cannot_be_read_conflicts_with_everything_and_so_does_the_end_of_its_transaction() -> None:
    assert pairs("postgresql", "read committed", A=["SELECT f()", "commit"], B=[R1]) == {"A1 B1", "A2 B1"}
    assert pairs("postgresql", "read committed", A=["begin", "VACUUM", R2], B=["begin", R1]) == {"A2 B2", "A3 B2"}


def test_readers_wait_on_sql_server() -> None:
    found = pairs("sqlserver", "read committed", A=["SELECT x FROM a", "commit"], B=["UPDATE a SET x = 1", "commit"])
    assert found == {"A1 B1", "A1 B2", "A2 B1", "A2 B2"}


def test_a_level_that_begin_names_counts() -> None:
    texts = {"A": ["begin isolation level serializable", R1, "commit"], "B": ["begin isolation level serializable", W2]}
    made = [
        Session(name, tuple(Step(f"{name}{n}", name, "db", {"*": text}) for n, text in enumerate(own, 1)))
        for name, own in texts.items()
    ]
    told = Reader({"db": "postgresql"}, {"db": KEYED}).footprints(made)
    conflicts = Conflicts(made, told, {"db": "read committed"})
    assert conflicts.conflict(made[0].steps[1], made[1].steps[1])


def test_a_set_up_that_cannot_be_read_leaves_everything_open() -> None:
    one = Session("A", (Step("A1", "A", "db", {"*": R1}),), (Step("s", "A", "db", {"*": "PREPARE x AS SELECT 1"}),))
    two = Session("B", (Step("B1", "B", "db", {"*": R1}),))
    told = Reader({"db": "postgresql"}, {"db": KEYED}).footprints([one, two])
    assert Conflicts([one, two], told, {"db": "read committed"}).conflict(one.steps[0], two.steps[0])


def test_rows_that_somebody_may_see_lie_in_another_order_are_one_table() -> None:
    """Two updates of different rows change which of them a scan meets first."""
    assert pairs("postgresql", "read committed", A=[W1], B=[W2], C=["SELECT v FROM plain LIMIT 1"]) >= {"A1 B1"}
    for harmless in ("SELECT count(*) FROM plain", "SELECT id, v FROM plain ORDER BY id", R1):
        assert pairs("postgresql", "read committed", A=[W1], B=[W2], C=[harmless]) == set()


@pytest.mark.parametrize(
    ("aggregate", "loose"),
    [
        ("count(real)", False),
        ("sum(exact)", False),
        ("avg(id * 2)", False),
        ("max(id)", False),
        ("min(day)", False),
        ("sum(real)", True),
        ("avg(id * real)", True),
        ("sum(CAST(id AS real))", True),
        ("sum(unknown)", True),
        ("max(exact)", True),
        ("min(word)", True),
        ("count(*) + sum(real)", True),
        ("count(*) FROM kinds HAVING sum(real) > 1 --", True),
    ],
)
def test_sums_that_depend_on_the_order_of_rows_show_it(aggregate: str, loose: bool) -> None:
    read = read_sql(f"SELECT {aggregate} FROM kinds", "postgres", "db", KEYED)
    assert read is not None
    assert read.loose == ({"db.kinds"} if loose else set())


@pytest.mark.parametrize(
    ("columns", "loose"),
    [
        ("id AS k, v AS id", True),
        ("v AS ID, id", True),
        ("CAST(id AS boolean) AS id", True),
        ("id AS id, v", False),
        ("v AS w", False),
    ],
)
def test_another_column_under_the_name_of_the_key_is_no_order(columns: str, loose: bool) -> None:
    read = read_sql(f"SELECT {columns} FROM plain ORDER BY id", "postgres", "db", KEYED)
    assert read is not None
    assert read.loose == ({"db.plain"} if loose else set())


def test_any_engine_and_level_is_the_strictest() -> None:
    made = [Session(name, (Step(f"{name}1", name, "db", {"*": text}),)) for name, text in (("A", R1), ("B", W2))]
    assert unplaced(made).conflict(made[0].steps[0], made[1].steps[0])


# -- documents and keys


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"find": "c", "filter": {"_id": 1}}, {Access("db.c", False, frozenset({"1"}))}),
        ({"find": "c", "filter": {"_id": {"$in": [1, 2]}}}, {Access("db.c", False, frozenset({"1", "2"}))}),
        ({"find": "c", "filter": {"_id": {"$gt": 1}}}, {Access("db.c", False)}),
        ({"find": "c", "filter": {"_id": "${x}"}}, {Access("db.c", False)}),
        (
            {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]},
            {Access("db.c", True, frozenset({"1"}))},
        ),
        (
            {"insert": "c", "documents": [{"_id": 1}, {"n": 2}]},
            {Access("db.c", True, frozenset({"1"})), Access("db.c", True)},
        ),
        ({"count": "c", "query": {}}, {Access("db.c", False)}),
        ({"aggregate": "c", "pipeline": [{"$lookup": {"from": "d"}}]}, None),
        ({"drop": "c"}, None),
    ],
)
def test_what_documents_touch(body: dict[str, object], what: set[Access] | None) -> None:
    step = Step("one", "A", "db", {"mongodb": body})
    footprint = Reader({"db": "mongodb"}, documents_apart=True).footprints([Session("A", (step,))])["one"]
    assert footprint.everything == (what is None)
    if what is not None:
        assert footprint.accesses == what


def test_documents_are_one_where_unique_indexes_may_be() -> None:
    step = Step("one", "A", "db", {"mongodb": {"find": "c", "filter": {"_id": 1}}})
    footprint = Reader({"db": "mongodb"}).footprints([Session("A", (step,))])["one"]
    assert footprint.accesses == {Access("db.c", False)}


def redis(*lines: str) -> list[Footprint]:
    steps_ = tuple(Step(f"s{n}", "A", "db", {"redis": line}) for n, line in enumerate(lines))
    told = Reader({"db": "redis"}).footprints([Session("A", steps_)])
    return [told[step.name] for step in steps_]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("GET a", {Access("db", False, frozenset("a"))}),
        ("mget a b", {Access("db", False, frozenset("ab"))}),
        ("SET a 1", {Access("db", True, frozenset("a"))}),
        ("MSET a 1 b 2", {Access("db", True, frozenset("ab"))}),
        ("INCRBY ${x} 2", {Access("db", True)}),
        ("BLPOP a b 0", {Access("db", True, frozenset("ab"))}),
        ("DBSIZE", {Access("db", False)}),
        ("PING", set()),
        ("SORT a BY w_*", None),
        ("EVAL 'return 1' 0", None),
        ("PUBLISH a b", None),
    ],
)
def test_what_redis_touches(line: str, what: set[Access] | None) -> None:
    (footprint,) = redis(line)
    assert footprint.everything == (what is None)
    if what is not None:
        assert footprint.accesses == what


def test_what_is_queued_is_touched_at_exec_with_what_is_watched() -> None:
    watch, multi, queued, unknown, execute = redis("WATCH a", "begin", "SET b 1", "GET c", "commit")
    assert watch.accesses == {Access("db", False, frozenset("a"))}
    assert not any(step.acts for step in (multi, queued, unknown))
    assert execute.accesses == {
        *watch.accesses,
        Access("db", True, frozenset("b")),
        Access("db", False, frozenset("c")),
    }
    assert redis("MULTI", "EVAL 'return 1' 0", "EXEC")[2].everything
    assert not redis("MULTI", "SET a 1", "DISCARD")[2].accesses


def test_an_unwatch_that_is_queued_comes_too_late() -> None:
    """EXEC looks at what is watched before it runs what is queued."""
    watched = Access("db", False, frozenset("k"))
    assert watched in redis("WATCH k", "MULTI", "UNWATCH", "EXEC")[3].accesses
    assert watched not in redis("WATCH k", "UNWATCH", "MULTI", "EXEC")[3].accesses
