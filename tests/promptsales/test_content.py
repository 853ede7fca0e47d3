"""Contents are a function of seed and id, and are stored so that a repeated or broken-off write leaves the same."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import Any

import pymongo
import pytest
from gridfs import GridFSBucket

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales.content import ContentStore, content, contents, write_contents
from harness.promptsales.content_subjects import SUBJECTS as WORDS
from harness.promptsales.images_scenes import BASE, COLOURS, SUBJECTS

SEED = 7


@pytest.fixture
def database(promptcontent_db: Database) -> Any:
    return promptcontent_db.connect()


def all_of(database: Any) -> list[list[dict[str, Any]]]:
    """Every document of every collection."""
    return [list(database[name].find().sort("_id", 1)) for name in ("content", "pictures.files", "pictures.chunks")]


def test_a_range_is_the_same_alone_and_within_another() -> None:
    whole = contents(SEED, 1, 200)
    assert [one.id for one in whole] == list(range(1, 201))
    assert contents(SEED, 40, 90) == whole[39:90]
    assert contents(SEED, 200, 200) == [whole[-1]] == [content(SEED, 200)]
    assert contents(SEED + 1, 1, 200) != whole


@pytest.mark.parametrize(("first", "last"), [(0, 5), (-1, -1), (6, 5)])
def test_what_is_no_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(DataError, match="ids begin with 1"):
        contents(SEED, first, last)


def test_the_base_says_the_same_with_every_seed_and_beyond_it_varies() -> None:
    one, other = contents(SEED, 1, 2 * BASE), contents(SEED + 1, 1, 2 * BASE)
    assert [it.text for it in one[:BASE]] == [it.text for it in other[:BASE]]
    assert [it.text for it in one[BASE:]] != [it.text for it in other[BASE:]]
    assert len({it.description for it in one[:BASE]}) == BASE
    assert len({it.scene for it in one}) > 1.9 * BASE
    assert [it.scene.subject for it in one[BASE:]] == [it.scene.subject for it in one[:BASE]]


def test_words_fit_the_picture() -> None:
    assert set(WORDS) == set(SUBJECTS)
    for one in contents(SEED, 1, 600):
        shown, words = one.scene, one.description.lower()
        assert len(one.title) <= 120
        assert one.title[0].isupper()
        assert words.endswith((".", "?"))
        assert not set(re.findall(r"\{|\}|  ", one.title + words)), words
        if shown.subject != "pizza":
            assert shown.colour in words
        for colour in (
            set(COLOURS) - {shown.colour} - {"orange", "black", "green"}
        ):  # also in "black olives", "green meadow"
            assert not re.search(rf"\b{colour}\b", words), words
        if shown.time != "day":
            assert shown.time in words
        assert ("rain" in words or "lluvia" in words) == (shown.weather == "rain"), words
    spanish = [
        one
        for one in contents(SEED, 1, BASE)
        if re.search(r"\b(de día|de noche|al atardecer|al amanecer)\b", one.description)
    ]
    assert len(spanish) == BASE // 6


def test_hashtags_are_three_to_six_and_can_be_searched() -> None:
    seen = set()
    for one in contents(SEED, 1, 600):
        assert 3 <= len(one.hashtags) <= 6
        assert len(set(one.hashtags)) == len(one.hashtags)
        assert all(re.fullmatch(r"#[a-z0-9áéíóúüñ]+", tag) for tag in one.hashtags)
        assert one.themes
        seen.update(one.hashtags)
    assert {"#playa", "#beach", "#árboldenavidad", "#fútbol"} <= seen


def test_statuses_dates_and_likes_look_like_a_business() -> None:
    many = contents(SEED, 1, 2000)
    published = [one for one in many if one.status == "published"]
    assert 0.75 < len(published) / len(many) < 0.85
    assert {one.status for one in many} == {"published", "archived", "draft"}
    for one in many:
        assert one.created_at <= one.updated_at
        assert (one.published_at is None) == (one.status == "draft") == (one.expires_at is not None)
        assert one.likes >= 0
    likes = sorted((one.likes for one in published), reverse=True)
    assert sum(likes[: len(likes) // 10]) > 0.35 * sum(likes)  # few are liked much


def test_the_validator_lets_every_content_in(database: Any) -> None:
    many = contents(SEED, 1, 400)
    assert write_contents(database, many, with_images=False) == 400
    stored = list(database["content"].find().sort("_id", 1))
    assert [one["title"] for one in stored] == [one.title for one in many]
    assert not any("image" in one for one in stored)


def test_a_content_is_stored_with_its_picture(database: Any) -> None:
    assert write_contents(database, contents(SEED, 1, 5)) == 5
    store = ContentStore(database)
    document = store.get(3)
    assert document is not None
    picture = store.picture(3)
    assert picture == content(SEED, 3).picture()
    assert document["image"] == {
        "file_id": 3,
        "width": 256,
        "height": 192,
        "sha256": hashlib.sha256(picture).hexdigest(),
        "content_type": "image/png",
    }
    assert document["vector"] == {"model": "multilingual-e5-small", "dimensions": 384}
    stream = GridFSBucket(database, "pictures").open_download_stream_by_name("content-3.png")
    assert stream.read() == picture
    assert (stream.length, stream.metadata) == (
        len(picture),
        {"content_id": 3, "contentType": "image/png", "sha256": document["image"]["sha256"]},
    )


def test_written_twice_it_is_the_same(database: Any) -> None:
    write_contents(database, contents(SEED, 1, 12))
    once = all_of(database)
    write_contents(database, contents(SEED, 1, 12))
    assert all_of(database) == once
    assert [len(part) for part in once] == [12, 12, 12]


def test_ranges_written_in_any_order_are_the_same(database: Any, promptcontent_db: Database) -> None:
    write_contents(database, contents(SEED, 1, 9))
    whole = all_of(database)
    for name in ("content", "pictures.files", "pictures.chunks"):
        database[name].delete_many({})
    for first, last in ((7, 9), (1, 3), (4, 6)):
        write_contents(database, contents(SEED, first, last))
    assert all_of(database) == whole


@pytest.mark.parametrize("broken", ["content", "pictures.files", "pictures.chunks"])
def test_broken_off_anywhere_the_next_run_completes_it(
    database: Any, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_contents(database, contents(SEED, 1, 50))
    whole = all_of(database)
    for name in ("content", "pictures.files", "pictures.chunks"):
        database[name].delete_many({})
    write, calls = pymongo.collection.Collection.bulk_write, itertools.count()

    def dies(self: Any, *arguments: Any, **options: Any) -> Any:
        if self.name == broken and next(calls) == 1:  # in the second batch
            raise KeyboardInterrupt
        return write(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pymongo.collection.Collection, "bulk_write", dies)
        with pytest.raises(KeyboardInterrupt):
            write_contents(database, contents(SEED, 1, 50))
    assert len(list(database["content"].find())) == 40
    for one in database["content"].find():  # what is there is whole
        assert ContentStore(database).picture(one["_id"]) == content(SEED, one["_id"]).picture()
    write_contents(database, contents(SEED, 1, 50))
    assert all_of(database) == whole


def test_progress_tells_of_each_batch_and_a_generator_is_enough(database: Any) -> None:
    told: list[int] = []
    written = write_contents(
        database, (content(SEED, n) for n in range(1, 101)), with_images=False, progress=told.append
    )
    assert written == sum(told) == 100
    assert len(told) > 1
    assert write_contents(database, [], progress=told.append) == 0


def test_a_refused_content_is_named(database: Any) -> None:
    database["content"].insert_one(
        content(SEED, 9).document(content(SEED, 9).picture()) | {"_id": 77}
    )  # with 9's picture
    with pytest.raises(DataError, match=r"refuses 1 of contents 8 to 10; the first is 9: .*(duplicate|E11000)"):
        write_contents(database, contents(SEED, 8, 10))


def test_a_server_that_is_not_there_is_said() -> None:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
        "mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=50
    )
    with client, pytest.raises(DataError, match="PromptContent cannot be written"):
        write_contents(client["x"], contents(SEED, 1, 1), with_images=False)


def test_contents_of_a_hashtag_come_page_by_page(database: Any) -> None:
    many = contents(SEED, 1, BASE)
    write_contents(database, many, with_images=False)
    store, found, after = ContentStore(database), [], 0
    while page := store.find_by_hashtag("#sport", after=after, limit=7):
        assert len(page) <= 7
        found += [one["_id"] for one in page]
        after = found[-1]
    assert found == [one.id for one in many if "#sport" in one.hashtags]
    assert len(found) > 14
    assert store.find_by_hashtag("#nobodyuses") == []


@pytest.mark.parametrize("hashtag", ["sport", "#Sport", "", {"$ne": ""}, None])
def test_only_a_hashtag_is_searched_for(database: Any, hashtag: Any) -> None:
    with pytest.raises(DataError, match="is no hashtag"):
        ContentStore(database).find_by_hashtag(hashtag)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_bounds(database: Any, limit: int) -> None:
    with pytest.raises(DataError, match="from 1 to 1000"):
        ContentStore(database).find_by_hashtag("#sport", limit=limit)


def test_a_picture_that_is_not_there_is_said(database: Any) -> None:
    store = ContentStore(database)
    assert store.get(1) is None
    with pytest.raises(DataError, match="there is no content 1"):
        store.picture(1)
    write_contents(database, contents(SEED, 1, 1), with_images=False)
    with pytest.raises(DataError, match="content 1 has no picture"):
        store.picture(1)
    write_contents(database, contents(SEED, 1, 1))
    GridFSBucket(database, "pictures").delete(1)
    with pytest.raises(DataError, match="the picture of content 1 is gone"):
        store.picture(1)
