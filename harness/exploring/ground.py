"""A database that the schedules of a case are run on one after the other, emptied in between.

Making and dropping one for each takes longer than all else of a small schedule. It is done where emptying surely leaves what
a new database has: on PostgreSQL, if neither set-up nor steps make anything that lies outside of schemas.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from harness.engines.base import Session, SessionOptions, Statement
from harness.errors import HarnessError
from harness.runner.databases import Made
from harness.scenario.model import Case
from harness.suite import Suite

_OUTSIDE = re.compile(
    r"\b(extension|language|cast|publication|subscription|server|wrapper|database|role|user|group|tablespace|system"
    r"|event\s+trigger|access\s+method|transform|prepare\s+transaction|large\s+object|lo_\w+|privileges|owned|owner"
    r"|authorization|grant|revoke|drop\s+schema|pg_\w+)\b|(^|;)\s*do\b",
    re.IGNORECASE,
)
"""Words of a statement that may make, or change, what lies in no schema, or the schema ``public`` itself."""

_NEW = (
    "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema') "
    "+ (SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass "
    "AND refobjid = 'public'::regnamespace)"
)
"""1 in a database that has only an empty ``public``."""

_SCHEMAS = (
    "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
)

_PUBLIC = (
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    "COMMENT ON SCHEMA public IS 'standard public schema'",
)


class Ground:
    """Lends a database to one schedule after the other; none where each one needs its own. Belongs to one thread."""

    def __init__(self, suite: Suite, case: Case) -> None:
        self._suite = suite
        self._case = case
        self._made: Made | None = None
        self._control: Session | None = None
        self._fits = reusable(case) and not suite.hosts
        self._fresh = False

    def lend(self) -> Made | None:
        """An empty database; None if the schedule is to have one of its own. Raises as making one does."""
        if not self._fits:
            return None
        if self._made is None:
            self._make()
        elif not self._fresh and not self._emptied():
            self.forget()
            self._make()
        self._fresh = False
        return self._made

    def _make(self) -> None:
        placed = self._case.databases[0]
        made = self._suite.databases.make(placed.logical, [placed.level])
        self._made = made
        options = SessionOptions(f"psh:{self._suite.settings.run_id}/ground", made.engine.levels[0])
        self._control = made.engine.open(made.url, options)
        if self._asked(_NEW) != [[1]]:  # whoever made the server put something into what databases are copied from
            self._fits = False
            self.forget()
            return
        self._fresh = True

    def _emptied(self) -> bool:
        schemas = self._asked(_SCHEMAS)
        if schemas is None:
            return False
        drop = [f"DROP SCHEMA {', '.join(row[0] for row in schemas)} CASCADE"] if schemas else []
        works = ["SET lock_timeout = '2s'", *drop, *_PUBLIC]
        return all(self._asked(statement) is not None for statement in works)

    def _asked(self, statement: str) -> list[list[Any]] | None:
        """The rows; None if the server refused."""
        assert self._control is not None
        outcome = self._control.run(Statement(statement))
        if outcome.error is not None:
            return None
        return [list(row) for result in outcome.results for row in result.rows]

    def forget(self) -> None:
        """What the schedule left is nothing to begin with: the next one gets another database. Never raises."""
        made, self._made = self._made, None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if made is not None:
            with contextlib.suppress(HarnessError):  # a dead server has nothing to be dropped
                self._suite.databases.drop(made)

    close = forget


def reusable(case: Case) -> bool:
    """Whether a database can be emptied after the case, so that it is as one that was just made."""
    scenario = case.scenario
    if len(case.databases) != 1 or case.engine != "postgresql" or scenario.data or scenario.database_name:
        return False
    return not any(_OUTSIDE.search(text) for text in _statements(case))


def _statements(case: Case) -> Iterator[str]:
    scenario = case.scenario
    for by_alias in (scenario.setup, scenario.teardown):
        for statements in by_alias.values():
            yield from map(str, statements.get(case.engine, statements.get("*", ())))
    for session in scenario.sessions:
        for step in (*session.setup, *session.steps, *session.teardown):
            yield str(step.body(case.engine) or "")
