"""The queries of PromptSales's SQL databases: found by name, described, and translated to what a driver takes.

A query is a file ``schemas/<logical>/<engine>/queries/<name>.sql``. Its first line is a comment that says which question it
answers. Its parameters are written ``:name`` (PostgreSQL) or ``@name`` (SQL Server), and are always bound, never put into
the text. :meth:`Query.bind` gives what psycopg (``%(name)s``) or pyodbc (``?``) is called with:

    query = find("promptcrm", "postgresql", "best_clients")
    rows = connection.execute(*query.bind(day_first=…, day_last=…, places=3)).fetchall()
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import DataError, did_you_mean
from harness.schemas import PROMPTSALES
from harness.vocabulary import LOGICAL

# Whatever holds no parameter, as the two lexers would find it: strings, quoted names, comments, PostgreSQL's casts and
# dollar-quoted texts, T-SQL's own variables (@@ROWCOUNT). T-SQL's [names] are not PostgreSQL's array[…] subscripts.
_QUIET = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/"
_TOKENS = {
    "postgresql": re.compile(
        rf"(?P<quiet>{_QUIET}|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|::|:=)|:(?P<name>[A-Za-z_]\w*)", re.DOTALL
    ),
    "sqlserver": re.compile(rf"(?P<quiet>{_QUIET}|\[[^\]]*\]|::|@@\w+)|@(?P<name>[A-Za-z_]\w*)", re.DOTALL),
}

_COMMENT = re.compile(r"(?:--|/\*).*", re.DOTALL)


class Bound(NamedTuple):
    """What to call a driver's ``execute`` with: psycopg takes a mapping, pyodbc a list in the order of the ``?``."""

    sql: str
    values: dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one database on one engine."""

    logical: str
    engine: str  # "postgresql", "sqlserver"
    name: str
    text: str = field(repr=False)

    @property
    def answers(self) -> str:
        """The question that it answers: its first comment line.

        >>> Query("promptads", "postgresql", "one", "-- Which one? (FLOOR)\\nSELECT 1").answers
        'Which one? (FLOOR)'
        """
        return self.text.partition("\n")[0].removeprefix("--").strip()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters, in the order in which they first appear.

        >>> Query("promptads", "postgresql", "one", "SELECT :b::int, ':c', :a, :b").parameters
        ('b', 'a')
        """
        return tuple(dict.fromkeys(self._names()))

    def bind(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> Bound:
        """The query in the driver's form, and its values in the driver's order.

        Raises DataError if a parameter is missing or there is none of that name.

        >>> Query("promptads", "sqlserver", "one", "SELECT @b, @a, @b").bind(a=1, b=2)
        Bound(sql='SELECT ?, ?, ?', values=[2, 1, 2])
        """
        given = {**(values or {}), **named}
        known = self.parameters
        for name in given.keys() - set(known):
            raise DataError(f"{self} has no parameter {name!r}{did_you_mean(name, known)}; {self._takes()}")
        if missing := [name for name in known if name not in given]:
            raise DataError(f"{self} needs {', '.join(missing)}; {self._takes()}")
        tokens = _TOKENS[self.engine]
        if self.engine == "sqlserver":
            # Without comments: a question ends with what pyodbc takes for a parameter.
            sql = tokens.sub(lambda found: "?" if found["name"] else _COMMENT.sub(" ", found[0]), self.text)
            return Bound(sql.strip(), [given[name] for name in self._names()])
        # psycopg reads the whole text for %, comments and strings too.
        sql = tokens.sub(
            lambda found: f"\0({found['name']})s" if found["name"] else found[0], self.text.replace("\0", "")
        )
        return Bound(sql.replace("%", "%%").replace("\0", "%"), given)

    def _names(self) -> Iterator[str]:
        return (found["name"] for found in _TOKENS[self.engine].finditer(self.text) if found["name"])

    def _takes(self) -> str:
        return f"it takes {', '.join(self.parameters)}" if self.parameters else "it takes none"

    def __str__(self) -> str:
        return f"the query {self.name} of {self.logical} on {self.engine}"


def known(logical: str, engine: str, root: Path = PROMPTSALES) -> tuple[Query, ...]:
    """All queries of a database on an engine, by name; none if it has none.

    Raises DataError for an unknown database or engine, or if a file cannot be read or does not begin with a comment.
    """
    return tuple(_read(logical, engine, file) for file in sorted(_folder(logical, engine, root).glob("*.sql")))


def find(logical: str, engine: str, name: str, root: Path = PROMPTSALES) -> Query:
    """The query of that name. Raises DataError as :func:`known` does, and if there is no such query."""
    files = {file.stem: file for file in _folder(logical, engine, root).glob("*.sql")}
    if name not in files:
        names = ", ".join(sorted(files)) or "none"
        raise DataError(f"{logical} on {engine} has no query {name!r}{did_you_mean(name, files)}; there are: {names}")
    return _read(logical, engine, files[name])


def _folder(logical: str, engine: str, root: Path) -> Path:
    for what, word, words in (("database", logical, LOGICAL), ("engine with queries in SQL", engine, tuple(_TOKENS))):
        if word not in words:
            raise DataError(f"there is no {what} {word!r}{did_you_mean(word, words)}: {', '.join(words)}")
    return root / logical / engine / "queries"


def _read(logical: str, engine: str, file: Path) -> Query:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{file}: cannot be read: {problem}") from None
    query = Query(logical, engine, file.stem, text)
    if not text.startswith("--") or not query.answers:
        raise DataError(f"{file}:1:1: must begin with a comment that says what the query answers")
    return query
