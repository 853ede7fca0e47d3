"""Apply a schema's files to a database that is there and has nothing of them yet.

PostgreSQL gets all of them in one transaction: whoever is killed meanwhile leaves nothing. SQL Server cannot take a linked
server or a master key in one, MongoDB and Redis have none for this: there what came before stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from harness.engines.base import Engine, SessionOptions, Statement, Verb
from harness.errors import DataError
from harness.schemas.files import Script


def apply(engine: Engine, url: str, scripts: Iterable[Script], run: str = "schema") -> None:
    """Run every part of ``scripts`` on the database ``url``, in order.

    ``run`` is the name of the connection. Raises DataError with file and line of the part that failed.
    """
    whole = engine.name == "postgresql"
    options = SessionOptions(f"psh:{run}/schema", engine.levels[0], as_text=whole)
    with closing(engine.open(url, options)) as session:
        if whole:
            session.run(Statement(Verb.begin))
        for script in scripts:
            for line, body in script.parts:
                error = session.run(Statement(body)).error
                if error is not None:
                    detail = f" ({' '.join(error.detail.split())})" if error.detail else ""
                    raise DataError(f"{script.where(line)}: {error.code} {error.message}{detail}")
        if whole and (error := session.run(Statement(Verb.commit)).error):
            raise DataError(f"the schema cannot be kept: {error.code} {error.message}")
