"""A bench on MongoDB, here its stand-in SecantusDB: indexes that are hidden, our own ones, and what a killed run leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pymongo
import pytest
from polling import eventually

from harness.engines import engine
from harness.engines.base import Statement
from harness.engines.plans_base import Bench, Change, NotTimed, Planning
from harness.errors import EngineError
from harness.plans.compare import access_of, indexes_of
from harness.plans.reading import read_plan
from harness.runner.databases import Made

from .conftest import indexes

BY_V = Statement({"find": "t", "filter": {"v": 7}, "batchSize": 3})
NEW = {"createIndexes": "t", "indexes": [{"name": "both", "key": {"v": 1, "w": 1}}]}


@contextmanager
def bench_on(made: Made, *, disposable: bool) -> Iterator[Bench]:
    kind = engine("mongodb")
    assert isinstance(kind, Planning)
    with closing(kind.bench(made.url, "test", disposable=disposable)) as bench:
        yield bench


def accesses(bench: Bench) -> list[str]:
    found = []
    for number in (0, 1):
        with bench.state(number):
            plan = read_plan("mongodb", bench.explain(BY_V))
            assert bench.run(BY_V) == 10
        access = access_of(plan, "t")
        found.append(f"{access.value if access else '-'} {','.join(indexes_of(plan, 't'))} {plan.examined}")
    return found


def test_on_a_database_of_our_own_an_index_is_dropped_and_made_again(collection: Made) -> None:
    with bench_on(collection, disposable=True) as bench:
        bench.prepare((), Change(("by_v",)), Change())
        assert accesses(bench) == ["scan  300", "seek by_v 10"]
        with bench.state(0):
            assert indexes(collection) == ["_id_"]
    assert indexes(collection) == ["_id_", "by_v"]


def test_on_a_database_in_use_it_is_hidden_and_shown_again(collection: Made) -> None:
    with bench_on(collection, disposable=False) as bench:
        bench.prepare((), Change(("by_v",)), Change())
        assert accesses(bench) == ["scan  300", "seek by_v 10"]
        with bench.state(0):
            assert [name.partition(" ")[0] for name in indexes(collection)] == ["_id_", "by_v"]
            assert noted(collection) == 1
        # What the stand-in does not heed is said.
        assert bench.notes in ([], ["SecantusDB does not heed hidden indexes: asked with hint {$natural: 1} instead"])
    assert indexes(collection) == ["_id_", "by_v"]
    assert noted(collection) == 0


def noted(made: Made) -> int:
    with pymongo.MongoClient(made.url) as client:
        return client.get_default_database()["psh_plan"].count_documents({})


@pytest.mark.parametrize("disposable", [True, False])
def test_an_index_of_our_own_is_made_and_goes(collection: Made, disposable: bool) -> None:
    with bench_on(collection, disposable=disposable) as bench:
        bench.prepare((), Change(), Change((), (NEW,)))
        assert "psh_plan_test_both" in indexes(collection)
        with bench.state(0):
            assert "psh_plan_test_both" not in indexes(collection)
        with bench.state(1):
            assert "psh_plan_test_both" in indexes(collection)
    assert indexes(collection) == ["_id_", "by_v"]


def test_what_a_killed_run_has_left_is_taken_back_by_the_next_one(collection: Made) -> None:
    script = Path(__file__).with_name("killed.py")
    with subprocess.Popen(
        [sys.executable, str(script), "mongodb", collection.url, "killed"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        assert noted(collection) == 1
        with bench_on(collection, disposable=False) as bench:  # while it lives nobody touches what is its own
            assert bench.notes == []
        assert noted(collection) == 1
        process.kill()

    def swept() -> list[str]:
        with bench_on(collection, disposable=False) as bench:
            return list(bench.notes)

    said = eventually(swept, "nothing was taken back")
    assert any("t.by_v is shown again: a run that died had hidden it" in line for line in said)
    assert noted(collection) == 0
    assert indexes(collection) == ["_id_", "by_v"]


def test_an_index_of_a_run_that_died_is_dropped(collection: Made) -> None:
    with pymongo.MongoClient(collection.url) as client:
        client.get_default_database()["t"].create_index([("w", 1)], name="psh_plan_dead1_x")
    with bench_on(collection, disposable=False) as bench:
        assert bench.notes == ["dropped t.psh_plan_dead1_x, which a run that died had left"]
    assert indexes(collection) == ["_id_", "by_v"]


@pytest.mark.parametrize(
    "body",
    [{"drop": "t"}, {"dropDatabase": 1}, {"aggregate": "t", "pipeline": [{"$out": "u"}], "cursor": {}}],
)
def test_only_what_reads_is_ever_run(collection: Made, body: dict[str, object]) -> None:
    with bench_on(collection, disposable=False) as bench:
        bench.prepare((), Change(("by_v",)), Change())
        with bench.state(1):
            bench.warm(Statement(body))
            with pytest.raises(NotTimed, match="no plain read"):
                bench.run(Statement(body))
    with pymongo.MongoClient(collection.url) as client:
        database = client.get_default_database()
        assert database["t"].count_documents({}) == 300
        assert "u" not in database.list_collection_names()


def test_a_write_is_explained_and_not_applied_nor_timed(collection: Made) -> None:
    write = Statement({"update": "t", "updates": [{"q": {"v": 7}, "u": {"$set": {"w": 1}}, "multi": True}]})
    with bench_on(collection, disposable=False) as bench:
        bench.prepare((), Change(("by_v",)), Change())
        with bench.state(1):
            assert read_plan("mongodb", bench.explain(write)).root.operator
            with pytest.raises(EngineError, match="explained, not timed"):
                bench.run(write)
    with pymongo.MongoClient(collection.url) as client:
        assert client.get_default_database()["t"].count_documents({"w": 1}) == 0


@pytest.mark.parametrize(
    ("before", "after", "setup", "said"),
    [
        (Change(("by_x",)), Change(), (), "no index 'by_x' here, did you mean 'by_v'"),
        (Change(), Change((), ({"drop": "t"},)), (), "not by 'drop': nothing else could be taken back"),
        (Change(), Change((), ("CREATE INDEX x",)), (), "a MongoDB statement is a command document"),
        (Change(), Change(), ({"insert": "t", "documents": [{}]},), "'setup' needs a database of the run's own"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    collection: Made, before: Change, after: Change, setup: tuple[dict[str, object], ...], said: str
) -> None:
    with bench_on(collection, disposable=False) as bench, pytest.raises(EngineError) as caught:
        enter(bench, setup, before, after)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert indexes(collection) == ["_id_", "by_v"]


def enter(bench: Bench, setup: tuple[dict[str, object], ...], before: Change, after: Change) -> None:
    bench.prepare(setup, before, after)
    with bench.state(0):
        pass


def test_a_server_that_does_not_like_the_command_says_so_in_one_line(collection: Made) -> None:
    with bench_on(collection, disposable=False) as bench:
        bench.prepare((), Change(("by_v",)), Change())
        with pytest.raises(EngineError, match=r"MongoDB at 127\.0\.0\.1:\d+ says ") as caught, bench.state(1):
            bench.explain(Statement({"nonsense": "t"}))
        assert "\n" not in str(caught.value)
