"""A user's connection to Redis: cache-aside, the limiter, what a lost connection is."""

from __future__ import annotations

import pytest
from load.locusts import in_locust

HEAD = """
from harness.load.redis import RedisClient
from harness.load.policy import Refused
from harness.promptsales.cache import RateLimiter
def client():
    return RedisClient(given["url"], "psh:x/load user")
def refused(work, *given):
    try:
        work(*given)
    except Refused as error:
        return error.record.kind.value
"""


@pytest.mark.data("sample")
def test_a_miss_loads_once_for_all_who_ask(cache):
    told = in_locust(
        HEAD
        + """
loads = []
def load():
    loads.append(1)
    gevent.sleep(0.05)
    return "totals"
users = [client() for _ in range(4)]
key = users[0].keys.key("campaign_summary", campaign=9)
greenlets = [gevent.spawn(one.fetch, key, load) for one in users]
gevent.joinall(greenlets, raise_error=True)
first = [one.value for one in greenlets]
users[0].invalidate(key)
print(json.dumps({"first": first, "loads": len(loads), "after": users[1].get(key)}))
""",
        url=cache.url,
    )
    assert told == {"first": ["totals"] * 4, "loads": 1, "after": None}


@pytest.mark.data("sample")
def test_what_the_limiter_holds_back_is_no_refusal(cache):
    told = in_locust(
        HEAD
        + """
one = client()
limiter = RateLimiter(one.client, "load", 2, 60)
print(json.dumps([one.hit(limiter, "user-1").allowed for _ in range(3)]))
""",
        url=cache.url,
    )
    assert told == [True, True, False]


@pytest.mark.data("sample")
def test_a_lost_connection_is_seen_and_made_anew(cache):
    told = in_locust(
        HEAD
        + """
one, other = client(), client()
mine = one.call("CLIENT", "ID")
name = one.call("CLIENT", "GETNAME")
waiting = gevent.spawn(refused, one.call, "BLPOP", "nothing", 30)
with gevent.Timeout(10):
    while "cmd=blpop" not in str(other.call("CLIENT", "LIST", "ID", mine)):
        gevent.sleep(0.01)
other.call("CLIENT", "KILL", "ID", mine)
kind = waiting.get(timeout=10)
one.reset()
print(json.dumps({"kind": kind, "after": one.call("PING"), "name": name, "wrong": refused(one.call, "NONSENSE")}))
""",
        url=cache.url,
    )
    assert told == {"kind": "connection lost", "after": True, "name": "psh:x/load_user", "wrong": "other"}


def test_a_server_that_is_not_there():
    assert in_locust(HEAD + "print(json.dumps(refused(client)))", url="redis://127.0.0.1:1/0") == "connection lost"
