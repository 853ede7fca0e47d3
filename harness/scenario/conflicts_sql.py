"""What an SQL statement touches, read by sqlglot.

Rows are told apart only where that is sure: a statement on one table, without joins and subqueries, whose WHERE pins
every column of the primary key to constants, or an INSERT with the key in its VALUES; an UPDATE must change neither
the key nor what other rows or tables could notice (:class:`~harness.scenario.conflicts_model.Table`). All else is
about all rows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from harness.scenario.conflicts_model import ANYWHERE, NUMBERS, Access, Table, key_text
from harness.scenario.conflicts_order import shows_order
from harness.scenario.expressions import DatabaseName, Expression, parse

DIALECTS = {"postgresql": "postgres", "sqlserver": "tsql"}

_ESCAPED = re.compile(r"\bu&\"", re.IGNORECASE)  # a name whose letters are written as numbers
_SCHEMAS = ("", "public", "dbo")
_HIDDEN_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
_CATALOGS = frozenset({"pg_catalog", "information_schema", "sys"})
MOST_KEYS = 64
"""A statement that names more rows than this is about all of them."""

Constant = Callable[[Expression], object]
"""The value of an expression if it is the same in every run, else None."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a text touches. ``loose``: tables whose rows' physical order its answer may show."""

    accesses: frozenset[Access]
    loose: frozenset[str] = frozenset()
    fallible: bool = True


def read_sql(
    text: str,
    dialect: str,
    alias: str,
    tables: Mapping[str, Table] | None = None,
    constant: Constant | None = None,
    routines: Collection[str] = (),
    own: Collection[str] = (),
) -> Read | None:
    """What SQL text touches; None if that cannot be told.

    ``tables``: what is known of them, by their plain names. ``routines``: functions that may be called, since
    somebody else tells what they touch. ``own``: the names of the users' functions, any word counts as a call of one.
    """
    calls, trees = called(text, dialect, own), _trees(text, dialect, constant)
    if trees is None or calls is None or not calls <= set(routines):
        return None
    parts = parse(text)
    aliases = {part.alias.lower() for part in parts if isinstance(part, DatabaseName)}
    reads = []
    for tree in trees:
        if (read := _Statement(tree, alias, aliases, tables or {}).read()) is None:
            return None
        reads.append(read)
    known = all(not isinstance(part, Expression) or _value(part, constant) is not None for part in parts)
    return Read(
        frozenset().union(*(read.accesses for read in reads)),
        frozenset().union(*(read.loose for read in reads)),
        not known or any(read.fallible for read in reads),
    )


def called(text: str, dialect: str, own: Collection[str] = ()) -> frozenset[str] | None:
    """The functions that SQL text calls and that sqlglot does not know, with those of the users' ``own`` that it has a
    word of (``levenshtein(a, b)``, but ``row.total`` is a call, too); None if it cannot be read."""
    from sqlglot import expressions as sql

    trees = _trees(text, dialect, None)
    if trees is None:
        return None
    calls = {one.name.lower() for tree in trees for one in tree.find_all(sql.Anonymous, sql.AnonymousAggFunc)}
    return frozenset(calls | ({*re.findall(r"\w+", text.lower())} & {*own}))


def only_rows(text: str, dialect: str) -> bool:
    """Whether SQL text only reads and writes rows, and calls functions: it neither begins nor ends a transaction."""
    from sqlglot import expressions as sql

    rows = (sql.Select, sql.SetOperation, sql.Insert, sql.Update, sql.Delete, sql.Merge)
    trees = _trees(text, dialect, None)
    return bool(trees) and all(isinstance(tree, rows) for tree in trees or ()) and "set_config" not in text.lower()


def _trees(text: str, dialect: str, constant: Constant | None) -> list[Any] | None:
    import sqlglot  # here, not above: it takes a tenth of a second, and few schedules are reduced

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it cannot read; here that is an answer
    bare = "".join(_written(part, constant) for part in parse(text))
    if _ESCAPED.search(bare):
        return None
    try:
        return [tree for tree in sqlglot.parse(bare, read=dialect) if tree is not None]
    except (sqlglot.errors.SqlglotError, RecursionError):
        return None


def _value(part: Expression, constant: Constant | None) -> object:
    value = constant(part) if constant is not None else None
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _written(part: str | Expression | DatabaseName, constant: Constant | None) -> str:
    if isinstance(part, DatabaseName):
        return part.alias
    if isinstance(part, str):
        return part
    value = _value(part, constant)
    if isinstance(value, int):
        return f"({value})" if value < 0 else str(value)
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


