"""The T-SQL and the PostgreSQL files of PromptAds and PromptCrm declare the same tables, columns, keys, checks and indexes.

The texts are parsed (sqlglot), so this needs no server of either kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

SCHEMAS = Path(__file__).parents[2] / "schemas"
LOGICAL = ("promptads", "promptcrm")
DIALECT = {"sqlserver": "tsql", "postgresql": "postgres"}

AS_POSTGRESQL = {
    "NVARCHAR": "VARCHAR",  # PostgreSQL's varchar holds any text
    "FLOAT": "DOUBLE",  # T-SQL's float is float(53)
    "DATETIME2": "TIMESTAMP",
    "VARBINARY": "VARBINARY",  # sqlglot's name for bytea, which has no length
    "UNIQUEIDENTIFIER": "UUID",
    "ROWVERSION": "XID8",  # what counts the changes: SQL Server gives each a number, PostgreSQL each transaction
    "BINARY(8)": "XID8",  # one of these numbers that does not change
}
"""The documented map of types, T-SQL to PostgreSQL; every other type has one name and the same length on both."""

_CHANGES = {"changes_since", "purge_tombstones", "renew_origin"}
ROUTINES = {"promptads": _CHANGES, "promptcrm": {"register_sales", *_CHANGES}}
"""What both engines offer to be called, by the files that need no right on the server."""


@dataclass
class Table:
    """A table as declared; names of constraints to what they hold."""

    columns: list[tuple[str, str, bool, bool]] = field(default_factory=list)  # name, type, nullable, has a default
    constraints: dict[str, str] = field(default_factory=dict)


@dataclass
class Declared:
    """What the files of one database declare on one engine."""

    tables: dict[str, Table] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


def texts(logical: str, engine: str) -> dict[str, str]:
    """The numbered files, by name."""
    return {file.name: file.read_text() for file in sorted((SCHEMAS / logical / engine).glob("[0-9]*.sql"))}


def declared(texts: dict[str, str], engine: str) -> Declared:
    """Read the tables and indexes out of the files ``10_…`` and ``20_…``."""
    found = Declared()
    for name, text in texts.items():
        if name.startswith(("10_", "20_")):
            text = re.sub(r"(?m)^(GO|SET .*;)$", "", text)
            for tree in sqlglot.parse(text, dialect=DIALECT[engine]):
                if tree is not None and not isinstance(tree, exp.Semicolon):  # a comment after the last ;
                    _read(tree, found)
    return found


def _read(tree: exp.Expression, found: Declared) -> None:
    assert isinstance(tree, exp.Create), tree.sql()
    if tree.kind == "INDEX":
        index = tree.this
        where = index.args["params"].args.get("where")
        columns = [column.this.name for column in index.args["params"].args["columns"]]
        found.indexes[index.name] = (
            f"{'unique ' if tree.args.get('unique') else ''}on {index.args['table'].name} ({', '.join(columns)})"
            f"{' ' + _sql(where) if where else ''}"
        )
        return
    assert tree.kind == "TABLE", tree.sql()
    table = found.tables[tree.this.this.name] = Table()
    for part in tree.this.expressions:
        if isinstance(part, exp.ColumnDef):
            _column(part, table)
        else:
            assert isinstance(part, exp.Constraint), part.sql()
            table.constraints[part.name] = " ".join(_kind(kind, []) for kind in part.expressions)


def _column(part: exp.ColumnDef, table: Table) -> None:
    nullable, default = True, False
    for constraint in part.constraints:
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint):
            nullable = bool(kind.args.get("allow_null"))
        elif isinstance(kind, exp.DefaultColumnConstraint):
            default = True  # its name exists on SQL Server only, its text is each engine's own
        elif isinstance(kind, exp.GeneratedAsIdentityColumnConstraint):
            nullable, default = False, True  # PostgreSQL's says NOT NULL by itself
        else:
            assert constraint.name, f"without a name: {part.sql()}"
            nullable = nullable and not isinstance(kind, exp.PrimaryKeyColumnConstraint)
            table.constraints[constraint.name] = _kind(kind, [part.name])
    default = default or part.kind.this.name == "ROWVERSION"  # SQL Server fills it by itself
    table.columns.append((part.name, _type(part.kind), nullable, default))


def _kind(kind: exp.Expression, columns: list[str]) -> str:
    """A constraint in words: the same ones whether it stands at its column or below all of them."""
    if isinstance(kind, exp.CheckColumnConstraint):
        return f"check {_sql(kind.this)}"
    if isinstance(kind, exp.Reference):
        target = kind.this
        return f"foreign key {columns} to {target.this.name} {[column.name for column in target.expressions]}"
    if isinstance(kind, exp.ForeignKey):
        return _kind(kind.args["reference"], [column.name for column in kind.expressions])
    if isinstance(kind, exp.PrimaryKeyColumnConstraint | exp.PrimaryKey):
        return f"primary key {columns or [column.name for column in kind.expressions]}"
    assert isinstance(kind, exp.UniqueColumnConstraint), repr(kind)
    return f"unique {columns or [column.name for column in kind.this.expressions]}"


def _type(kind: exp.DataType) -> str:
    if kind.this is exp.DataType.Type.USERDEFINED:  # a name that sqlglot does not know: PostgreSQL's xid8
        return str(kind.args["kind"].name).upper()
    name = AS_POSTGRESQL.get(kind.this.name, kind.this.name)
    length = "" if name == "VARBINARY" else ", ".join(part.name for part in kind.expressions)
    written = f"{name}({length})" if length else name
    return AS_POSTGRESQL.get(written, written)


def _sql(tree: exp.Expression) -> str:
    # The two dialects give IS NOT NULL different trees.
    return re.sub(r"\bNOT (\w+) IS NULL", r"\1 IS NOT NULL", tree.sql(dialect="postgres", comments=False))


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """What the files of SQL Server (``one``) and of PostgreSQL declare differently, a line each."""
    a, b = declared(one, "sqlserver"), declared(other, "postgresql")
    found = _unequal("index", a.indexes, b.indexes) + _unequal(
        "table", dict.fromkeys(a.tables), dict.fromkeys(b.tables)
    )
    for name in a.tables.keys() & b.tables.keys():
        found += _unequal(f"{name}: constraint", a.tables[name].constraints, b.tables[name].constraints)
        if a.tables[name].columns != b.tables[name].columns:
            found.append(f"{name}: columns {a.tables[name].columns} != {b.tables[name].columns}")
    return found


def _unequal(what: str, one: dict, other: dict) -> list[str]:  # type: ignore[type-arg]
    return [
        f"{what} {name}: {one.get(name, 'not on SQL Server')} != {other.get(name, 'not on PostgreSQL')}"
        for name in sorted(one.keys() | other.keys())
        if name not in one or name not in other or one[name] != other[name]
    ]


@pytest.mark.parametrize("logical", LOGICAL)
def test_both_engines_declare_the_same(logical: str) -> None:
    found = declared(texts(logical, "sqlserver"), "sqlserver")
    assert {"promptads": (9, 10), "promptcrm": (12, 21)}[logical] == (len(found.tables), len(found.indexes))
    assert differences(texts(logical, "sqlserver"), texts(logical, "postgresql")) == []


@pytest.mark.parametrize("engine", DIALECT)
@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("10_tables.sql", "referred_by int NULL", "referred_by bigint NULL", "client: columns"),
        ("10_tables.sql", "campaign_id int NULL", "campaign_id int NOT NULL", "client: columns"),
        ("10_tables.sql", "stage varchar(12)", "stage varchar(13)", "opportunity: columns"),
        ("10_tables.sql", re.compile("(CONSTRAINT \\w+ )?DEFAULT 0"), "", "client: columns"),
        ("10_tables.sql", "    closed_on date NULL,\n", "", "opportunity: columns"),
        ("10_tables.sql", "fk_contact_client", "fk_contact", "contact: constraint fk_contact:"),
        ("10_tables.sql", "CONSTRAINT uq_product_code UNIQUE", "", "product: constraint uq_product_code:"),
        ("10_tables.sql", "(sale_id, line_no)", "(line_no, sale_id)", "sale_line: constraint pk_sale_line:"),
        (
            "10_tables.sql",
            "CHECK (quantity > 0)",
            "CHECK (quantity >= 0)",
            "sale_line: constraint ck_sale_line_quantity:",
        ),
        ("10_tables.sql", "'cancelled'", "'canceled'", "sale: constraint ck_sale_status:"),
        ("20_indexes.sql", "(latitude, longitude)", "(longitude, latitude)", "index ix_client_place:"),
        ("20_indexes.sql", "CREATE UNIQUE INDEX", "CREATE INDEX", "index ux_client_tax_id_hash:"),
        ("20_indexes.sql", " WHERE tax_id_hash IS NOT NULL", "", "index ux_client_tax_id_hash:"),
        ("20_indexes.sql", "ix_sale_status ", "ix_sale_state ", "index ix_sale_state:"),
        ("20_indexes.sql", re.compile("CREATE INDEX ix_sale_line_.*;"), "", "index ix_sale_line_product_id:"),
        ("10_tables.sql", re.compile("CREATE TABLE (dbo.)?seed_range.*?\\);", re.DOTALL), "", "table seed_range:"),
        (
            "10_tables.sql",
            re.compile("REFERENCES (dbo.)?city"),
            "REFERENCES product",
            "client: constraint fk_client_city:",
        ),
    ],
    ids=lambda value: re.sub(r"\W+", "-", getattr(value, "pattern", value)).strip("-") if value else "nothing",
)
def test_a_difference_on_either_side_is_found(
    engine: str, file: str, old: str | re.Pattern[str], new: str, named: str
) -> None:
    sides = {name: texts("promptcrm", name) for name in DIALECT}
    pattern = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
    sides[engine][file], changed = pattern.subn(new, sides[engine][file], count=1)
    assert changed, "the text to break is not there"
    found = differences(sides["sqlserver"], sides["postgresql"])
    assert any(line.startswith(named) for line in found), found


@pytest.mark.parametrize("logical", LOGICAL)
@pytest.mark.parametrize("engine", DIALECT)
def test_tables_and_indexes_are_declared_nowhere_else(logical: str, engine: str) -> None:
    for name, text in texts(logical, engine).items():
        if not name.startswith(("10_", "20_")):
            assert not re.search(r"(?im)^create\s+(unique\s+)?(table|index)\b", text), name


@pytest.mark.parametrize("logical", LOGICAL)
@pytest.mark.parametrize("engine", DIALECT)
def test_both_engines_offer_the_same_routines(logical: str, engine: str) -> None:
    text = "\n".join(texts(logical, engine).values())
    names = set(re.findall(r"(?im)^create\s+(?:or\s+\w+\s+)?(?:function|procedure|proc)\s+(?:dbo\.)?(\w+)", text))
    assert names >= ROUTINES[logical]


@pytest.mark.parametrize("logical", LOGICAL)
def test_both_engines_answer_the_same_questions(logical: str) -> None:
    names = {
        engine: {file.stem for file in (SCHEMAS / logical / engine / "queries").glob("*.sql")} for engine in DIALECT
    }
    assert names["sqlserver"] == names["postgresql"] != set()
