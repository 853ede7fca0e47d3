"""What a Redis command touches: its keys, by a table of the commands (Redis's manual, COMMAND's first key, last key
and step).

What is queued in a MULTI takes effect at EXEC: there all of it is touched, and every key that was watched is read (a
WATCH reads it, too: whoever writes it in between makes the EXEC fail). A script, and a command that is not in the
table, touches everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.scenario.conflicts_model import Access, Footprint

ENGINE = "redis"

_ONE, _ALL, _ODD = "one", "all", "odd"  # the first word; every word; every second word, from the first on


def _table(writes: bool, keys: str, names: str) -> dict[str, tuple[bool, str]]:
    return {name: (writes, keys) for name in names.split()}


COMMANDS: dict[str, tuple[bool, str]] = {
    **_table(
        False,
        _ONE,
        "GET STRLEN GETRANGE SUBSTR TTL PTTL EXPIRETIME PEXPIRETIME TYPE DUMP GETBIT BITCOUNT BITPOS HGET HMGET "
        "HGETALL HLEN HKEYS HVALS HEXISTS HSTRLEN LRANGE LLEN LINDEX LPOS SMEMBERS SCARD SISMEMBER SMISMEMBER "
        "ZRANGE ZSCORE ZMSCORE ZCARD ZCOUNT ZRANK ZREVRANK ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX "
        "ZREVRANGEBYLEX ZLEXCOUNT XRANGE XREVRANGE XLEN PFCOUNT GEOPOS GEODIST GEOHASH GEOSEARCH",
    ),
    **_table(False, _ALL, "MGET EXISTS SINTER SUNION SDIFF"),
    **_table(
        True,
        _ONE,
        "SET SETNX SETEX PSETEX GETSET GETDEL GETEX APPEND SETRANGE SETBIT INCR INCRBY INCRBYFLOAT DECR DECRBY "
        "EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT LPUSH RPUSH LPUSHX "
        "RPUSHX LPOP RPOP LSET LTRIM LREM LINSERT SADD SREM ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYRANK "
        "ZREMRANGEBYSCORE ZREMRANGEBYLEX XADD XDEL XTRIM PFADD RESTORE GEOADD",
    ),
    **_table(True, _ALL, "DEL UNLINK TOUCH RENAME RENAMENX RPOPLPUSH SINTERSTORE SUNIONSTORE SDIFFSTORE PFMERGE"),
    **_table(True, _ODD, "MSET MSETNX"),
}
"""Commands whose keys stand in the line: whether they write, and which words are keys."""

_WAIT = {"BLPOP": -1, "BRPOP": -1, "BZPOPMIN": -1, "BZPOPMAX": -1, "BRPOPLPUSH": 2}
"""Commands that wait for a key, and where its keys end (the rest are numbers)."""

_NOTHING = frozenset({"PING", "ECHO", "TIME", "UNWATCH"})
_ALL_KEYS = frozenset({"DBSIZE", "KEYS"})


@dataclass(slots=True)
class Line:
    """A session's state on its connection: what it has queued, what it watches."""

    alias: str
    queued: set[Access] = field(default_factory=set)
    watched: set[Access] = field(default_factory=set)
    in_multi: bool = False
    unknown: bool = False  # something queued may touch everything

    def step(self, words: Sequence[str | None]) -> Footprint:
        """The footprint of the session's next command; None for a word that is not known before it is sent."""
        command = (words[0] or "").upper() if words else ""
        if command == "MULTI":
            self.in_multi = True
            return Footprint(engine=ENGINE, kind="begin", fallible=False)
        if command in ("EXEC", "DISCARD"):
            return self._end(command)
        if command == "WATCH":
            self.watched |= set(_accesses(self.alias, words[1:], writes=False))
            return Footprint(frozenset(_accesses(self.alias, words[1:], writes=False)), engine=ENGINE)
        if command == "UNWATCH" and not self.in_multi:  # queued, it comes after EXEC has looked at what is watched
            self.watched = set()
        found = self._accesses(command, words)
        if self.in_multi:
            self.queued |= found or set()
            self.unknown |= found is None or command in _WAIT
            return Footprint(engine=ENGINE, kind="nothing", fallible=False)
        if found is None:
            return Footprint(everything=True, engine=ENGINE)
        return Footprint(frozenset(found), engine=ENGINE, waits=command in _WAIT)

    def _end(self, command: str) -> Footprint:
        touched = frozenset(self.queued | self.watched) if command == "EXEC" else frozenset()
        unknown = self.unknown and command == "EXEC"
        self.queued, self.watched, self.in_multi, self.unknown = set(), set(), False, False
        return Footprint(touched, unknown, ENGINE, "end")

    def _accesses(self, command: str, words: Sequence[str | None]) -> set[Access] | None:
        if command in _NOTHING:
            return set()
        if command in _ALL_KEYS:
            return {Access(self.alias, False)}
        if command in _WAIT:
            return set(_accesses(self.alias, words[1 : _WAIT[command] + (_WAIT[command] > 0)], writes=True))
        if command not in COMMANDS:
            return None
        writes, which = COMMANDS[command]
        keys = {_ONE: words[1:2], _ALL: words[1:], _ODD: words[1::2]}[which]
        return set(_accesses(self.alias, keys, writes=writes))


def _accesses(alias: str, keys: Sequence[str | None], *, writes: bool) -> Iterator[Access]:
    """One access for all of them; of every key, if one is not known."""
    if keys:
        known = frozenset(key for key in keys if key is not None)
        yield Access(alias, writes, known if len(known) == len(set(keys)) else None)
