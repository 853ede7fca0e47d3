"""Several processes share the schedules: nothing changes but the time, and none of them is missed when it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from polling import eventually

from harness.exploring.explore import Explorer
from harness.exploring.model import Ran, Task
from harness.exploring.pool import Pool, runner
from harness.exploring.trial import Here, Keeping
from harness.scenario.model import Case
from harness.suite import Suite

from .conftest import APART, LOST, SLEEPER, Explore, written


@pytest.mark.parametrize("kind", ["all", "reduced", "random"])
def test_two_processes_find_what_one_finds(explore: Explore, tmp_path: Path, kind: str) -> None:
    file = written(tmp_path, LOST)
    one, two = (explore(file, kind, processes=number, most=15, server=kind == "reduced") for number in (1, 2))
    changing = {"seconds", "processes", "outcomes"}
    assert two.exploration.processes == 2
    assert one.exploration.model_dump(exclude=changing) == two.exploration.model_dump(exclude=changing)
    same = [[(ran.task, dict(ran.facts), ran.signature) for ran in made.runs] for made in (one, two)]
    assert same[0] == same[1]
    assert [o.model_dump(exclude={"evidence"}) for o in one.exploration.outcomes] == [
        o.model_dump(exclude={"evidence"}) for o in two.exploration.outcomes
    ]
    if kind == "reduced":
        assert all(ran.touched for ran in two.runs)


def test_evidence_is_kept_by_the_process_that_ran_it(explore: Explore, own: Suite) -> None:
    made = explore(LOST, "all", processes=2)
    kept = {ran.evidence for ran in made.runs if ran.evidence}
    assert len(kept) == 2 + 2 * Keeping.MOST_FAILING
    assert {str(path.relative_to(own.settings.root)) for path in own.store.folder.glob("*/evidence.json")} == kept


def test_they_leave_no_database_and_no_process(explore: Explore, own: Suite) -> None:
    before = len(psutil.Process().children())
    explore(APART, "all", processes=3)
    assert left(own) == []
    eventually(lambda: len(psutil.Process().children()) <= before + 1, "all but the resource tracker have ended")


def left(own: Suite) -> list[str]:
    with psycopg.connect(own.servers.target("promptsales").url, autocommit=True) as server:
        ask = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        return [str(row[0]) for row in server.execute(ask, (f"psh_{own.settings.run_id}_",))]


def test_one_process_is_this_one(own: Suite, case_of: Callable[..., Case]) -> None:
    base = case_of(APART)
    assert isinstance(runner(own, base, 1), Here)
    assert isinstance(runner(own, base, 2), Pool)


class Watcher:
    """Sees on the server who of a run sleeps in a step."""

    def __init__(self, own: Suite) -> None:
        self.url = own.servers.target("promptsales").url
        self.like = f"psh_{own.settings.run_id}_"

    def sleeping(self) -> list[str]:
        with psycopg.connect(self.url, autocommit=True) as server:
            ask = "SELECT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND starts_with(datname, %s)"
            return [str(row[0]) for row in server.execute(ask, (self.like,))]


def test_what_a_process_dies_of_is_given_to_another_one_and_then_told(own: Suite, case_of: Callable[..., Case]) -> None:
    base = case_of(SLEEPER)
    watcher = Watcher(own)
    pool = Pool(own, base, 2)
    tasks = [
        Task(1, "all-001", ("quick_1", "quick_2", "sleep_1")),
        Task(2, "all-002", ("quick_2", "quick_1", "sleep_1")),
    ]
    deaths: list[str] = []
    ended = threading.Event()

    def kill() -> None:  # in between, as somebody with a shell would
        while not ended.is_set():
            if watcher.sleeping():
                for worker in list(pool._workers):
                    if worker.process.is_alive():
                        deaths.append(worker.name)
                        worker.process.kill()
            ended.wait(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        ran: list[Ran] = list(pool.runs(tasks, Keeping()))
    finally:
        ended.set()
        thread.join()
    assert sorted(one.task.number for one in ran) == [1, 2]
    for one in ran:
        assert one.failing
        assert one.problem == "2 processes that ran it ended before it did: the last one was killed by SIGKILL"
    assert len(set(deaths)) >= 3
    eventually(lambda: not watcher.sleeping(), "the server has ended what they did")
    eventually(lambda: left(own) == [], "what they had made is dropped")


def test_a_process_that_dies_costs_nothing_if_the_next_one_lives(
    own: Suite, case_of: Callable[..., Case], explorer: Callable[..., Explorer]
) -> None:
    made = explorer(case_of(LOST), "all", processes=2)
    pool = made.runner
    assert isinstance(pool, Pool)
    killed: list[int] = []
    add = made.journal.add

    def adding(ran: Ran) -> None:
        add(ran)
        if len(made.done) == 5 and not killed:
            process = pool._workers[0].process
            killed.append(process.pid or 0)
            process.kill()

    made.journal.add = adding  # type: ignore[method-assign]
    explored = made.explore()
    assert killed
    assert explored.exploration.run == 20
    assert explored.exploration.problems == {}
    assert explored.exploration.failing == 18
    assert left(own) == []
