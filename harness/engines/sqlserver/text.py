"""What can be known of a T-SQL batch from its text alone: quoting, and whether it may touch the transaction.

Nothing here parses T-SQL. Comments, strings and quoted names are blanked out, then words are looked for; where the
words do not decide, the answer is the careful one (ask the server).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# Strings, quoted names and comments, in the order in which T-SQL's lexer would find them. T-SQL nests block
# comments; the innermost go first, until none is left.
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\[(?:[^\]]|\]\])*\]|--[^\n]*|/\*(?:(?!/\*).)*?\*/", re.DOTALL)

_BEGINS = re.compile(r"\bBEGIN\s+(?:DISTRIBUTED\s+)?TRAN(?:SACTION)?\b")
_COMMITS = re.compile(r"\bCOMMIT\b")
_ROLLS_BACK = re.compile(r"\bROLLBACK\b")
_TOUCHES = re.compile(r"\b(?:COMMIT|ROLLBACK|SAVE|EXEC|EXECUTE|IMPLICIT_TRANSACTIONS)\b")
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO)\b")

# A batch may begin with the bare name of a procedure (EXECUTE is optional there), so any other first word is asked about.
_STATEMENTS = frozenset(
    re.findall(
        r"\w+",
        "SELECT INSERT UPDATE DELETE MERGE WITH SET DECLARE PRINT IF WHILE BEGIN CREATE ALTER DROP TRUNCATE USE WAITFOR "
        "RAISERROR THROW GRANT REVOKE DENY DBCC OPEN FETCH CLOSE DEALLOCATE",
    )
)

# Words that may end a wait of somebody else, and first words of statements that cannot (see `Reading.keeps_locks`).
_LETS_GO = re.compile(
    r"\b(?:COMMIT|ROLLBACK|SAVE|EXEC|EXECUTE|IMPLICIT_TRANSACTIONS|KILL|USE|ALTER|DROP|CREATE|TRUNCATE|DBCC|OPEN|FETCH|CLOSE"
    r"|DEALLOCATE|GRANT|REVOKE|DENY|OPENQUERY|OPENROWSET|OPENDATASOURCE|WAITFOR|RECEIVE|SHUTDOWN|RESTORE|PG_\w+)\b"
)
_READS = frozenset({"SELECT", "WITH", "SET", "DECLARE", "PRINT"})


def quote(identifier: str) -> str:
    """An identifier in brackets, closing ones doubled: nothing in it can be read as SQL.

    https://learn.microsoft.com/sql/t-sql/functions/quotename-transact-sql

    >>> quote("psh_k3x9_1"), quote("a]b")
    ('[psh_k3x9_1]', '[a]]b]')
    """
    return "[" + identifier.replace("]", "]]") + "]"


def bare(sql: str) -> str:
    """``sql`` in capitals without comments, strings and quoted names: only words that are syntax (or plain names).

    >>> bare("SELECT 'commit' AS [rollback] -- save").split()
    ['SELECT', 'AS']
    """
    text = sql
    while True:
        stripped = _QUOTED.sub(" ", text)
        if stripped == text:
            return text.upper()
        text = stripped


@dataclass(frozen=True, slots=True)
class Reading:
    """What the text of a batch gives away.

    ``asks``: the number of open transactions must be asked for afterwards, because the text may have changed it.
    ``restarts``: an ending comes before the first beginning (``COMMIT; BEGIN TRAN``).
    ``keeps_locks``: no session that was already waiting when the batch began can go on because of it.
    """

    asks: bool
    implicit: bool
    begins: bool
    commits: bool
    rolls_back: bool
    restarts: bool
    writes: bool
    keeps_locks: bool


@lru_cache(maxsize=1024)
def read(sql: str) -> Reading:
    """Read a batch.

    ``keeps_locks`` is the case only for statements that read or set, for this reason. A session W that was already
    waiting when the batch began waits for a lock of another session. If that lock is not ours, nothing we do frees W.
    If it is ours, we held it before the batch began. SQL Server releases such a lock when our transaction ends
    (excluded: the batch has none of the words that end one, and calls nothing), when a cursor moves or closes, when
    the session changes its database, when an application lock is released by a procedure, or by DDL (all excluded
    by their words). A SELECT under locking READ COMMITTED does give back its shared locks at once or at the end of
    the statement, but those it took itself, after W began to wait. Lock escalation swaps our row locks for a table lock
    only if no one else holds an incompatible lock on the table, and W, waiting for a row, holds an intent lock there.

    Statements that write are left out although their locks stay to the end of the transaction: a trigger may run any
    procedure, even COMMIT and begin anew. Asking about W once too often costs a round trip; not asking could
    cost the order of the schedule.

    What began to wait while the batch itself was blocked is not covered; the coordinator sees that, the session cannot.

    https://learn.microsoft.com/sql/relational-databases/sql-server-transaction-locking-and-row-versioning-guide
    """
    text = bare(sql)
    words = re.findall(r"[A-Z_@#][\w@#$]*", text)
    first = words[0] if words else ""
    begins, commits, rolls_back = _BEGINS.search(text), _COMMITS.search(text), _ROLLS_BACK.search(text)
    ends = [match.start() for match in (commits, rolls_back) if match]
    writes = bool(_WRITES.search(text))
    return Reading(
        asks=bool(begins or _TOUCHES.search(text)) or first not in _STATEMENTS,
        implicit="IMPLICIT_TRANSACTIONS" in words,
        begins=bool(begins),
        commits=bool(commits),
        rolls_back=bool(rolls_back),
        restarts=bool(begins and ends and min(ends) < begins.start()),
        writes=writes,
        keeps_locks=first in _READS and not writes and not begins and not _LETS_GO.search(text),
    )
