"""Explorations on the run's PostgreSQL, with results of their own."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.exploring.explore import Explored, Explorer, Plan
from harness.exploring.journal import Journal
from harness.exploring.model import Kind
from harness.exploring.pool import runner
from harness.exploring.reduction import Reduction, reduction_of
from harness.exploring.trial import bases
from harness.scenario.model import Case
from harness.suite import Settings, Suite

LOST = """
title: Two that read, compute and write
database: promptsales
levels: {postgresql: read committed}
setup:
  - CREATE TABLE account (id int PRIMARY KEY, balance int)
  - INSERT INTO account VALUES (1, 100), (2, 100)
items: {a: SELECT balance FROM account WHERE id = 1}
sessions:
  T1:
    setup: begin
    steps:
      read_1: {run: SELECT balance FROM account WHERE id = 1, reads: a}
      write_1: {run: "UPDATE account SET balance = ${a - 10} WHERE id = 1", writes: a}
      commit_1: commit
  T2:
    setup: begin
    steps:
      read_2: {run: SELECT balance FROM account WHERE id = 1, reads: a}
      write_2: {run: "UPDATE account SET balance = ${a - 20} WHERE id = 1", writes: a}
      commit_2: commit
schedules: reduced
expect: {postgresql: {finds: nothing}}
"""
"""20 interleavings, of which only the two serial ones lose nothing."""

APART = """
title: Two that meet in one step only
database: promptsales
levels: {postgresql: read committed}
setup:
  - CREATE TABLE t (id int PRIMARY KEY, v int)
  - INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)
items: {sum: SELECT sum(v) FROM t}
sessions:
  T1:
    steps:
      own_1: UPDATE t SET v = v + 1 WHERE id = 1
      met_1: UPDATE t SET v = v + 10 WHERE id = 3
      more_1: UPDATE t SET v = v + 100 WHERE id = 1
  T2:
    steps:
      own_2: UPDATE t SET v = v + 1 WHERE id = 2
      met_2: UPDATE t SET v = v * 2 WHERE id = 3
      more_2: UPDATE t SET v = v + 100 WHERE id = 2
schedules: reduced
expect: {postgresql: {finds: nothing}}
"""
"""20 interleavings of two classes: who is first at row 3."""

SLEEPER = """
title: One step sleeps
database: promptsales
deadline: 600
case_deadline: 600
sessions:
  T1: {steps: {quick_1: SELECT 1, sleep_1: SELECT pg_sleep(300)}}
  T2: {steps: {quick_2: SELECT 2}}
schedules: reduced
expect: {postgresql: {finds: nothing}}
"""

_numbers = itertools.count(1)
Explore = Callable[..., Explored]


@pytest.fixture
def own(suite: Suite, tmp_path: Path) -> Iterator[Suite]:
    """A run of its own, with results of its own, on the PostgreSQL server of the tests' run."""
    environ = {"PROMPTSALES_URL": suite.servers.target("promptsales").url}
    made = Suite(Settings(root=tmp_path, results=tmp_path / "results", mode="external", environ=environ))
    yield made
    made.close()


def written(folder: Path, text: str, name: str = "") -> Path:
    file = folder / f"{name or f'made_{next(_numbers)}'}.yaml"
    file.write_text(textwrap.dedent(text), "utf-8")
    return file


@pytest.fixture
def case_of(own: Suite, tmp_path: Path) -> Callable[..., Case]:
    """The case of a scenario text, or file, without its schedule."""

    def make(text: str | Path, level: str = "") -> Case:
        file = text if isinstance(text, Path) else written(tmp_path, text)
        return bases(own, file, level=level)[0]

    return make


@pytest.fixture
def explorer(own: Suite, case_of: Callable[..., Case]) -> Callable[..., Explorer]:
    """What explores a scenario text, or a case."""

    def make(
        text: str | Path | Case, kind: str = "reduced", *, most: int | None = None, seed: int = 1, processes: int = 1,
        server: bool = False, reduction: Reduction | None = None, first: bool = False,
    ) -> Explorer:  # fmt: skip
        base = text if isinstance(text, Case) else case_of(text)
        plan = Plan(Kind(kind), most, seed, server=server, first=first)
        if reduction is None and kind == "reduced":
            reduction = reduction_of(own, base, server=server)
        return Explorer(base, plan, runner(own, base, processes, touching=server), Journal(own, base.id), reduction)

    return make


@pytest.fixture
def explore(explorer: Callable[..., Explorer]) -> Explore:
    """Explore, to the end."""

    def run(*arguments: object, **options: object) -> Explored:
        made = explorer(*arguments, **options)
        explored = made.explore()
        made.journal.close(explored.exploration)
        return explored

    return run
