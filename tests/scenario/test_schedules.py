from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings, strategies

from harness.errors import ScenarioError
from harness.scenario.conflicts import Related, unplaced
from harness.scenario.model import Schedule, Session, Step
from harness.scenario.schedules import LIMIT, interleavings, normal_form, number_of

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


def classes(made: Sequence[Session], conflicts: Related) -> list[set[Order]]:
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
                if not conflicts.conflict(steps[order[index]], steps[order[index + 1]]):
                    swapped = (*order[:index], order[index + 1], order[index], *order[index + 2 :])
                    if swapped not in reached:
                        new.append(swapped)
        left -= reached
        found.append(reached)
    return found


def holds_one_of_each_class(made: Sequence[Session], conflicts: Related) -> None:
    """Assert that what is kept is each class's least order, and that the normal form of each order is the one kept."""
    kept = orders(list(interleavings(made, "reduced", conflicts=conflicts)))
    traces = classes(made, conflicts)
    assert len(kept) == len(set(kept)) == len(traces)
    steps = {step.name: step for session in made for step in session.steps}
    rank = {order: number for number, order in enumerate(orders(list(interleavings(made, "all"))))}
    for trace in traces:
        least = min(trace, key=rank.__getitem__)
        assert [order for order in kept if order in trace] == [least]
        assert {normal_form([steps[name] for name in order], conflicts) for order in trace} == {least}


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
    holds_one_of_each_class(made, unplaced(made))
    reduced = orders(list(interleavings(made, "reduced")))
    assert reduced == orders(list(interleavings(made, "reduced", conflicts=unplaced(made))))


def test_reduced_of_independent_sessions_is_one() -> None:
    made = of_texts(A=[WRITE_A] * 3, B=[WRITE_B] * 3)
    assert orders(list(interleavings(made, "reduced"))) == [("A1", "A2", "A3", "B1", "B2", "B3")]
    dependent = of_texts(A=[WRITE_A] * 3, B=[WRITE_A] * 3)
    assert len(list(interleavings(dependent, "reduced"))) == math.comb(6, 3)


class Drawn:
    """A relation that was drawn: any symmetric one over the steps of different sessions."""

    def __init__(self, made: Sequence[Session], pairs: set[frozenset[str]]) -> None:
        self.sessions = made
        self.pairs = pairs

    def conflict(self, a: Step, b: Step) -> bool:
        return a.session == b.session or frozenset({a.name, b.name}) in self.pairs

    def why(self, a: Step, b: Step) -> str:
        return "drawn" if self.conflict(a, b) else ""


@settings(derandomize=True, max_examples=25, deadline=None)
@given(strategies.lists(strategies.integers(0, 3), min_size=2, max_size=3), strategies.data())
def test_one_of_each_class_is_kept_whatever_conflicts(lengths: list[int], data: strategies.DataObject) -> None:
    made = sessions(*lengths)
    steps = [step for session in made for step in session.steps]
    pairs = [frozenset({a.name, b.name}) for a, b in combinations(steps, 2) if a.session != b.session]
    chosen = data.draw(strategies.sets(strategies.sampled_from(pairs))) if pairs else set()
    holds_one_of_each_class(made, Drawn(made, chosen))


STATEMENTS = (
    *("begin", "commit", "rollback", READ_A, READ_B, WRITE_A, WRITE_B),
    *("SELECT x FROM a WHERE id = 1", "UPDATE a SET x = 1 WHERE id = 2", "INSERT INTO b VALUES (1, 2)", "SELECT f()"),
)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(
    strategies.lists(
        strategies.lists(strategies.sampled_from(STATEMENTS), min_size=1, max_size=3), min_size=2, max_size=3
    ),
    strategies.sampled_from(["read committed", "repeatable read", "serializable"]),
)
def test_one_of_each_class_is_kept_of_statements(texts: list[list[str]], level: str) -> None:
    made = of_texts(**dict(zip("ABC", texts, strict=False)))
    holds_one_of_each_class(made, unplaced(made, {"postgresql": [level], "sqlserver": [level]}))


def test_no_more_are_made_than_are_kept() -> None:
    """60 steps of three sessions: 10^26 interleavings, one class."""
    apart = of_texts(A=["SELECT x FROM a"] * 20, B=["SELECT x FROM b"] * 20, C=["SELECT x FROM c"] * 20)
    assert number_of(apart) > 10**26
    assert len(orders(list(interleavings(apart, "reduced", conflicts=Drawn(apart, set()))))) == 1


def test_too_many_that_are_kept() -> None:
    made = of_texts(A=[WRITE_A] * 9, B=[WRITE_A] * 9)
    given = interleavings(made, "reduced", instead="take fewer")
    for _ in range(LIMIT):
        next(given)
    with pytest.raises(ScenarioError, match=r"^48,620 .* \(at most 10,000\), even reduced: take fewer$"):
        next(given)
