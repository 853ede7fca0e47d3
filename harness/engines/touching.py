"""What a server tells of what steps touch, and of what its database is made of: so it is known which steps can conflict.

Not every engine can tell. Who asks is :mod:`harness.runner.touching`, and :mod:`harness.exploring.scout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from harness.engines.base import Statement


@dataclass(frozen=True, slots=True)
class Touch:
    """Something that a session's open transaction has locked, noted or been told to touch, by the server's own word.

    ``name`` is a table's name in small letters, ``SCHEMA.TABLE`` if its schema has to be named, for Redis a key.
    ``unknown``: it is no table's rows, and may be anything (``name`` says what the server calls it).
    """

    name: str
    writes: bool
    unknown: bool = False


@runtime_checkable
class Touching(Protocol):
    """An Observer that can tell what a session of the run touches."""

    def touched(self, pid: str, statement: Statement) -> list[Touch]:
        """What the session's open transaction has touched so far, its last statement being ``statement``.

        Nothing where no transaction is open: what was locked is free again. Raises EngineError if the server is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or foreign table as the server's catalog has it, names in small letters.

    ``shared``: columns of unique and exclusion constraints besides the primary key, and of foreign keys; all of them
    where such a column is generated from others.
    ``triggers``: pairs of event (insert, update, delete) and routine. ``calls``: the routines that its checks, indexes,
    rules and the like call. ``odd``: it has some of those, or rules, row security, partitions, inheritance, columns that
    differ by large letters only, texts that are equal without being the same. ``looks``: what a view, or a rule, is made
    of. ``late``: whether its constraints or triggers wait for the end of the transaction: ``always``, ``if asked to``
    (SET CONSTRAINTS), or not at all, which is empty.
    """

    name: str
    kind: str  # "table", "view", "foreign"
    key: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)  # name → type
    shared: frozenset[str] = frozenset()
    parents: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    triggers: tuple[tuple[str, str], ...] = ()
    drawn: bool = False  # an insert draws values from sequences or functions
    always: frozenset[str] = frozenset()  # columns whose values the server always draws by itself
    odd: bool = False
    calls: frozenset[str] = frozenset()
    looks: frozenset[str] = frozenset()
    late: str = ""


@dataclass(frozen=True, slots=True)
class Routine:
    """A function or procedure that somebody has made in the database."""

    name: str
    language: str
    source: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a database is made of.

    ``sequences``: those that belong to a table's column → the table. ``steady``: built-in functions that depend on
    nothing but their arguments. ``own``: names of the routines that no extension brought. ``unnamed``: those of them
    that a statement may call without naming them: behind operators, casts, domains.
    """

    relations: Mapping[str, Relation] = field(default_factory=dict)
    routines: Mapping[str, tuple[Routine, ...]] = field(default_factory=dict)
    sequences: Mapping[str, str] = field(default_factory=dict)
    steady: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    unnamed: frozenset[str] = frozenset()


@runtime_checkable
class Cataloguing(Protocol):
    """An Observer that can tell what its database is made of."""

    def catalog(self) -> Catalog:
        """The user's tables and routines. Raises EngineError if the server is gone."""
        ...
