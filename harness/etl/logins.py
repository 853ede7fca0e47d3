"""The logins by which the ETL goes in: of its own on every SQL server, with a random password and the rights of one role.

Whoever makes them stays connected for as long as they are wanted, under a name that says so; the next one takes away those
whose maker is not there any more. MongoDB and Redis, and servers whose URL names somebody who may make no logins, are gone
into by that URL's own login, and that is said.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from harness.errors import HarnessError, LoginRefused, ServerError
from harness.etl.logins_sqlserver import sqlserver_login
from harness.servers.base import Target
from harness.servers.roles import Connection, drop_role, make_role, with_login
from harness.servers.urls import scrub

GROUPS = {"promptsales": "promptsales_etl", "promptads": "promptads_etl", "promptcrm": "promptcrm_etl"}
"""The role of each database whose rights the ETL's login has, and no others."""

PREFIX = "psh_etl_"
VALID = timedelta(hours=12)
"""How long a password is taken: longer than any round, for a login that nobody could drop."""

_SESSIONS = 40


@dataclass(frozen=True, slots=True)
class Entered:
    """Servers as the ETL goes into them, and what is to be said of it, a line each."""

    targets: Mapping[str, Target]
    notes: tuple[str, ...]
    own: tuple[str, ...]
    """The databases that have a login of their own."""


@contextlib.contextmanager
def logins(targets: Mapping[str, Target]) -> Iterator[Entered]:
    """These servers with logins of the ETL's own; at the end they are dropped, and whoever is in by them is put out.

    A server that does not answer is left as it is: whoever uses it will say so.
    """
    entered = dict(targets)
    notes: list[str] = []
    own: list[str] = []
    with contextlib.ExitStack() as stack:
        for logical, group in GROUPS.items():
            target = targets.get(logical)
            if target is None:
                continue
            name = f"{PREFIX}{secrets.token_hex(6)}"
            make = _LOGINS[target.engine]
            try:
                url = stack.enter_context(make(target.url, name, group))
            except _Away:
                continue
            except _Refused as why:
                notes.append(f"{logical}: no login of its own, the ETL uses the URL's: {why}")
                continue
            entered[logical] = replace(target, url=url)
            own.append(logical)
        yield Entered(entered, tuple(notes), tuple(own))


class _Refused(Exception):
    """A server makes no login for us; why, in one line without passwords."""


class _Away(Exception):
    """A server does not answer."""


@contextlib.contextmanager
def _postgresql(url: str, name: str, group: str) -> Iterator[str]:
    try:
        link: Connection = psycopg.connect(
            url, autocommit=True, connect_timeout=5, application_name=_maker(name), options="-c statement_timeout=20s"
        )
    except psycopg.Error as error:
        raise _Away(str(error)) from None
    try:
        try:
            _sweep(link)
            password = make_role(link, name, [group], most=_SESSIONS, until=datetime.now(UTC) + VALID)
        except psycopg.Error as error:
            raise _Refused(scrub(" ".join(str(error).split("\n")[0].split()), url)) from None
        try:
            yield with_login(url, name, password)
        finally:
            _drop(link, url, name)
    finally:
        link.close()


def _drop(link: Connection, url: str, name: str) -> None:
    """Drop our login; never raises: what cannot be dropped expires, and is swept by the next."""
    with contextlib.suppress(psycopg.Error):
        if not (link.closed or link.broken):
            drop_role(link, name)
            return
    with (  # the connection was lost meanwhile: the server may be there again
        contextlib.suppress(psycopg.Error),
        psycopg.connect(url, autocommit=True, connect_timeout=5, application_name=_maker(name)) as again,
    ):
        drop_role(again, name)


def _sweep(link: Connection) -> None:
    """Drop the logins whose maker is not connected any more."""
    rows = link.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [PREFIX]).fetchall()
    makers = link.execute(
        "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, 'psh:' || %s)", [PREFIX]
    ).fetchall()
    living = {name for (name,) in makers}
    for (role,) in rows:
        if _maker(role) not in living:
            with contextlib.suppress(psycopg.Error):  # another one may sweep too; somebody else's role of such a name
                drop_role(link, role)


def _maker(name: str) -> str:
    """What the connection is called that a login lives as long as."""
    return f"psh:{name}/admin"


@contextlib.contextmanager
def _sqlserver(url: str, name: str, group: str) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        try:
            own = stack.enter_context(sqlserver_login(url, name, group, PREFIX, _maker))
        except HarnessError as error:
            if isinstance(error, ServerError) and not isinstance(error, LoginRefused):
                raise _Away(str(error)) from None
            raise _Refused(scrub(" ".join(str(error).split()), url)) from None
        yield own


_LOGINS = {"postgresql": _postgresql, "sqlserver": _sqlserver}
