"""The whole ETL, with the real Hop, killed and disturbed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import pytest
from etl_world import NOTHING, World, moved
from polling import eventually

from harness.errors import HarnessError
from harness.etl.connections import variables
from harness.etl.hop import Hop, Running
from harness.etl.model import Round
from harness.etl.run import UnderWay, run

pytestmark = pytest.mark.etl


def test_two_at_once(there: World):
    ended: list[object] = []

    def go() -> None:
        try:
            ended.append(run(there.targets, there.hop).round)
        except UnderWay as problem:
            ended.append(problem)

    threads = [threading.Thread(target=go) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(ended) == 2
    rounds = [one for one in ended if isinstance(one, Round)]
    assert [one.succeeded for one in rounds] in ([True], [True, True])
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING


class Killed:
    """A Hop that gets SIGKILL when it has said so many lines."""

    def __init__(self, hop: Hop, after: int) -> None:
        self._hop = hop
        self._left = after

    def start(self, workflow: str, variables: Mapping[str, str], on_line: Callable[[str], None]) -> Running:
        def hear(line: str) -> None:
            self._left -= 1
            if self._left == 0:
                os.kill(started.result().pid, signal.SIGKILL)

        started: Future[Running] = Future()  # the first lines may be heard before we have it
        started.set_result(self._hop.start(workflow, variables, hear))
        return started.result()


KILLS = 20


def test_killed_at_twenty_moments_nothing_is_lost_and_nothing_comes_twice(there: World, record_property):
    """Every second time whoever launched it dies too, so that nobody tidies up."""
    there.round()
    there.change(random.Random(19), 25)
    usual = len(there.launch().log.read_text("utf-8").splitlines())
    chance = random.Random(20)
    states: list[str] = []
    for number in range(KILLS):
        there.change(chance, 25)
        # By lines, not by time: most of the time is spent before the first statement.
        after = chance.randint(3, usual)
        before = there.sales.execute("SELECT coalesce(max(round), 0) FROM etl_run").fetchone()[0]
        hop = Killed(there.hop, after)
        if number % 2:
            with contextlib.suppress(HarnessError):
                run(there.targets, hop)
        else:
            with hop.start("workflows/delta.hwf", variables(there.targets), lambda line: None) as running:
                running.wait(60)
        states.append(reached(there, before))
        if number % 5 == 4:
            complete(there)
            assert there.wrong() == []
    record_property("killed", ", ".join(states))
    complete(there)
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING
    assert there.sales.execute("SELECT count(*) FROM etl_run WHERE status = 'running'").fetchone() == (0,)


def reached(there: World, before: int) -> str:
    """How far a killed round came: how many sources it has read and merged."""
    said = (
        "SELECT count(*), count(*) FILTER (WHERE touched_at > started_at), count(*) FILTER (WHERE status = 'succeeded')"
    )
    begun, read, merged = there.sales.execute(f"{said} FROM etl_run WHERE round > %s", [before]).fetchone()
    return f"{read} read {merged} merged" if begun else "not begun"


def complete(there: World) -> Round:
    """A round from beginning to end, begun as soon as the one that was killed is known to be dead."""

    def begun() -> Round | None:
        try:
            return there.round()
        except UnderWay:
            return None

    done = eventually(begun)
    assert done.succeeded, done
    return done


WRITERS, TRANSACTIONS = 4, 10_000


def test_ten_thousand_transactions_meanwhile(there: World):
    there.round()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            mine = World(there.databases, there.hop)
            for _ in range(TRANSACTIONS // WRITERS):
                mine.change(chance)
        except BaseException as problem:  # noqa: BLE001 - told by the test
            failures.append(problem)

    writers = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
    for one in writers:
        one.start()
    rounds = 0
    while any(one.is_alive() for one in writers):
        done = there.round()
        assert done.succeeded, done
        rounds += 1
    for one in writers:
        one.join()
    assert failures == []
    assert rounds >= 2
    assert there.round().succeeded
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING
