"""One migration: databases, schemas, encryption, logins, linked servers; each as far as it is not so already."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import psycopg

from fixtures.seed.run import Place, make_schema
from harness.engines import engine
from harness.engines.sqlserver.driver import connect
from harness.errors import DataError, ServerUnavailable
from harness.migrating import others, postgresql, record, sqlserver
from harness.migrating.files import Login
from harness.schemas import PROMPTSALES, Wanted, apply, has_schema, scripts
from harness.servers.base import Target

Tell = Callable[[str], None]
_LINKS = {"promptads": ("link_crm", "promptcrm"), "promptcrm": ("link_ads", "promptads")}
"""By database: the procedure by which it sees the other one."""


def migrate(
    places: Mapping[str, Place],
    logins: Sequence[Login],
    *,
    memory: str = "",
    master: str | None = None,
    tell: Tell = lambda line: None,
) -> None:
    """Bring these databases to what this version wants.

    ``memory``: PromptSales's URL, which remembers, where it is not among ``places``. ``master``: the password of
    PromptCrm's master key on SQL Server. Raises ServerError, EngineError, DataError; what was done until then stays,
    and the same again goes on from there.
    """
    memory = places["promptsales"].url if "promptsales" in places else memory
    if not memory:
        raise ServerUnavailable("promptsales is not up, or has no URL: what was migrated is remembered there")
    for logical, place in places.items():
        if make := _MAKES.get(place.engine):
            make(place.url)
        tell(f"{logical}: the database is there")
    with record.alone(memory) as link:
        before = record.remembered(link)
        for logical, place in places.items():
            _schema(logical, place, before.get(logical))
            if logical == "promptcrm" and place.engine == "sqlserver":
                sqlserver.encrypt(place.url, master)
            tell(f"{logical}: its schema is this version's")
        for login in logins:
            if login.logical in places:
                _set_login(places[login.logical], login)
                tell(f"{login.logical}: {login.user} may do what {login.component} does")
        for logical, (procedure, other) in _LINKS.items():
            found = [one for one in logins if one.component == "link" and one.logical == other]
            if found and {logical, other} <= places.keys():
                _link(places[logical], procedure, found[0])
                tell(f"{logical}: sees {other}")
        for logical, place in places.items():
            record.remember(link, logical, record.digest(logical, place.engine))


def apply_schema(logical: str, place: Place) -> None:
    """Make a database's tables, if it has none. Raises DataError, EngineError, ServerError."""
    if not has_schema(PROMPTSALES, logical, place.engine):
        raise DataError(f"{logical}: there is no schema of it for {place.engine}")
    files = scripts(PROMPTSALES, logical, place.engine, Wanted.empty, server=True)
    make_schema(logical, place, lambda: apply(engine(place.engine), place.url, files, "seed"))


def _schema(logical: str, place: Place, before: str | None) -> None:
    """Raises DataError too if the tables are another version's: they are not changed, as data is in them."""
    if before is not None and before != record.digest(logical, place.engine):
        raise DataError(
            f"{logical} was made by another version's files, and tables with data in them are not changed by themselves: "
            "make the database anew, or change it by hand and delete its row from migrating.migration in PromptSales"
        )
    apply_schema(logical, place)


def _set_login(place: Place, login: Login) -> None:
    if place.engine == "postgresql":
        with postgresql.said(login.logical, place.url, login.url), psycopg.connect(place.url, autocommit=True) as link:
            postgresql.set_login(link, login)
    elif place.engine == "sqlserver":
        with contextlib.closing(connect(place.url, "psh:migrate")) as connection:
            sqlserver.set_login(connection, login)
    elif place.engine == "mongodb":
        others.set_mongodb_login(place.url, login)
    else:
        others.set_redis_login(place.url, login)


def _link(place: Place, procedure: str, other: Login) -> None:
    if place.engine == "postgresql":
        with postgresql.said(other.logical, place.url, other.url), psycopg.connect(place.url, autocommit=True) as link:
            postgresql.link_servers(link, procedure, other)
    else:
        with contextlib.closing(connect(place.url, "psh:migrate")) as connection:
            sqlserver.link_servers(connection, procedure, other)


_MAKES: Mapping[str, Callable[[str], None]] = {
    "postgresql": postgresql.make_database,
    "sqlserver": sqlserver.make_database,
}


def lacking(targets: Mapping[str, Target], memory: str) -> list[str]:
    """Which of these databases are not yet of this version's files, by what PromptSales (``memory``, its URL) remembers.

    Raises ServerError.
    """
    there = record.ask(memory)
    return [logical for logical, one in targets.items() if there.get(logical) != record.digest(logical, one.engine)]
