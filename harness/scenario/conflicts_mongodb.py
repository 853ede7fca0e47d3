"""What a MongoDB command document touches: its collection, and the documents that a filter pins by ``_id``.

Documents are told apart only in collections that have no unique index besides ``_id``'s, as far as is known. A
command that is not in the list, an aggregation that reads or writes another collection, and anything about
collections themselves touches everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harness.scenario.conflicts_model import Access, Footprint, key_text

ENGINE = "mongodb"

_OTHERS = frozenset({"$lookup", "$graphLookup", "$unionWith", "$out", "$merge", "$function", "$where", "$currentOp"})


class _Unreadable(Exception):
    """It cannot be told."""


def read_mongodb(
    body: Mapping[str, Any], alias: str, keyed: Collection[str] | None
) -> tuple[Footprint, frozenset[str]]:
    """What a command touches, and the collections whose documents' order its answer may show.

    Unknown values are None in ``body``. ``keyed``: collections whose documents may be told apart; None: all of them.
    """
    if not body:
        return Footprint(everything=True, engine=ENGINE), frozenset()
    command, name = next(iter(body.items()))
    if not isinstance(name, str) or _mentions(body, _OTHERS):
        return Footprint(everything=True, engine=ENGINE), frozenset()
    where = f"{alias}.{name}"
    apart = keyed is None or name in keyed
    try:
        parts = list(_parts(command, body))
    except (_Unreadable, AttributeError, TypeError):
        return Footprint(everything=True, engine=ENGINE), frozenset()
    accesses = frozenset(Access(where, writes, keys if apart else None) for writes, keys in parts)
    single = all(access.keys is not None and len(access.keys) <= 1 for access in accesses)
    counts = command in ("count", "insert") or (command == "find" and body.get("sort") == {"_id": 1})
    loose = frozenset() if single or counts else frozenset({where})
    return Footprint(accesses, engine=ENGINE), loose


def _parts(command: str, body: Mapping[str, Any]) -> Iterator[tuple[bool, frozenset[str] | None]]:
    """Whether something is written, and the keys, for each part of a command. Raises _Unreadable."""
    if command == "find":
        yield False, _pinned(body.get("filter"))
    elif command in ("count", "distinct"):
        yield False, _pinned(body.get("query"))
    elif command == "aggregate":
        stages = body.get("pipeline") or [{}]
        yield False, _pinned(stages[0].get("$match"))
    elif command == "insert":
        for document in body["documents"]:
            yield True, _key(document.get("_id"))
    elif command == "update":
        for update in body["updates"]:
            yield True, _pinned(update.get("q"))
    elif command == "delete":
        for delete in body["deletes"]:
            yield True, _pinned(delete.get("q"))
    elif command.lower() == "findandmodify":
        yield True, _pinned(body.get("query"))
    else:
        raise _Unreadable


def _pinned(filtered: Any) -> frozenset[str] | None:
    if not isinstance(filtered, Mapping) or "_id" not in filtered:
        return None
    wanted = filtered["_id"]
    if not isinstance(wanted, Mapping):
        return _key(wanted)
    if set(wanted) == {"$eq"}:
        return _key(wanted["$eq"])
    if set(wanted) != {"$in"} or not isinstance(wanted["$in"], list):
        return None
    keys = [_key(one) for one in wanted["$in"]]
    return None if None in keys else frozenset().union(*(key for key in keys if key is not None))


def _key(value: Any) -> frozenset[str] | None:
    text = key_text(value)
    # A text and a number are different keys here; told as the same one, they conflict, which is safe.
    return None if text is None else frozenset({text})


def _mentions(value: Any, words: Collection[str]) -> bool:
    if isinstance(value, Mapping):
        return any(key in words or _mentions(inner, words) for key, inner in value.items())
    return isinstance(value, list | tuple) and any(_mentions(inner, words) for inner in value)
