"""Whether an SQL statement's answer may show the physical order of rows, which every write of one of them changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from harness.scenario.conflicts_model import DECIMALS, MOMENTS, NUMBERS, Table


def shows_order(
    tree: Any, keys: Collection[str] | None, table: Table | None, tables: Sequence[Table | None], *, writes: bool
) -> bool:
    """Whether rows could come, be summed, or be locked, in an order that depends on how they lie.

    ``tree``: the statement, parsed by sqlglot. ``keys``: of the rows that it is about, None for any. ``table``: the one
    that it is about, if there is one and it is known; ``tables``: all that it names, None for one that is not known.
    """
    from sqlglot import expressions as sql

    if keys is not None and len(keys) <= 1:
        return False
    if isinstance(tree, sql.Insert) and keys is not None:
        return False
    order = tree.args.get("order")
    if table is not None and table.key and order is not None and not tree.find(sql.Distinct, sql.Group):
        by = {one.this.name.lower() for one in order.expressions if isinstance(one.this, sql.Column)}
        renamed = {
            one.alias.lower()
            for one in tree.find_all(sql.Alias)
            if not isinstance(one.this, sql.Column) or one.this.name.lower() != one.alias.lower()
        }
        if by - renamed >= {*table.key}:
            return False
    if writes or not isinstance(tree, sql.Select):
        return True
    if tree.find(sql.Limit, sql.Fetch, sql.Offset, sql.Distinct, sql.Group, sql.Window, sql.Subquery, sql.With):
        return True
    if any(not _is_exact(found, tables) for found in tree.find_all(sql.AggFunc)):
        return True
    return any(
        projection.find(sql.AggFunc) is None
        or any(column.find_ancestor(sql.AggFunc) is None for column in projection.find_all(sql.Column, sql.Star))
        for projection in tree.expressions
    )


def _is_exact(aggregate: Any, tables: Sequence[Table | None]) -> bool:
    """Whether it is the same in any order of the rows: sums of floating-point numbers are not, nor is the writing of a
    least or greatest one of equal ones."""
    from sqlglot import expressions as sql

    if isinstance(aggregate, sql.Count):
        return True
    if not isinstance(aggregate, (sql.Sum, sql.Avg, sql.Min, sql.Max)):
        return False
    parts = (sql.Column, sql.Identifier, sql.Literal, sql.Add, sql.Sub, sql.Mul, sql.Neg, sql.Paren)
    if not all(node is aggregate or isinstance(node, parts) for node in aggregate.walk()):
        return False
    exact = NUMBERS | DECIMALS if isinstance(aggregate, (sql.Sum, sql.Avg)) else NUMBERS | MOMENTS
    return all(_types(column.name.lower(), tables) <= exact for column in aggregate.find_all(sql.Column))


def _types(column: str, tables: Sequence[Table | None]) -> set[str]:
    """The types that a column may have, whichever table it is of; an empty one if that cannot be told."""
    found = {
        table.columns[column].lower().partition("(")[0].strip() if table is not None else ""
        for table in tables
        if table is None or column in table.columns
    }
    return found or {""}
