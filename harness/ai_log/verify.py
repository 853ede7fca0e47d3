"""Whether the chain of the AI log holds, computed here: the server is not the only witness.

The hash of an entry is SHA-256 of its fields, each written as a netstring (``5:hello,``) or as ``-,`` if there is none; see
``schemas/promptsales/postgresql/80_ai_log.sql``. What a chain cannot show by itself, that its end was cut off or written
anew, an :class:`~harness.ai_log.model.Anchor` shows that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

from harness.ai_log.model import Anchor, Entry
from harness.ai_log.read import Reader

FIRST = "00" * 32
"""What stands for the hash before the first entry."""

VERSION = "ai_log 1"
_HASHED = [field.name for field in fields(Entry) if field.name != "hash"]  # in the order of the encoding


def encoded(entry: Entry) -> bytes:
    """What an entry's hash is taken of.

    >>> encoded(Entry(*map(str, range(15)), *(None,) * 3, "hash"))[:24]
    b'8:ai_log 1,1:0,1:1,1:2,1'
    """
    values = [VERSION, *(getattr(entry, name) for name in _HASHED)]
    return b"".join(_netstring(None if value is None else str(value)) for value in values)


def hash_of(entry: Entry) -> str:
    """The hash that the entry should have, in hexadecimal."""
    return hashlib.sha256(encoded(entry)).hexdigest()


def _netstring(text: str | None) -> bytes:
    if text is None:
        return b"-,"
    raw = text.encode("utf-8", "surrogatepass")
    return b"%d:%b," % (len(raw), raw)


@dataclass(slots=True)
class Walk:
    """Goes over entries in order; ``problem`` is the first that does not follow, in words."""

    entries: int = 0
    last: str = FIRST
    problem: str | None = None

    def over(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries that follow one another: ends at the first that does not."""
        for entry in entries:
            self.problem = self._wrong(entry)
            if self.problem:
                return
            self.entries += 1
            self.last = entry.hash
            yield entry

    def ends_at(self, number: int, hash_: str) -> str | None:
        """What is wrong with this end, if anything: the head's, or an anchor's."""
        if self.entries < number:
            return f"entry {self.entries + 1} is missing, and all after it up to entry {number}"
        if self.entries > number:
            return f"entry {number + 1} is not known to the log's head"
        return None if hash_ == self.last else f"entry {number} is not the one that was written last"

    def _wrong(self, entry: Entry) -> str | None:
        expected = self.entries + 1
        if entry.number > expected:
            return f"entry {expected} is missing"
        if entry.number < expected:
            return f"entry {entry.number} is there twice"
        if entry.hash != hash_of(entry):
            return f"entry {expected} was changed: what it says does not give its hash"
        if entry.previous_hash != self.last:
            return (
                f"entry {expected} does not follow entry {expected - 1}: one of the two is not the one that was written"
            )
        return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many entries follow one another, and what is wrong, in words."""

    entries: int
    problems: tuple[str, ...]
    anchored: Anchor | None = None


def against(anchor: Anchor, found: Anchor | None) -> str | None:
    """What is wrong with a log in which the anchor's entry is now this one, if anything."""
    if found is None:
        return (
            f"entry {anchor.number}, which the anchor has seen, is missing: the end was cut off, or it is another log"
        )
    if found.hash != anchor.hash:
        return (
            f"entry {anchor.number} is not the one that the anchor has seen: "
            "entries up to it were written anew, or it is another log"
        )
    return None


def verify(
    reader: Reader, anchor: Anchor | None = None, heard: Callable[[int], None] = lambda entries: None
) -> Verdict:
    """Walk the whole chain, then ask the head, the server's own function and the anchor. ``heard`` is told how far it is."""
    walk = Walk()
    for entry in walk.over(reader.entries()):
        if entry.number % 1000 == 0:
            heard(entry.number)
    problems = [walk.problem or walk.ends_at(*reader.head())]
    entries, said = reader.said_by_server()
    if (said is None) != (problems[0] is None) or entries != walk.entries:
        problems.append(f"the server itself says of {entries} entries: {said or 'they follow one another'}")
    if anchor is not None:
        problems.append(against(anchor, reader.anchor(anchor.number)))
    return Verdict(walk.entries, tuple(one for one in problems if one), anchor)
