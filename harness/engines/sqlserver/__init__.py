"""SQL Server, through pyodbc and Microsoft's ODBC driver.

Written for SQL Server 2022 from Microsoft's documentation, and for what else speaks its protocol: Azure SQL, and Babelfish
(PostgreSQL behind TDS), which is asked through PostgreSQL's own views. :mod:`.probe` finds out which one it is.

| module | one job |
|---|---|
| `driver` | pyodbc, the ODBC driver, the connection string, the login |
| `text` | what a batch's text gives away |
| `faults` | what an error means |
| `session` | run a step |
| `observer` | who waits for whom, the lock table |
| `deadlocks` | SQL Server's own deadlock reports |
| `admin` | databases of the harness |
| `plans` | execution plans |
| `probe` | what the server is and shows |
| `babelfish` | where a Babelfish differs |
"""

from __future__ import annotations

from harness.engines.base import SessionOptions
from harness.engines.sqlserver import driver, text
from harness.engines.sqlserver.admin import SQLServerAdmin
from harness.engines.sqlserver.observer import SQLServerObserver
from harness.engines.sqlserver.plans import SQLServerBench, SQLServerExplainer
from harness.engines.sqlserver.session import SQLServerSession
from harness.vocabulary import LEVELS

__all__ = ["SQLServer", "SQLServerAdmin", "SQLServerObserver", "SQLServerSession"]


class SQLServer:
    """SQL Server 2016 and newer, and what speaks its protocol. Stateless."""

    name = "sqlserver"
    levels = LEVELS["sqlserver"]

    def admin(self, url: str, run: str) -> SQLServerAdmin:
        """Log in to make databases; ``url`` should name ``master`` or no database.

        Raises LoginRefused, ServerError (unreachable, not a URL), DriverMissing.
        """
        return SQLServerAdmin(url, run)

    def database_url(self, url: str, name: str) -> str:
        """The URL of the database ``name`` on the server of ``url``."""
        return driver.database_url(url, name)

    def open(self, url: str, options: SessionOptions) -> SQLServerSession:
        """Open a session at ``options.level`` and read the level back. Raises as :meth:`admin`, and EngineError."""
        return SQLServerSession(url, options)

    def observe(self, url: str, run: str) -> SQLServerObserver:
        """Open the connection that asks who waits for whom. Raises as :meth:`admin`, and EngineError."""
        return SQLServerObserver(url, run)

    def bench(self, url: str, run: str, *, disposable: bool) -> SQLServerBench:
        """Open a connection for plans without and with an index. Raises as :meth:`admin`."""
        return SQLServerBench(url, run)

    def explainer(self, url: str, run: str) -> SQLServerExplainer:
        """Open a connection for the plans of other sessions' statements. Raises as :meth:`admin`."""
        return SQLServerExplainer(url, run)

    def placeholder(self, number: int) -> str:
        """``?``, whatever its number."""
        return "?"

    def quote(self, identifier: str) -> str:
        """``[identifier]``, closing brackets in it doubled."""
        return text.quote(identifier)