class _Statement:
    """One statement's tree."""

    def __init__(self, tree: Any, alias: str, aliases: set[str], tables: Mapping[str, Table]) -> None:
        from sqlglot import expressions as sql

        self.sql = sql
        self.tree = tree
        self.alias = alias
        self.aliases = aliases
        self.tables = tables
        # A function that gives rows stands where a table does.
        self.named = [table for table in tree.find_all(sql.Table) if not isinstance(table.this, sql.Anonymous)]

    def read(self) -> Read | None:
        sql, tree = self.sql, self.tree
        changes = (sql.Insert, sql.Update, sql.Delete, sql.Merge)
        if not isinstance(tree, (sql.Select, sql.SetOperation, *changes)) or self._does_more():
            return None
        # A change may hide in a WITH; FOR UPDATE, and hints like UPDLOCK, lock what they read.
        writes = tree.find(*changes, sql.Lock, sql.WithTableHint) is not None
        keys = self._keys()
        if keys is None:
            accesses = {Access(self._where(table), writes) for table in self.named}
        else:
            accesses = {Access(self._where(self.named[0]), writes, keys)}
        accesses |= set(self._followed(changes))
        tables = [self.tables.get(table.name.lower()) for table in self.named]
        shown = shows_order(tree, keys, self._table(), tables, writes=writes)
        loose = frozenset(self._where(table) for table in self.named) if shown else frozenset()
        return Read(frozenset(accesses), loose, not (keys is not None and self._plain()))

    def _does_more(self) -> bool:
        """Whether it does what is not known, or looks at what every step changes."""
        sql = self.sql
        if self.tree.find(sql.Into, sql.NextValueFor, sql.Command):
            return True
        if any(column.name.lower() in _HIDDEN_COLUMNS for column in self.tree.find_all(sql.Column)):
            return True
        return any(
            not isinstance(table.this, sql.Identifier)
            or table.name.lower().startswith("pg_")
            or table.db.lower() in _CATALOGS
            for table in self.named
        )

    def _where(self, table: Any) -> str:
        name, schema, database = table.name.lower(), table.db.lower(), table.catalog.lower()
        if database in self.aliases and schema in _SCHEMAS:
            return f"{database}.{name}"
        return f"{ANYWHERE if database or schema not in _SCHEMAS else self.alias}.{name}"

    def _table(self) -> Table | None:
        """The one table that it is about, if it is about one."""
        if len(self.named) != 1 or self.named[0].catalog or self.named[0].db.lower() not in _SCHEMAS:
            return None
        return self.tables.get(self.named[0].name.lower())

    # -- which rows

    def _keys(self) -> frozenset[str] | None:
        sql, tree, table = self.sql, self.tree, self._table()
        if table is None or not table.key or tree.find(sql.With, sql.Join, sql.Lateral, sql.Merge, sql.SetOperation):
            return None
        if sum(1 for _ in tree.find_all(sql.Select)) != isinstance(tree, sql.Select):
            return None
        if isinstance(tree, sql.Insert):
            return self._inserted(table)
        if isinstance(tree, sql.Update):
            if "update" in table.triggers or self._changed() & ({*table.key} | table.shared):
                return None
            if table.drawn and any(one.name.lower() == "default" for one in tree.find_all(sql.Identifier, sql.Var)):
                return None
        elif isinstance(tree, sql.Delete) and ("delete" in table.triggers or table.children):
            return None
        return self._pinned(table)

    def _changed(self) -> set[str]:
        """The columns that an UPDATE, or an INSERT's ON CONFLICT, sets."""
        sql = self.sql
        assigned = self.tree.args.get("expressions") or []
        if isinstance(self.tree, sql.Insert):
            conflict = self.tree.args.get("conflict")
            assigned = conflict.args.get("expressions") or [] if conflict is not None else []
        changed = set()
        for one in assigned:
            left = one.this if isinstance(one, sql.EQ) else one
            changed |= {column.name.lower() for column in left.find_all(sql.Column, sql.Identifier)}
        return changed

    def _inserted(self, table: Table) -> frozenset[str] | None:
        sql, target, values = self.sql, self.tree.this, self.tree.args.get("expression")
        if not isinstance(values, sql.Values) or table.drawn or table.parents or "insert" in table.triggers:
            return None
        if table.shared or self._changed() & {*table.key} or self.tree.find(sql.Subquery):
            return None
        named = isinstance(target, sql.Schema)
        columns = [one.name.lower() for one in target.expressions] if named else list(table.columns)
        keys = set()
        for row in values.expressions:
            cells = row.expressions if isinstance(row, sql.Tuple) else [row]
            if len(cells) > len(columns):
                return None
            given = dict(zip(columns, cells, strict=False))
            if not all(column in given for column in table.key):
                return None
            made = [self._constant(given[column]) for column in table.key]
            if None in made:
                return None
            keys.add(_joined([str(text) for text in made]))
        return frozenset(keys) if len(keys) <= MOST_KEYS else None

    def _pinned(self, table: Table) -> frozenset[str] | None:
        """The keys that the WHERE allows, by its equalities joined with AND."""
        where = self.tree.args.get("where")
        found: dict[str, set[str]] = {}
        for part in _conjuncts(self.sql, where.this) if where is not None else ():
            column, values = self._equality(part)
            if column in table.key and values is not None:
                found[column] = found[column] & values if column in found else values
        if set(found) != set(table.key):
            return None
        keys = frozenset(_joined(made) for made in product(*(sorted(found[column]) for column in table.key)))
        return keys if len(keys) <= MOST_KEYS else None

    def _equality(self, part: Any) -> tuple[str, set[str] | None]:
        sql = self.sql
        if isinstance(part, sql.EQ):
            left, right = part.this, part.expression
            if isinstance(right, sql.Column):
                left, right = right, left
            values = [right]
        elif isinstance(part, sql.In) and not part.args.get("query") and part.expressions:
            left, values = part.this, part.expressions
        else:
            return "", None
        if not isinstance(left, sql.Column):
            return "", None
        texts = [self._constant(value) for value in values]
        return left.name.lower(), None if None in texts else {str(text) for text in texts}

    def _constant(self, node: Any) -> str | None:
        sql = self.sql
        while isinstance(node, sql.Paren):
            node = node.this
        if isinstance(node, sql.Neg) and isinstance(node.this, sql.Literal) and not node.this.is_string:
            return key_text(f"-{node.this.this}")
        if not isinstance(node, sql.Literal):
            return None
        return key_text(node.this)

    # -- what else

    def _followed(self, changes: tuple[type, ...]) -> Iterator[Access]:
        """Tables that foreign keys make a change look at, or change, as far as they are known."""
        for change in self.tree.find_all(*changes):
            target = change.this
            while target is not None and not isinstance(target, self.sql.Table):
                target = target.this if hasattr(target, "this") and not isinstance(target.this, str) else None
            table = self.tables.get(target.name.lower()) if target is not None else None
            if table is None:
                continue
            plain = (
                isinstance(change, self.sql.Update)
                and change is self.tree
                and not self._changed() & ({*table.key} | table.shared)
            )
            if plain:
                continue  # neither key nor references change: no foreign key looks
            near, seen = {*table.parents, *table.children}, set()
            while near:
                name = near.pop()
                seen.add(name)
                yield Access(f"{self.alias}.{name}", True)
                near |= (self.tables[name].children if name in self.tables else frozenset()) - seen  # cascades

    def _plain(self) -> bool:
        """Whether it cannot fail: known columns of one table, whole numbers held against a key of whole numbers."""
        sql, tree, table = self.sql, self.tree, self._table()
        if table is None or not isinstance(tree, sql.Select) or tree.find(sql.Lock, sql.WithTableHint):
            return False
        parts = (sql.Select, sql.From, sql.Table, sql.TableAlias, sql.Identifier, sql.Column, sql.Star, sql.Alias)
        allowed = (*parts, sql.Where, sql.And, sql.EQ, sql.In, sql.Literal, sql.Count, sql.Paren)
        if not all(isinstance(node, allowed) for node in tree.walk()):
            return False
        columns = {column.name.lower() for column in tree.find_all(sql.Column) if not column.find(sql.Star)}
        where = tree.args.get("where")
        held = {column.name.lower() for column in where.find_all(sql.Column)} if where is not None else set()
        literals = [one for one in tree.find_all(sql.Literal) if one.is_string]
        return (
            columns <= set(table.columns)
            and all(table.columns[name].lower() in NUMBERS for name in held)
            and not literals
        )


def _conjuncts(sql: Any, node: Any) -> Iterator[Any]:
    while isinstance(node, sql.Paren):
        node = node.this
    if isinstance(node, sql.And):
        yield from _conjuncts(sql, node.this)
        yield from _conjuncts(sql, node.expression)
    else:
        yield node


def _joined(values: Any) -> str:
    made = tuple(values)
    return made[0] if len(made) == 1 else f"({', '.join(made)})"
