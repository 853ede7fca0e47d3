"""All interleavings, one of each class, some at random: on a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.exploring import ground
from harness.exploring.explore import Explored, Explorer
from harness.exploring.model import Exploration, Ran, Task
from harness.exploring.reduction import Reduction
from harness.exploring.trial import Keeping, bases
from harness.scenario.model import Case
from harness.suite import Suite

from .conftest import APART, LOST, Explore, written


def fingerprints(explored: Explored) -> set[str]:
    return {one.fingerprint for one in explored.exploration.outcomes}


def test_all_are_run_each_once_and_grouped_by_what_happened(explore: Explore, own: Suite) -> None:
    explored = explore(LOST, "all")
    made = explored.exploration
    assert (made.total, made.planned, made.run, made.spared, made.complete) == (20, 20, 20, 0, True)
    assert len({ran.task.order for ran in explored.runs}) == 20
    # Two serial orders, and whose write stays where both have read before.
    assert sorted((one.runs, one.status) for one in made.outcomes) == [
        (1, "passed"), (1, "passed"), (9, "failed"), (9, "failed"),
    ]  # fmt: skip
    assert made.failing == 18
    assert [one.runs for one in made.outcomes] == sorted((one.runs for one in made.outcomes), reverse=True)
    lost = made.outcomes[0]
    assert lost.signature == ["found lost update"]
    assert "a at the end: 9" in lost.words or "a at the end: 8" in lost.words
    assert lost.example in {ran.task.name for ran in explored.runs}


def test_what_is_kept_is_a_line_for_each_and_evidence_of_few(explore: Explore, own: Suite) -> None:
    explored = explore(LOST, "all")
    folder = own.store.folder
    (lines,) = folder.glob("exploration-*.jsonl")
    rows = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [row["number"] for row in rows] == list(range(1, 21))
    assert {tuple(row["steps"]) for row in rows} == {ran.task.order for ran in explored.runs}
    assert {row["outcome"] for row in rows} == fingerprints(explored)
    assert Exploration.model_validate_json(lines.with_suffix(".json").read_text("utf-8")) == explored.exploration
    kept = [row["evidence"] for row in rows if "evidence" in row]
    assert len(kept) == 2 + 2 * Keeping.MOST_FAILING
    assert {str(path.relative_to(own.settings.root)) for path in folder.glob("*/evidence.json")} == set(kept)
    for outcome in explored.exploration.outcomes:
        assert (own.settings.root / outcome.evidence).is_file()


def test_the_same_case_explored_twice_has_two_files(explore: Explore, own: Suite, tmp_path: Path) -> None:
    file = written(tmp_path, APART)
    explore(file)
    explore(file)
    assert (
        len([*own.store.folder.glob("exploration-*.jsonl")]) == len([*own.store.folder.glob("exploration-*.json")]) == 2
    )


def test_reduced_runs_fewer_and_finds_every_outcome(explore: Explore, tmp_path: Path) -> None:
    for text, most in ((APART, 6), (LOST, 12)):
        file = written(tmp_path, text)
        reduced, every = explore(file, "reduced"), explore(file, "all")
        made = reduced.exploration
        assert made.run + made.spared == made.total == 20
        assert 2 <= made.run <= most
        assert fingerprints(reduced) == fingerprints(every)
        assert made.conflicts
        assert all(pair.why for pair in made.conflicts)


def test_why_it_was_not_spared_names_the_rows(explore: Explore) -> None:
    conflicts = explore(APART).exploration.conflicts
    (met,) = [pair for pair in conflicts if {pair.first, pair.second} == {"met_1", "met_2"}]
    assert met.why == "met_1 writes db.t row 3, met_2 writes db.t row 3"
    assert not any(pair.learned for pair in conflicts)
    assert not [pair for pair in conflicts if {pair.first, pair.second} == {"own_1", "own_2"}]


def test_random_ones_are_those_of_their_seed(explore: Explore, tmp_path: Path) -> None:
    file = written(tmp_path, LOST)
    first, again, other = (explore(file, "random", most=6, seed=seed) for seed in (1, 1, 2))
    orders = [[ran.task.order for ran in one.runs] for one in (first, again, other)]
    assert len(set(orders[0])) == 6
    assert orders[0] == orders[1] != orders[2]
    assert first.exploration.seed == 1
    assert {ran.task.seed for ran in first.runs} == {1}
    assert explore(file, "random", most=50).exploration.run == 20  # there are no more


@pytest.mark.parametrize("kind", ["all", "reduced"])
def test_at_most_so_many(explore: Explore, kind: str) -> None:
    made = explore(LOST, kind, most=3).exploration
    assert (made.run, made.planned, made.spared) == (3, 3, 0)
    assert made.notes == ["only the first 3 of them were run, as --max-schedules says: the others begin differently"]


@pytest.mark.parametrize(("kind", "processes"), [("all", 1), ("reduced", 1), ("all", 2)])
def test_the_first_that_fails_may_be_the_last(explore: Explore, own: Suite, kind: str, processes: int) -> None:
    explored = explore(LOST, kind, first=True, processes=processes)
    made = explored.exploration
    assert [ran.failing for ran in explored.runs].count(True) == made.failing == 1
    assert made.run == len(explored.runs) < made.planned
    assert made.spared == 0
    assert made.notes == [f"stopped at the first that failed, of {made.planned} that were to be run"]
    lines = next(own.store.folder.glob("exploration-*.jsonl")).read_text("utf-8").splitlines()
    assert len(lines) == made.run
    if processes == 1:
        assert explored.runs[-1].failing


def test_what_is_expected_of_one_order_is_not_expected_of_others(explore: Explore) -> None:
    one = LOST.replace("schedules: reduced", "schedule: [read_1, read_2, write_1, write_2, commit_1, commit_2]")
    said = "{finds: lost update, blocks: [write_2], sees: {read_2: 100}, final: {a: 80}}"
    text = one.replace("{finds: nothing}", said)
    assert explore(text, "all").exploration.failing == 0
    held = text.replace("final: {a: 80}", "holds: a == initial_a - 10 * committed_T1 - 20 * committed_T2")
    assert explore(held, "all").exploration.failing == 18  # all but the serial ones


def test_too_many_are_refused_with_advice(explorer: Callable[..., Explorer]) -> None:
    steps = ", ".join(f"s{{0}}_{number}: SELECT {number}" for number in range(10))
    sessions = "".join(f"  T{one}: {{steps: {{{steps.format(one)}}}}}\n" for one in (1, 2))
    text = f"title: many\ndatabase: promptsales\nsessions:\n{sessions}"
    text += "schedules: {random: 2}\nexpect: {postgresql: {finds: nothing}}\n"
    with pytest.raises(ScenarioError, match=r"184,756 interleavings are too many .*--schedules random"):
        explorer(text, "all").explore()
    assert explorer(text, "random", most=2).explore().exploration.run == 2


def test_a_database_that_is_emptied_shows_what_a_new_one_does(
    explore: Explore, case_of: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, own: Suite, tmp_path: Path
) -> None:
    text = LOST.replace(
        "items:",
        """
  - CREATE SCHEMA more
  - CREATE TABLE more.log (id serial, text text)
  - CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO more.log (text) VALUES (NEW.id); RETURN NEW; END'
  - CREATE TRIGGER noting AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION noted()
