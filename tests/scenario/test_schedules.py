from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import pytest

from harness.errors import ScenarioError
from harness.scenario.model import Schedule, Session, Step
from harness.scenario.schedules import LIMIT, _tables, _touched, interleavings, number_of

Order = tuple[str, ...]


def sessions(*lengths: int) -> list[Session]:
    """Sessions A, B, … of that many steps: A1, A2, …"""
    return [
        Session(name, tuple(Step(f"{name}{n}", name, "db", {"*": f"SELECT {n}"}) for n in range(1, length + 1)))
        for name, length in zip("ABCDEF", lengths, strict=False)
    ]


def of_texts(**texts: Sequence[str]) -> list[Session]:
    """Sessions with these statements."""
    return [
        Session(name, tuple(Step(f"{name}{n}", name, "db", {"*": text}) for n, text in enumerate(own, 1)))
        for name, own in texts.items()
    ]


def orders(made: Sequence[Schedule]) -> list[Order]:
    return [tuple(entry.step for entry in schedule.entries) for schedule in made]


@pytest.mark.parametrize(
    ("lengths", "count"),
    [
        ((1,), 1),
        ((5,), 1),
        ((1, 1), 2),
        ((2, 2), 6),
        ((3, 2), 10),
        ((2, 2, 2), 90),
        ((3, 3, 3), 1680),
        ((1, 1, 1, 1), 24),
    ],
)
def test_number_is_what_all_gives(lengths: tuple[int, ...], count: int) -> None:
    made = sessions(*lengths)
    assert number_of(made) == count
    every = orders(list(interleavings(made, "all")))
    assert len(every) == len(set(every)) == count
    for order in every:
        for session in made:
            assert [step for step in order if step[0] == session.name] == [step.name for step in session.steps]


def test_names_count_from_one_with_leading_zeros() -> None:
    assert [schedule.name for schedule in interleavings(sessions(3, 2), "all")] == [f"all-{n:02}" for n in range(1, 11)]
    assert [schedule.name for schedule in interleavings(sessions(3, 2), "random", 3, 1)] == [
        "random-1",
        "random-2",
        "random-3",
    ]


def test_the_first_of_all_is_one_session_after_the_other() -> None:
    every = orders(list(interleavings(sessions(2, 2), "all")))
    assert every[0] == ("A1", "A2", "B1", "B2")
    assert every[-1] == ("B1", "B2", "A1", "A2")


def test_too_many() -> None:
    with pytest.raises(ScenarioError, match=f"are too many \\(at most {LIMIT:,}\\): say 'schedule: {{random: 100"):
        list(interleavings(sessions(6, 6, 6), "all"))
    with pytest.raises(ScenarioError, match=r"^about 10\^\d{4} interleavings are too many"):
        list(interleavings([Session(str(n), sessions(10)[0].steps) for n in range(256)], "reduced"))


def test_random_ones_differ_and_come_again_with_their_seed() -> None:
    made = sessions(4, 4)
    drawn = orders(list(interleavings(made, "random", 20, 7)))
    assert len(set(drawn)) == 20
    assert drawn == orders(list(interleavings(made, "random", 20, 7)))
    assert drawn != orders(list(interleavings(made, "random", 20, 8)))
    assert drawn[:5] == orders(list(interleavings(made, "random", 5, 7)))


def test_random_gives_no_more_than_there_are() -> None:
    assert len(orders(list(interleavings(sessions(2, 2), "random", 100, 1)))) == 6
    assert len(orders(list(interleavings(sessions(9, 9, 9), "random", 50, 1)))) == 50


def conflict(one: Step, other: Step) -> bool:
    return one.session == other.session or _touched(one).conflicts(_touched(other))


def classes(made: Sequence[Session]) -> list[set[Order]]:
    """Mazurkiewicz's traces by brute force: orders that swaps of independent neighbours turn into each other."""
    steps = {step.name: step for session in made for step in session.steps}
    left = set(orders(list(interleavings(made, "all"))))
    found = []
    while left:
        reached, new = set(), [left.pop()]
        while new:
            order = new.pop()
            reached.add(order)
            for index in range(len(order) - 1):
                if not conflict(steps[order[index]], steps[order[index + 1]]):
                    swapped = (*order[:index], order[index + 1], order[index], *order[index + 2 :])
                    if swapped not in reached:
                        new.append(swapped)
        left -= reached
        found.append(reached)
    return found


