"""What PromptContent lets in, what it finds by an index, and what it lets go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from bson import Int64
from polling import eventually
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from fixtures.databases import Database

DAY = datetime(2025, 6, 1)
IMAGE = {"file_id": 1, "width": 256, "height": 192, "sha256": "ab" * 32, "content_type": "image/png"}
PUBLISHED: dict[str, Any] = {
    "_id": 10,
    "title": "A red bicycle",
    "description": "A red bicycle in the city.",
    "hashtags": ["#bicycle", "#fútbol", "#night_ride2"],
    "themes": ["sport"],
    "status": "published",
    "created_at": DAY,
    "updated_at": DAY,
    "published_at": DAY,
    "likes": 0,
}
DRAFT = {key: value for key, value in PUBLISHED.items() if key != "published_at"} | {
    "status": "draft",
    "expires_at": datetime(2100, 1, 1),
}


@pytest.fixture
def content(promptcontent_db: Database) -> Any:
    return promptcontent_db.connect()["content"]


@pytest.mark.parametrize(
    "document",
    [
        PUBLISHED,
        PUBLISHED | {"status": "archived"},
        DRAFT,
        PUBLISHED | {"image": IMAGE, "vector": {"model": "m", "dimensions": 384}, "version": 3},
        PUBLISHED | {"likes": 2**40},
    ],
    ids=["published", "archived", "draft", "with everything", "liked more than an int can say"],
)
def test_a_right_content_is_let_in(content: Any, document: dict[str, Any]) -> None:
    content.insert_one(dict(document))
    assert content.find_one({"_id": 10}) == document


@pytest.mark.parametrize(
    "change",
    [
        {"likes": -1},
        {"likes": 1.5},
        {"likes": "many"},
        {"title": ""},
        {"title": "x" * 121},
        {"title": None},
        {"hashtags": []},
        {"hashtags": "#bicycle"},
        {"hashtags": ["bicycle"]},
        {"hashtags": ["#Bicycle"]},
        {"hashtags": ["#"]},
        {"hashtags": ["#a b"]},
        {"hashtags": ["#a\n"]},
        {"hashtags": ["#a", "#a"]},
        {"hashtags": [f"#{n}" for n in range(11)]},
        {"themes": ["Two words"]},
        {"status": "deleted"},
        {"status": "draft"},
        {"expires_at": DAY},
        {"created_at": "2025-06-01"},
        {"image": IMAGE | {"sha256": "ab"}},
        {"image": IMAGE | {"sha256": "AB" * 32}},
        {"image": IMAGE | {"width": 0}},
        {"image": IMAGE | {"url": "https://example.com"}},
        {"image": {"file_id": 1}},
        {"vector": {"model": "m"}},
        {"admin": True},
        {"_id": 0},
        {"_id": "ten"},
    ],
    ids=str,
)
def test_a_wrong_content_is_refused_and_nothing_is_written(content: Any, change: dict[str, Any]) -> None:
    with pytest.raises(WriteError) as refused:
        content.insert_one(PUBLISHED | change)
    assert refused.value.code == 121
    content.insert_one(dict(PUBLISHED))
    with pytest.raises(WriteError):  # nor by an update: validation is strict
        content.update_one({"_id": 10}, {"$set": change})
    assert list(content.find()) == [PUBLISHED]


@pytest.mark.parametrize("missing", [key for key in PUBLISHED if key != "_id"])
def test_nothing_may_be_missing(content: Any, missing: str) -> None:
    with pytest.raises(WriteError) as refused:
        content.insert_one({key: value for key, value in PUBLISHED.items() if key != missing})
    assert refused.value.code == 121


def test_a_draft_becomes_published_in_one_update_only(content: Any) -> None:
    content.insert_one(dict(DRAFT))
    with pytest.raises(WriteError):
        content.update_one({"_id": 10}, {"$set": {"status": "published"}})
    content.update_one({"_id": 10}, {"$set": {"status": "published", "published_at": DAY}, "$unset": {"expires_at": 1}})
    assert content.find_one({"_id": 10}) == PUBLISHED


def test_one_picture_belongs_to_one_content_but_many_have_none(content: Any) -> None:
    content.insert_many([PUBLISHED, PUBLISHED | {"_id": 11}])
    content.insert_one(PUBLISHED | {"_id": 12, "image": IMAGE})
    with pytest.raises(DuplicateKeyError):
        content.insert_one(PUBLISHED | {"_id": 13, "image": IMAGE})
    assert content.count_documents({}) == 3


def test_the_outbox_takes_changes_only(promptcontent_db: Database) -> None:
    outbox = promptcontent_db.connect()["outbox"]
    entry = {"position": Int64(1), "content_id": 1, "operation": "update", "at": DAY, "content": PUBLISHED}
    outbox.insert_one(dict(entry))
    wrong: list[dict[str, Any]] = [{"operation": "merge"}, {"content_id": "1"}, {"at": None}, {"_id": 7}]
    for change in [*wrong, {"position": 2}, {"position": Int64(0)}, {"position": None}]:
        with pytest.raises(WriteError):
            outbox.insert_one(entry | {"position": Int64(2)} | change)
    with pytest.raises(DuplicateKeyError):
        outbox.insert_one(entry)
    assert outbox.count_documents({}) == 1


def test_the_counter_begins_with_an_origin_of_its_own(promptcontent_db: Database) -> None:
    counter = promptcontent_db.connect()["counter"]
    (begun,) = counter.find()
    assert (begun["_id"], begun["position"]) == ("outbox", 0)
    assert len(begun["origin"]) > 10
    for change in ({"position": Int64(-1)}, {"position": "1"}, {"origin": ""}, {"more": 1}):
        with pytest.raises(WriteError):
            counter.update_one({}, {"$set": change})
    with pytest.raises(WriteError):
        counter.insert_one(begun | {"_id": "another"})


@pytest.mark.parametrize(
    ("find", "index"),
    [
        ({"filter": {"hashtags": "#even", "_id": {"$gt": 20}}, "sort": {"_id": 1}}, "hashtags"),
        ({"filter": {"status": "published"}, "sort": {"published_at": -1}}, "status_published"),
        ({"filter": {"image.sha256": "c".zfill(64)}}, "one_picture_one_content"),
    ],
    ids=["hashtag", "newest", "picture"],
)
def test_what_is_asked_is_answered_by_an_index(promptcontent_db: Database, find: dict[str, Any], index: str) -> None:
    database = promptcontent_db.connect()
    database["content"].insert_many(
        [
            (PUBLISHED if n % 10 else DRAFT)
            | {"_id": n, "hashtags": ["#even" if n % 2 == 0 else "#odd"], "image": IMAGE | {"sha256": f"{n:064x}"}}
            for n in range(1, 60)
        ]
    )
    plan = database.command("explain", {"find": "content", **find}, verbosity="executionStats")
    stages = str(plan["queryPlanner"]["winningPlan"])
    assert f"'indexName': '{index}'" in stages, stages
    assert "COLLSCAN" not in stages
    assert plan["executionStats"]["totalDocsExamined"] == plan["executionStats"]["nReturned"] < 59


def sweep(database: Any) -> None:
    """Have the server look for what has expired, which it does by itself once a minute."""
    admin = database.client["admin"]
    try:
        admin.command("secantusAdmin.pruneTtl")
    except OperationFailure:  # MongoDB itself
        admin.command("setParameter", 1, ttlMonitorSleepSecs=1)


def test_an_expired_draft_goes_by_itself_and_nothing_else(promptcontent_db: Database) -> None:
    database = promptcontent_db.connect()
    content = database["content"]
    content.insert_many(
        [PUBLISHED, DRAFT | {"_id": 11}, PUBLISHED | {"_id": 12, "status": "archived"}]
        + [DRAFT | {"_id": n, "expires_at": DAY} for n in (13, 14)]
    )
    sweep(database)
    eventually(lambda: content.count_documents({"_id": {"$in": [13, 14]}}) == 0, "expired drafts go")
    assert sorted(one["_id"] for one in content.find()) == [10, 11, 12]


@pytest.mark.data("sample")
def test_the_sample_has_known_likes(content: Any) -> None:
    assert {one["_id"]: one["likes"] for one in content.find()} == {1: 500, 2: 300}
