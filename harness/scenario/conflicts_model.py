"""What a step touches: the words that conflicts are told in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

ANYWHERE = "*"
"""Instead of a database's alias: a table that may lie in another database than the statement's (a linked server's)."""

STATEMENT = "statement"
SERVER = "server"
SOURCE = "source"
"""Where an access was learned: from the text of the step, what the server said it held, the source of a routine."""

NUMBERS = frozenset({"smallint", "integer", "bigint", "int", "int2", "int4", "int8", "tinyint"})
"""Types of columns whose values are whole numbers."""

DECIMALS = frozenset({"numeric", "decimal", "money"})
"""Types whose sums are the same in any order, but whose equal values may be written differently (1.0 and 1.00)."""

MOMENTS = frozenset({"date", "timestamp", "timestamptz", "timestamp without time zone", "timestamp with time zone"})
"""Types whose equal values are written alike."""


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """Rows that a step reads, or writes (or locks as if it wrote them).

    ``where`` is ``ALIAS.TABLE`` (``ALIAS.SCHEMA.TABLE``), for Redis the alias alone. ``keys`` are primary keys as
    text, None: any row of it.
    """

    where: str
    writes: bool
    keys: frozenset[str] | None = field(default=None, compare=True)
    learned: str = field(default=STATEMENT, compare=False)

    def overlaps(self, other: Access) -> bool:
        """Whether both may be about one row."""
        if self.where != other.where and not _same_table(self.where, other.where):
            return False
        return self.keys is None or other.keys is None or not self.keys.isdisjoint(other.keys)

    def conflicts(self, other: Access) -> bool:
        """Whether both may be about one row and one of them writes."""
        return (self.writes or other.writes) and self.overlaps(other)

    def whole(self) -> Access:
        """The same of the whole table."""
        return self if self.keys is None else replace(self, keys=None)

    def __str__(self) -> str:
        rows = "" if self.keys is None else f" row {', '.join(sorted(self.keys))}"
        return f"{'writes' if self.writes else 'reads'} {self.where}{rows}"


def _same_table(one: str, other: str) -> bool:
    """Whether one of them may lie anywhere, and they are called the same but for the schema."""
    anywhere = ANYWHERE in (one.partition(".")[0], other.partition(".")[0])
    return anywhere and one.rpartition(".")[2] == other.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Footprint:
    """All that a step may touch. ``everything``: that cannot be told.

    ``kind``: ``statement``, ``begin``, ``end`` (commit or rollback), ``nothing`` (the engine has nothing to do
    there). ``fallible``: it may fail by itself, and so end its transaction. ``waits``: it may wait for what another
    one writes, although it holds nothing (Redis's blocking commands). ``level``: of the transaction that it begins,
    where it says so. ``late``: a part of it may be done at the end of its transaction only (deferred constraints).
    """

    accesses: frozenset[Access] = frozenset()
    everything: bool = False
    engine: str = ""
    kind: str = "statement"
    fallible: bool = True
    waits: bool = False
    level: str = ""
    late: bool = False

    @property
    def acts(self) -> bool:
        """Whether it does anything that others could notice."""
        return self.everything or self.kind in ("statement", "end", "unknown")

    def with_accesses(self, more: Iterable[Access]) -> Footprint:
        """The same, and these besides."""
        return replace(self, accesses=self.accesses | frozenset(more))


NOTHING = Footprint(kind="nothing", fallible=False)


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of a table, so that rows of it can be told apart.

    ``key``: its primary key's columns. ``columns``: all of them, in order, with their types. ``shared``: columns of
    other unique or exclusion constraints and of foreign keys: who changes one may meet other rows, other tables.
    ``parents``: tables that its foreign keys refer to, ``children``: those that refer to it. ``triggers``: insert,
    update, delete. ``drawn``: an insert draws a value from a sequence or a function.
    """

    key: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    parents: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    triggers: frozenset[str] = frozenset()
    drawn: bool = False


_NUMBER = re.compile(r"(0|-?[1-9][0-9]{0,30})\Z")
_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_SEVERAL_WRITINGS = {
    *("t", "true", "y", "yes", "on", "f", "false", "n", "no", "off", "null", "none"),
    *("now", "today", "tomorrow", "yesterday", "epoch", "infinity", "nan", "inf"),
}


def key_text(value: object) -> str | None:
    """A key's value as text, equal texts for equal keys of any type and collation; None if that cannot be promised.

    >>> key_text(7), key_text("Ana"), key_text("07"), key_text("2024-1-1")
    ('7', 'ana', None, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    if text in _SEVERAL_WRITINGS:
        return None
    return text if any(form.match(text) for form in (_NUMBER, _NAME, _UUID)) else None
