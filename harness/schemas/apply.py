"""Apply a schema's files to a database that is there and has nothing of them yet."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from harness.engines.base import Engine, SessionOptions, Statement
from harness.errors import DataError
from harness.schemas.files import Script


def apply(engine: Engine, url: str, scripts: Iterable[Script], run: str = "schema") -> None:
    """Run every part of ``scripts`` on the database ``url``, in order; each PostgreSQL file is one transaction.

    ``run`` is the name of the connection. Raises DataError with file and line of the part that failed; what came before
    it stays.
    """
    options = SessionOptions(f"psh:{run}/schema", engine.levels[0], as_text=engine.name == "postgresql")
    with closing(engine.open(url, options)) as session:
        for script in scripts:
            for line, body in script.parts:
                error = session.run(Statement(body)).error
                if error is not None:
                    detail = f" ({' '.join(error.detail.split())})" if error.detail else ""
                    raise DataError(f"{script.where(line)}: {error.code} {error.message}{detail}")
