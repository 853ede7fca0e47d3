"""What triggers and functions do, as far as their sources tell: nothing besides their row, rows added to a log, or
anything.

A *log* is a table that triggers only ever add rows to, whose key the server draws by itself, and that nothing else in
the scenario looks at: two sessions that add to it neither wait for each other nor notice. Sources are looked through
word by word; a word that could be the name of a table counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import cached_property

from harness.engines.touching import Catalog, Relation, Routine

# Whatever these touch is locked, and so seen, or belongs to the session alone, or is time.
SEEN = frozenset({"nextval", "setval", "currval", "lastval", "pg_sleep"})

_LANGUAGES = frozenset({"sql", "plpgsql"})
_HIDES = re.compile(
    r"\b(notify|listen|exception\s+when|execute|dblink\w*|set_config|txid_\w+|temp|temporary|lo_\w+|savepoint|copy"
    r"|pg_(?!catalog\b|current_xact_id\b)\w+)\b"
)
_NOISE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_STAMP = re.compile(r"\bpg_current_xact_id\b")
_SETS = re.compile(r"\bnew\s*\.\s*\"?(\w+)\"?\s*:?=")
_SETS_ALL = re.compile(r"\bnew\s*:?=|\binto\s+(?:strict\s+)?new\b|\binto\b[^;]*\bnew\s*\.")

_CHANGES = frozenset({"insert", "update", "delete", "merge", "truncate", "lock", "share"})


class Routines:
    """The routines of a database. ``said``: all words of the scenario's statements, in small letters."""

    def __init__(self, catalog: Catalog, said: Collection[str]) -> None:
        self._catalog = catalog
        self._said = frozenset(said)

    def seen(self, name: str) -> bool:
        """Whether all that a routine does, with the routines and triggers that it reaches, is seen in the lock
        table."""
        return all(self._is_seen(routine) for one in self._reach(name) for routine in self._of(one))

    def _is_seen(self, routine: Routine) -> bool:
        source = _plain(routine)
        if routine.language not in _LANGUAGES or _HIDES.search(source):
            return False
        if _STAMP.search(source):  # a transaction's number: nobody may look at it
            return not {*_SETS.findall(source)} & self._said and not _sets_all(source)
        return True

    def _of(self, name: str) -> tuple[Routine, ...]:
        return self._catalog.routines.get(name, ())

    def _reach(self, name: str) -> set[str]:
        """The routines that it may come to, itself included."""
        near, known = {name, *self._catalog.unnamed}, set[str]()
        while near:
            one = near.pop()
            known.add(one)
            words = {word for routine in self._of(one) for word in _words(routine)}
            near |= (words & self._catalog.routines.keys()) - known
            for table in self._called(words):
                relation = self._catalog.relations[table]
                near |= {*relation.calls, *(routine for _, routine in relation.triggers)} - known
        return known

    def touches(self, name: str) -> set[str]:
        """The tables that it may come to, over views and foreign keys, too."""
        words = {word for one in self._reach(name) for routine in self._of(one) for word in _words(routine)}
        named = self._called(words)
        if not self.changes(name):
            return named
        changed = self._over(named, lambda relation: relation.children)  # cascades
        return changed.union(
            *(self._catalog.relations[one].parents & self._catalog.relations.keys() for one in changed)
        )

    def changes(self, name: str) -> bool:
        """Whether it, or what it comes to, has a word for a change, or for a lock, in its source."""
        words = {word for one in self._reach(name) for routine in self._of(one) for word in _words(routine)}
        return not words.isdisjoint(_CHANGES)

    def _called(self, words: Collection[str]) -> set[str]:
        """The tables that some words may name, in whichever schema, with those that views are made of."""
        near = {name for name in self._catalog.relations if name.rpartition(".")[2] in words}
        return self._over(near, lambda relation: relation.looks)

    def _over(self, tables: Collection[str], follow: Callable[[Relation], Collection[str]]) -> set[str]:
        """Those tables, and all that one comes to from them."""
        near, known = set(tables), set[str]()
        while near:
            known.add(name := near.pop())
            near |= ({*follow(self._catalog.relations[name])} & self._catalog.relations.keys()) - known
        return known

    def late(self, relation: Relation) -> bool:
        """Whether a change of the table may be looked at, or followed, at the end of its transaction only."""
        firing = {routine for one in self._catalog.relations.values() for _, routine in one.triggers}
        reached = {one for name in firing | (self._said & self._catalog.routines.keys()) for one in self._reach(name)}
        words = self._said.union(*(_words(routine) for one in reached for routine in self._of(one)))
        return relation.late == "always" or (relation.late == "if asked to" and "constraints" in words)

    @cached_property
    def logs(self) -> frozenset[str]:
        """Tables that are logs, with their sequences."""
        named = [self._catalog.relations[name] for name in self._called(self._said)]
        called = self._said & self._catalog.routines.keys() or self._catalog.unnamed
        if called or any(one.kind != "table" for one in named):
            return frozenset()  # what a view or a function looks at is not looked into here
        tables = {
            name
            for name, relation in self._catalog.relations.items()
            if name.rpartition(".")[2] not in self._said and _is_closed(relation) and self._only_grows(name)
        }
        return frozenset(tables | {one for one, table in self._catalog.sequences.items() if table in tables})

    def _only_grows(self, table: str) -> bool:
        """Whether each trigger that names the table adds rows to it and does nothing else with it."""
        plain = re.escape(table.rpartition(".")[2])
        adds = re.compile(rf"\binsert\s+into\s+(?:\w+\s*\.\s*)?{plain}\b")
        named = re.compile(rf"\b{plain}\b")
        firing = {routine for relation in self._catalog.relations.values() for _, routine in relation.triggers}
        sources = [_plain(routine) for trigger in firing for one in self._reach(trigger) for routine in self._of(one)]
        naming = [source for source in sources if named.search(source)]
        return all(
            len(named.findall(source)) == len(adds.findall(source))
            and re.search(r"\breturning\b|\bon\s+conflict\b", source) is None
            for source in naming
        )

    def harmless(self, relation: Relation, event: str) -> bool:
        """Whether the triggers of an event do nothing that another row's change, or another table, could notice."""
        return all(self._is_harmless(relation, routine) for when, routine in relation.triggers if when == event)

    def _is_harmless(self, relation: Relation, routine: str) -> bool:
        if not self._of(routine) or not self.seen(routine) or not self.touches(routine) <= self.logs:
            return False
        sources = [_plain(one) for one in self._of(routine)]
        bound = {*relation.key, *relation.shared}
        return not any(_sets_all(source) or {*_SETS.findall(source)} & bound for source in sources)

    def usable(self) -> Iterator[str]:
        """Functions that a statement may call without hiding anything from the lock table."""
        yield from self._catalog.steady
        yield from SEEN - self._catalog.routines.keys()
        for name in self._catalog.routines:
            if name not in self._catalog.steady and self.seen(name):
                yield name


def _is_closed(relation: Relation) -> bool:
    """Whether rows that are added meet no others: their key is drawn, and nothing else is unique, refers, or
    follows."""
    drawn = not relation.key or {*relation.key} <= relation.always
    follows = relation.triggers or relation.parents or relation.children or relation.shared
    return relation.kind == "table" and not relation.odd and drawn and not follows


def _sets_all(source: str) -> bool:
    """Whether a trigger may set columns of its row that it does not name one by one."""
    return _SETS_ALL.search(re.sub(r"\binsert\s+into\b", "insert", source)) is not None


def _plain(routine: Routine) -> str:
    """The source without comments and quoted texts."""
    return _NOISE.sub(" ", routine.source).lower()


def _words(routine: Routine) -> set[str]:
    return set(re.findall(r"\w+", _plain(routine)))
