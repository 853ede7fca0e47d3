"""What people do with contents is a bounded stream whose ids are times."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales import cache_activity
from harness.promptsales.cache_activity import Activity
from harness.promptsales.cache_keys import conventions


@pytest.fixture
def server(cache: Database) -> Any:
    return cache.connect()


def test_an_entry_says_what_was_done_with_which_content_and_when(server: Any) -> None:
    before = int(server.time()[0]) * 1000
    id = Activity(server).record(7, "like")
    ((found, fields),) = server.xrange("activity")
    assert (found, fields) == (id, {"content": "7", "kind": "like"})
    assert before <= int(id.split("-")[0]) <= int(time.time() * 1000) + 60_000
    assert server.ttl("activity") == -1
    assert conventions().conventions["activity"].type == server.type("activity") == "stream"


def test_many_are_added_in_order_in_few_round_trips(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = []
    execute = redis.client.Pipeline.execute
    monkeypatch.setattr(
        redis.client.Pipeline, "execute", lambda self, *a, **k: trips.append(len(self)) or execute(self, *a, **k)
    )
    given = [(1 + n % 9, ("view", "view", "like")[n % 3]) for n in range(2500)]
    assert Activity(server).record_all(iter(given)) == 2500
    assert [(int(fields["content"]), fields["kind"]) for _, fields in server.xrange("activity")] == given
    assert trips == [1000, 1000, 500]
    assert Activity(server).record_all([]) == 0


def test_the_stream_is_bounded_and_tells_how_many_there_were(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_activity, "KEPT", 1000)
    Activity(server).record_all((1, "view") for _ in range(5000))
    assert 1000 <= server.xlen("activity") < 1500
    assert server.xinfo_stream("activity")["entries-added"] == 5000


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (1, "likes", "did you mean"),
        (1, "", "nothing that is done with a content"),
        (0, "view", "no id of a content"),
        (True, "view", "no id of a content"),
        ("1", "view", "no id of a content"),
    ],
)
def test_what_is_none_is_refused(server: Any, content: Any, kind: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Activity(server).record(content, kind)
    with pytest.raises(DataError, match=says):
        Activity(server).record_all([(content, kind)])
    assert not server.exists("activity")


def test_a_server_that_is_gone_is_one_line() -> None:
    client = redis.Redis(port=1)
    with pytest.raises(DataError, match="cannot be reached"):
        Activity(client).record(1, "view")
    with pytest.raises(DataError, match="cannot be reached"):
        Activity(client).record_all([(1, "view")])
