"""A content is changed together with its entry in the outbox, whose positions are dense and in the order of the commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from bson import Int64
from pymongo.errors import OperationFailure

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales.content import ContentStore, contents
from harness.promptsales.content_changes import change_content, put_content, renew_origin, transact

SEED = 7
LIKE = {"$inc": {"likes": 1}}


@pytest.fixture
def database(promptcontent_db: Database) -> Any:
    database = promptcontent_db.connect()
    ContentStore(database).write(contents(SEED, 1, 3), with_images=False)
    return database


def entries(database: Any) -> list[tuple[int, int, str]]:
    """Position, content and operation of what the outbox holds, in order."""
    found = database["outbox"].find().sort("position", 1)
    return [(one["position"], one["content_id"], one["operation"]) for one in found]


def counter(database: Any) -> tuple[int, str]:
    """Position and origin."""
    (one,) = database["counter"].find()
    assert isinstance(one["position"], Int64)
    return one["position"], one["origin"]


def replayed(database: Any, start: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the contents ``start`` become by the outbox alone."""
    state = {one["_id"]: one for one in start}
    for entry in database["outbox"].find().sort("position", 1):
        if entry["operation"] == "delete":
            assert "content" not in entry
            del state[entry["content_id"]]
        else:
            assert (entry["content_id"] in state) == (entry["operation"] == "update")
            state[entry["content_id"]] = entry["content"]
    return [state[key] for key in sorted(state)]


def all_contents(database: Any) -> list[dict[str, Any]]:
    return list(database["content"].find().sort("_id", 1))


def test_each_kind_of_change_is_noted_down_with_what_it_came_to(database: Any) -> None:
    before, store = all_contents(database), ContentStore(database)
    new = contents(SEED, 4, 4)[0]
    assert store.put(new) is True
    assert store.put(before[0] | {"title": "Another title"}) is False
    assert store.change(2, LIKE)["likes"] == before[1]["likes"] + 1
    store.delete(3)
    assert entries(database) == [(1, 4, "insert"), (2, 1, "update"), (3, 2, "update"), (4, 3, "delete")]
    assert counter(database)[0] == 4
    assert replayed(database, before) == all_contents(database)
    assert store.picture(4) == new.picture()


def test_a_content_goes_with_its_picture(database: Any) -> None:
    store = ContentStore(database)
    store.put(contents(SEED, 4, 4)[0])
    store.delete(4)
    assert database["pictures.files"].find_one() is None
    assert database["pictures.chunks"].find_one() is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda store: store.change(99, LIKE), "there is no content 99"),
        (lambda store: store.delete(99), "there is no content 99"),
        (lambda store: store.change(1, {"$set": {"likes": -1}}), "failed validation"),
        (lambda store: store.put({"_id": 9, "title": "and nothing else"}), "failed validation"),
    ],
    ids=["change of none", "delete of none", "a wrong change", "a wrong content"],
)
def test_what_is_refused_leaves_nothing_and_takes_no_position(
    database: Any, change: Callable[[ContentStore], object], says: str
) -> None:
    before = all_contents(database), counter(database)
    with pytest.raises(DataError, match=says) as refused:
        change(ContentStore(database))
    assert "\n" not in str(refused.value)
    assert (all_contents(database), counter(database)) == before
    assert entries(database) == []
    ContentStore(database).change(1, LIKE)
    assert entries(database) == [(1, 1, "update")]


def test_two_transactions_that_take_the_counter_are_a_conflict_also_if_one_has_committed(database: Any) -> None:
    client = database.client
    with client.start_session() as one, client.start_session() as other:
        for committed_before in (False, True):
            one.start_transaction()
            other.start_transaction()
            database["content"].find_one({}, session=other)  # its snapshot is from before the other's commit
            change_content(lambda command: database.command(command, session=one), 1, LIKE)
            if committed_before:
                one.commit_transaction()
            with pytest.raises(OperationFailure) as refused:
                change_content(lambda command: database.command(command, session=other), 2, LIKE)
            assert refused.value.code == 112
            assert refused.value.has_error_label("TransientTransactionError")
            other.abort_transaction()
            if not committed_before:
                one.commit_transaction()
    assert entries(database) == [(1, 1, "update"), (2, 1, "update")]


def test_many_writers_at_once_leave_no_gap_and_the_outbox_tells_all(database: Any) -> None:
    before, count, problems = all_contents(database), 25, []

    def work(writer: int) -> None:
        try:
            store = ContentStore(database)
            for n in range(count):
                if n % 5 == 4:
                    store.put(contents(SEED, 10 + writer, 10 + writer)[0], with_image=False)
                elif n % 5 == 2 and n > 5:
                    store.delete(10 + writer)
                else:
                    store.change(1 + (writer + n) % 3, LIKE)
        except BaseException as problem:  # noqa: BLE001 (told below)
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [position for position, _, _ in entries(database)] == list(range(1, 6 * count + 1))
    assert counter(database)[0] == 6 * count
    assert replayed(database, before) == all_contents(database)


def test_a_bulk_write_is_another_history_and_one_of_nothing_is_not(database: Any) -> None:
    store = ContentStore(database)
    store.change(1, LIKE)
    position, origin = counter(database)
    assert store.write([]) == 0
    assert counter(database) == (position, origin)
    assert store.write(contents(SEED, 2, 2), with_images=False) == 1
    assert counter(database)[0] == position == 1
    assert counter(database)[1] != origin


def test_a_bulk_write_that_ends_in_an_error_is_another_history_too(database: Any) -> None:
    store = ContentStore(database)
    _, origin = counter(database)
    made = contents(SEED, 1, 4)
    wrong = [*made[:3], object.__new__(type(made[0]))]
    for field in made[3].__slots__:
        object.__setattr__(wrong[3], field, -1 if field == "likes" else getattr(made[3], field))
    with pytest.raises(DataError, match="refuses 1 of contents"):
        store.write(wrong, with_images=False)
    assert counter(database)[1] != origin


def test_the_counter_is_made_where_it_is_not(database: Any) -> None:
    database["counter"].delete_many({})
    transact(database, lambda run: put_content(run, contents(SEED, 4, 4)[0].document()))
    position, origin = counter(database)
    assert position == 1
    assert origin
    database["counter"].delete_many({})
    renew_origin(database.command)
    assert counter(database)[0] == 0


def test_what_is_purged_leaves_a_gap_that_can_be_seen(database: Any) -> None:
    store = ContentStore(database)
    for _ in range(5):
        store.change(1, LIKE)
    assert store.purge(3) == 3
    assert [position for position, _, _ in entries(database)] == [4, 5]
    assert store.purge(3) == 0
    assert store.purge(5) == 2
    store.change(1, LIKE)
    assert entries(database) == [(6, 1, "update")]  # whoever had read up to 4 sees that 5 is not there