READ_A, READ_B, WRITE_A, WRITE_B = "SELECT x FROM a", "SELECT x FROM b", "UPDATE a SET x = 1", "UPDATE b SET x = 1"


@pytest.mark.parametrize(
    "texts",
    [
        {"A": [READ_A, READ_A], "B": [READ_A, READ_A]},
        {"A": [WRITE_A, WRITE_A], "B": [WRITE_A, WRITE_A]},
        {"A": [READ_A, WRITE_A], "B": [READ_A, WRITE_A]},
        {"A": [READ_A, WRITE_B], "B": [READ_B, WRITE_A]},
        {"A": [WRITE_A, WRITE_B, "commit"], "B": [WRITE_B, WRITE_A, "commit"]},
        {"A": ["begin", READ_A, "commit"], "B": ["begin", WRITE_B, "commit"]},
        {"A": [READ_A, WRITE_B], "B": [WRITE_A, READ_B], "C": [READ_A, READ_B]},
        {"A": [READ_A], "B": [WRITE_A, "garbage ("], "C": [READ_B, WRITE_B]},
        {"A": ["begin"], "B": ["begin"], "C": ["begin", WRITE_A]},
    ],
)
def test_reduced_keeps_one_of_each_class(texts: dict[str, list[str]]) -> None:
    made = of_texts(**texts)
    kept = orders(list(interleavings(made, "reduced")))
    traces = classes(made)
    assert len(kept) == len(traces)
    rank = {order: number for number, order in enumerate(orders(list(interleavings(made, "all"))))}
    for trace in traces:
        assert [order for order in kept if order in trace] == [min(trace, key=rank.__getitem__)]


def test_reduced_of_independent_sessions_is_one() -> None:
    made = of_texts(A=[WRITE_A] * 3, B=[WRITE_B] * 3)
    assert orders(list(interleavings(made, "reduced"))) == [("A1", "A2", "A3", "B1", "B2", "B3")]
    dependent = of_texts(A=[WRITE_A] * 3, B=[WRITE_A] * 3)
    assert len(list(interleavings(dependent, "reduced"))) == math.comb(6, 3)


@pytest.mark.parametrize(
    ("text", "dialect", "reads", "writes"),
    [
        ("SELECT 1", "postgres", set(), set()),
        ("SELECT count(*) FROM Sale WHERE x = ${y}", "postgres", {"sale"}, set()),
        ("SELECT a FROM b UNION SELECT c FROM d", "postgres", {"b", "d"}, set()),
        ("SELECT * FROM t FOR UPDATE", "postgres", set(), {"t"}),
        ("SELECT * FROM t WITH (UPDLOCK) WHERE id = 1", "tsql", set(), {"t"}),
        ("UPDATE ${databases.ads}.dbo.campaign SET x = 1", "tsql", set(), {"campaign"}),
        ("INSERT INTO a SELECT x FROM b", "postgres", set(), {"a", "b"}),
        ("WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone", "postgres", set(), {"t", "gone"}),
    ],
)
def test_tables(text: str, dialect: str, reads: set[str], writes: set[str]) -> None:
    assert _tables(text, dialect) == (reads, writes)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("SELECT nextval('s')", "postgres"),
        ("SELECT pg_advisory_lock(1)", "postgres"),
        ("SELECT my_function(x) FROM t", "postgres"),
        ("LOCK TABLE a", "postgres"),
        ("CREATE TABLE a (x int)", "postgres"),
        ("SELECT a INTO b FROM c", "tsql"),
        ("EXEC p", "tsql"),
        ("GET key:1", "postgres"),
        ("garbage (", "postgres"),
    ],
)
def test_what_cannot_be_read_touches_everything(text: str, dialect: str) -> None:
    assert _tables(text, dialect) is None


def test_documents_and_ends_touch_everything_begin_nothing() -> None:
    step = {
        "end": Step("end", "A", "db", {"*": "commit"}),
        "find": Step("find", "A", "db", {"mongodb": {"find": "a"}}),
        "get": Step("get", "A", "db", {"redis": "GET a"}),
        "both": Step("both", "A", "db", {"postgresql": READ_A, "redis": "GET a"}),
    }
    quiet = _touched(Step("begin", "B", "db", {"*": "begin", "redis": None}))
    for one, other in combinations(step.values(), 2):
        assert _touched(one).conflicts(_touched(other))
    assert not quiet.conflicts(_touched(Step("x", "A", "db", {"*": WRITE_A})))
