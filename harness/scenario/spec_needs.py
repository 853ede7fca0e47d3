"""Which specifications must not run on one server at the same time, each in a database of its own.

What they do to the whole server decides, read from their texts: transactions that are serializable are watched over all
databases, names of roles and of prepared transactions are the server's, so is the queue of NOTIFY. Whoever cannot be sure to
mind what others do has the server for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """Something of the server's that is had alone (``exclusive``), or together with all who say they share it."""

    name: str
    exclusive: bool


SERVER = "server"

_ALONE = {
    "prepared transactions": r"\bprepare\s+transaction\b",
    "notifications": r"\b(notify|listen|pg_notify)\b",
    "roles": r"\b(create|alter|drop)\s+(role|user|group)\b",
}
_WHOLE_SERVER = r"\bpg_(database|authid|shdepend|tablespace|auth_members)\b|\balter\s+system\b|\bcreate\s+tablespace\b"


def needs(text: str, *, named_database: bool) -> list[Need]:
    """What a specification needs of the server; ``named_database``: its database must have a certain name."""
    return sorted(_needs(text, named_database=named_database), key=lambda need: need.name)


def _needs(text: str, *, named_database: bool) -> Iterator[Need]:
    yield Need(SERVER, exclusive=named_database or _says(_WHOLE_SERVER, text))
    for name, pattern in _ALONE.items():
        if _says(pattern, text):
            yield Need(name, exclusive=True)
    if _says(r"\bserializable\b", text):
        # A deferrable transaction waits for every serializable one on the server.
        yield Need("serializable transactions", exclusive=_says(r"\bdeferrable\b", text))


def _says(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
