"""A login for a while on PostgreSQL: a role that is a member of one other, dropped when its maker is done with it."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType

import psycopg

from harness.errors import LoginRefused, ServerError
from harness.servers.cutting import cut_after
from harness.servers.roles import Connection, drop_role, make_role, with_login
from harness.servers.urls import scrub

_SESSIONS = 40
_CONNECT = 5  # seconds
_PATIENCE = 10.0
"""Seconds for what keeping needs of a server."""


class PostgreSQLLogin:
    """The URL of the new role ``name``, a member of ``group`` and of nothing else.

    Entering raises LoginRefused if it cannot be made, ServerError if the server does not answer; one line, without secrets.
    Roles that begin with ``prefix`` and whose maker is not connected any more are dropped first.
    """

    def __init__(self, url: str, name: str, group: str, prefix: str, valid: timedelta | None) -> None:
        self._admin, self._name, self._group, self._prefix, self._valid = url, name, group, prefix, valid
        self._password = secrets.token_urlsafe(24)
        self.url = with_login(url, name, self._password)
        """Works once the role is made."""
        self._link: Connection | None = None
        self._one_at_a_time = threading.Lock()
        self._over = False

    def __repr__(self) -> str:
        return f"<login {self._name} of {self._group}>"

    def __enter__(self) -> str:
        with self._one_at_a_time:
            self._connect()
            try:
                with self._said(), cut_after(self._there(), 6 * _PATIENCE):
                    self._sweep()
                    self._make()
            except ServerError:
                self._let_go()
                raise
        return self.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._one_at_a_time:
            self._over = True
            self._drop()
            self._let_go()

    def keep(self) -> None:
        """Connect again if that was lost, make the role again if it is gone. Raises LoginRefused, ServerError."""
        with self._one_at_a_time:
            if self._over:
                return
            if not self._is_there():
                self._connect()
                with self._said(), cut_after(self._there(), 6 * _PATIENCE):
                    self._sweep()
                    if not self._known():
                        self._make()

    def _is_there(self) -> bool:
        """Whether the connection and the role are; if not, the connection is let go."""
        if self._link is not None:
            with contextlib.suppress(psycopg.Error), cut_after(self._link, _PATIENCE):
                if self._known():
                    return True
            self._let_go()
        return False

    def _there(self) -> Connection:
        if self._link is None:
            raise ServerError("the server does not answer")
        return self._link

    def _known(self) -> bool:
        found = self._there().execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [self._name])
        return found.fetchone() is not None

    def _connect(self) -> None:
        self._let_go()
        try:
            self._link = psycopg.connect(
                self._admin,
                autocommit=True,
                connect_timeout=_CONNECT,
                application_name=self._maker(self._name),
                options="-c statement_timeout=20s",
            )
        except psycopg.Error:
            raise ServerError("the server does not answer") from None

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """The server's errors as ours."""
        try:
            yield
        except psycopg.Error as error:
            if self._link is None or self._link.closed:
                raise ServerError("the server does not answer") from None
            line = " ".join(str(error).split("\n")[0].split())
            raise LoginRefused(scrub(scrub(line, self._admin), self.url)) from None

    def _make(self) -> None:
        until = datetime.now(UTC) + self._valid if self._valid is not None else None
        make_role(self._there(), self._name, [self._group], most=_SESSIONS, until=until, password=self._password)

    def _drop(self) -> None:
        """Drop our role; never raises: what cannot be dropped is swept by the next, and expires if it has a last moment."""
        with contextlib.suppress(psycopg.Error):
            if self._link is not None and not self._link.closed:
                with cut_after(self._link, 6 * _PATIENCE):
                    drop_role(self._link, self._name)
                return
        # The connection was lost meanwhile: the server may be there again.
        with contextlib.suppress(psycopg.Error, ServerError):
            self._connect()
            with cut_after(self._there(), 6 * _PATIENCE):
                drop_role(self._there(), self._name)

    def _sweep(self) -> None:
        """Drop the roles whose maker is not connected any more."""
        link = self._there()
        rows = link.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [self._prefix]).fetchall()
        makers = link.execute(
            "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, 'psh:' || %s)",
            [self._prefix],
        ).fetchall()
        living = {name for (name,) in makers}
        for (role,) in rows:
            if self._maker(role) not in living:
                with contextlib.suppress(
                    psycopg.Error
                ):  # another one may sweep too; somebody else's role of such a name
                    drop_role(link, role)

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(psycopg.Error):
                link.close()

    @staticmethod
    def _maker(name: str) -> str:
        return f"psh:{name}/admin"