items:
  log: SELECT string_agg(id || ':' || text, ' ' ORDER BY id) FROM more.log
 """,
    ).replace("items: {a: SELECT balance FROM account WHERE id = 1}", "")
    text = text.replace(
        "  {a: SELECT balance FROM account WHERE id = 1}", "  a: SELECT balance FROM account WHERE id = 1"
    )
    text = text.replace("LANGUAGE plpgsql", "LANGUAGE 'plpgsql'")
    file = written(tmp_path, text)
    names: list[str] = []
    make = own.databases.make
    monkeypatch.setattr(own.databases, "make", lambda *given: names.append(given[0]) or make(*given))
    monkeypatch.setattr(ground, "_OUTSIDE", ground.re.compile("extension"))
    emptied = explore(file, "all")
    assert len(names) == 1
    monkeypatch.setattr(ground, "reusable", lambda case: False)
    assert ground.reusable(case_of(file)) is False
    fresh = explore(file, "all")
    assert len(names) == 21
    facts = [{ran.task.order: dict(ran.facts) for ran in one.runs} for one in (emptied, fresh)]
    assert facts[0] == facts[1]
    assert {one["log at the end"] for one in facts[0].values()} == {"1:1 2:1"}


@pytest.mark.parametrize(
    ("setup", "fits"),
    [
        ("CREATE TABLE t (user_id int, owner_name text)", True),
        ("CREATE EXTENSION pg_trgm", False),
        ("DO 'BEGIN END'", False),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", True),
        ("ALTER DATABASE x SET work_mem = 64", False),
        ("GRANT SELECT ON t TO PUBLIC", False),
    ],
    ids=["table", "extension", "do", "on conflict", "database", "grant"],
)
def test_which_databases_are_emptied(case_of: Callable[..., Case], setup: str, fits: bool) -> None:
    text = LOST.replace("  - CREATE TABLE account", f'  - "{setup}"\n  - CREATE TABLE account')
    assert ground.reusable(case_of(text)) is fits


def test_a_schedule_that_cannot_be_run_is_told_and_the_others_go_on(explore: Explore) -> None:
    made = explore(
        LOST.replace("INSERT INTO account VALUES (1, 100), (2, 100)", "INSERT INTO nowhere VALUES (1)"), "all"
    )
    assert made.exploration.failing == 20
    assert len(made.exploration.problems) == 20
    assert 'relation "nowhere" does not exist' in made.exploration.problems["all-001"]


def test_bases_are_chosen_by_database_and_level(own: Suite, tmp_path: Path) -> None:
    file = written(tmp_path, LOST.replace("read committed", "[read committed, serializable]"))
    assert [case.level for case in bases(own, file)] == ["read committed", "serializable"]
    (case,) = bases(own, file, level="serializable")
    assert case.id == f"{file.stem}[promptsales@postgresql-serializable]"
    with pytest.raises(ScenarioError, match="it does not run at 'repeatable read': read committed, serializable"):
        bases(own, file, level="repeatable read")
    with pytest.raises(ScenarioError, match="it does not run on 'cache': promptsales"):
        bases(own, file, on="cache")


def test_a_free_run_is_no_scenario_to_explore(own: Suite, tmp_path: Path) -> None:
    free = written(
        tmp_path,
        """
        title: free
        database: promptsales
        sessions: {T: {steps: {one: SELECT 1}}}
        free_running: {workers: 2, iterations: 2}
        expect: {postgresql: {counts: {committed: 4}}}
        """,
    )
    with pytest.raises(ScenarioError, match="a free run has no schedules to explore"):
        bases(own, free)


# -- what a run shows that was not foreseen


class Told:
    """Runs nothing: says of each schedule what it is told to, and that one step touched more than was known."""

    processes = 1

    def __init__(self, touched: object) -> None:
        self.touched = touched
        self.orders: list[tuple[str, ...]] = []

    def runs(self, tasks: list[Task], keeping: Keeping) -> object:
        for task in tasks:
            self.orders.append(task.order)
            yield Ran(task, {"found": "nothing"}, "same", "passed", "fine", touched=self.touched)


def test_what_is_learned_makes_more_run_until_nothing_grows(
    explorer: Callable[..., Explorer], case_of: Callable[..., Case]
) -> None:
    conflicts = pytest.importorskip("harness.scenario.conflicts")
    pytest.importorskip("harness.exploring.scout")
    base = case_of(APART)
    before = Reduction(base)
    everything = {
        step: frozenset({conflicts.Access("db.hidden", True, None)})
        for step in ("own_1", "own_2", "met_1", "met_2", "more_1", "more_2")
    }
    told = Told(everything)
    made = explorer(base, reduction=before)
    made.runner = told
    explored = made.explore()
    assert explored.exploration.run == len(told.orders) == len(set(told.orders)) == 20
    assert explored.exploration.rounds == 2
    assert explored.exploration.spared == 0
    assert any(pair.learned for pair in explored.exploration.conflicts)
