"""A user's session on MongoDB: transactions, conflicts, what several users of a process share."""

from __future__ import annotations

from load.locusts import in_locust

from fixtures.databases import Database

HEAD = """
from harness.load.mongodb import MongoDBClient, _clients
from harness.load.policy import Refused
def client():
    return MongoDBClient(given["url"], "psh:x/load")
def likes(one, content=1):
    return one.find("content", {"_id": content}, fields={"likes": 1})[0]["likes"]
def like(one, content=1):
    one.command({"update": "content", "updates": [{"q": {"_id": content}, "u": {"$inc": {"likes": 1}}}]})
def refused(work, *given):
    try:
        work(*given)
    except Refused as error:
        return error.record.kind.value
"""


def sample(database: Database) -> None:
    """Two contents that can be liked."""
    documents = [{"_id": number, "likes": 0} for number in (1, 2)]
    database.connect()["content"].insert_many(documents)


def test_a_transaction_is_all_or_nothing(promptcontent_db):
    promptcontent_db.connect()["content"].drop()
    sample(promptcontent_db)
    told = in_locust(
        HEAD
        + """
one = client()
one.transaction(like)
def fails(one):
    like(one)
    raise KeyError
try:
    one.transaction(fails)
except KeyError:
    pass
print(json.dumps([likes(one), one.transaction(likes), one.transaction(likes, "snapshot")]))
""",
        url=promptcontent_db.url,
    )
    assert told == [1, 1, 1]


def test_a_write_conflict_is_named_and_the_same_again_goes_well(promptcontent_db):
    promptcontent_db.connect()["content"].drop()
    sample(promptcontent_db)
    told = in_locust(
        HEAD
        + """
one, other = client(), client()
kinds = []
def first(one):
    like(one)
    kinds.append(refused(other.transaction, like))  # the document is the first one's
    other.reset()
one.transaction(first)
other.transaction(like)
print(json.dumps({"kinds": kinds, "likes": likes(one)}))
""",
        url=promptcontent_db.url,
    )
    assert told == {"kinds": ["write conflict"], "likes": 2}


def test_users_share_a_client_until_the_last_is_put_away(promptcontent_db):
    told = in_locust(
        HEAD
        + """
one, other = client(), client()
shared = one._client is other._client
one.close()
one.close()  # the same one again: Locust may end a user twice
still = other.find("content", {})
other.close()
print(json.dumps({"shared": shared, "still": still, "left": len(_clients)}))
""",
        url=promptcontent_db.url,
    )
    assert told == {"shared": True, "still": [], "left": 0}


def test_what_the_server_does_not_take_is_refused_by_its_kind(promptcontent_db):
    told = in_locust(
        HEAD
        + """
one = client()
document = {"insert": "things", "documents": [{"_id": 1}]}
one.command(document)
print(json.dumps([refused(one.command, document), refused(one.command, {"nonsense": 1})]))
""",
        url=promptcontent_db.url,
    )
    assert told == ["constraint", "other"]


def test_a_server_that_is_not_there_is_a_lost_connection():
    told = in_locust(
        HEAD
        + """
from harness.load import mongodb
mongodb._CONNECT_MS = 200
print(json.dumps([refused(client), len(_clients)]))
""",
        url="mongodb://127.0.0.1:1/none",
    )
    assert told == ["connection lost", 0]
