"""A login for a while on MongoDB: a user of the URL's database, its role as ``roles.yaml`` says.

Run on SecantusDB, which holds a user to its database and to reading but not to the role's collections, and lets connections
go on whose user is gone; what is particular to MongoDB is written from its manual and was tested with a fake of the driver.
Pages followed: createRole, updateRole, createUser (a password of SCRAM-SHA-256 is hashed by the server: it travels in the
command, which the server's log leaves out), dropUser, usersInfo, $currentOp (needs the action inprog), Error Codes.
"""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import pymongo
import pymongo.errors
import yaml

from harness.engines.mongodb_wire import name_of
from harness.errors import DataError, LoginRefused, ServerError
from harness.schemas import PROMPTSALES
from harness.servers.logins_kept import KeptLogin
from harness.servers.roles import with_login
from harness.servers.urls import scrub

FILE = PROMPTSALES / "promptcontent" / "mongodb" / "roles.yaml"

_MILLISECONDS = 5000
_OURS = re.compile(r"(.*?)[0-9a-f]{12}")
"""A login's name: a prefix, and twelve digits."""
_UNAUTHORIZED, _AUTHENTICATION, _EXISTS, _ATLAS = 13, 18, 51002, 8000
_NO_USER = 11
_DROPPED = frozenset({"authsource", "authmechanism", "authmechanismproperties"})


def mongodb_login(url: str, name: str, group: str) -> MongoDBLogin:
    """See :class:`MongoDBLogin`."""
    return MongoDBLogin(url, name, group)


class MongoDBLogin(KeptLogin):
    """The URL of the new user ``name``, with the role ``group`` and no other.

    Entering raises LoginRefused if it cannot be made, ServerError if the server does not answer; one line, without secrets.
    Users of the same prefix whose maker is not connected any more are dropped first, where this login is told who is.
    """

    def __init__(self, url: str, name: str, group: str) -> None:
        self._admin = url
        self._database = unquote(urlsplit(url).path.strip("/")) or "promptcontent"
        self._password = secrets.token_urlsafe(24)
        super().__init__(_with_login(url, name, self._password, self._database), name, group)
        self._client: Any = None

    def _drop(self) -> None:
        self._there().command("dropUser", self._name)

    def _keep(self) -> None:
        with self._said():
            database = self._there()
            if not database.command("usersInfo", self._name).get("users"):
                self._sweep(database)
                self._make(database)

    def _there(self) -> Any:
        """The database, through a client under the maker's name; PyMongo connects again by itself."""
        if "@" not in urlsplit(self._admin).netloc:
            raise LoginRefused("the server asks nobody for a login, so one of its own would not narrow what it may do")
        if self._client is None:
            self._client = pymongo.MongoClient(
                self._admin,
                appname=_maker(self._name),
                maxPoolSize=1,
                serverSelectionTimeoutMS=_MILLISECONDS,
                connectTimeoutMS=_MILLISECONDS,
                socketTimeoutMS=_MILLISECONDS,
                serverMonitoringMode="poll",
                connect=False,
            )
        return self._client[self._database]

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """The server's errors as ours."""
        try:
            yield
        except pymongo.errors.OperationFailure as error:
            if error.code == _UNAUTHORIZED:
                raise LoginRefused("the URL's login may not make users: it needs userAdmin on this database") from None
            if error.code in (_AUTHENTICATION, _ATLAS):
                raise LoginRefused("the server refuses the URL's login") from None
            line = " ".join(str((error.details or {}).get("errmsg") or error.code).split())[:200]
            raise LoginRefused(scrub(scrub(line, self._admin), self.url)) from None
        except (pymongo.errors.InvalidURI, pymongo.errors.ConfigurationError, ValueError):
            raise LoginRefused("this is not a URL of MongoDB") from None
        except (pymongo.errors.PyMongoError, OSError):
            raise ServerError("the server does not answer") from None

    def _make(self, database: Any) -> None:
        granted = privileges(self._group, self._database)
        try:
            database.command("createRole", self._group, privileges=granted, roles=[])
        except pymongo.errors.OperationFailure as error:
            if error.code != _EXISTS:
                raise
            database.command("updateRole", self._group, privileges=granted, roles=[])
        role = {"role": self._group, "db": self._database}
        database.command("createUser", self._name, pwd=self._password, roles=[role], mechanisms=["SCRAM-SHA-256"])

    def _sweep(self, database: Any) -> None:
        """Drop the users whose maker is not connected any more."""
        found = _OURS.fullmatch(self._name)
        living = _connected(database.client)
        if found is None or living is None:
            return
        same = re.compile(re.escape(found[1]) + "[0-9a-f]{12}")
        for user in database.command("usersInfo", 1).get("users", ()):
            if same.fullmatch(str(user["user"])) and _maker(str(user["user"])) not in living:
                try:
                    database.command("dropUser", user["user"])
                except pymongo.errors.OperationFailure as error:
                    if error.code != _NO_USER:  # another one sweeps, too
                        raise

    def _let_go(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()


def _connected(client: Any) -> set[str] | None:
    """What all connections are called; None if this login is not told."""
    try:
        seen = list(client.admin.aggregate([{"$currentOp": {"allUsers": True, "idleConnections": True}}]))
        if not any("opid" in operation for operation in seen):  # a stub, on a stand-in
            seen = list(client.admin.command({"currentOp": 1, "$all": True})["inprog"])
    except pymongo.errors.OperationFailure:
        return None
    return {name_of(operation) for operation in seen}


def privileges(group: str, database: str, file: Path = FILE) -> list[dict[str, Any]]:
    """What createRole is told of a group. Raises DataError if the file is wrong, LoginRefused if it has none."""
    written = _groups(file).get(group)
    if written is None:
        raise LoginRefused(f"{file.name} knows no group {group!r}")
    return [
        {"resource": {"db": database, "collection": collection}, "actions": list(actions)}
        for collection, actions in written.items()
    ]


@functools.cache
def _groups(file: Path) -> dict[str, dict[str, list[str]]]:
    try:
        written: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if not isinstance(written, dict) or not all(isinstance(group, dict) and group for group in written.values()):
        raise DataError(f"{file}: must be a map of groups, each a map of collections to actions")
    for name, group in written.items():
        for collection, actions in group.items():
            # An empty name would mean every collection.
            if not isinstance(collection, str) or not collection or not isinstance(actions, list) or not actions:
                raise DataError(f"{file}: {name}: each collection has a list of actions")
    return written


def _with_login(url: str, name: str, password: str, database: str) -> str:
    """The URL with another login, of that database."""
    parts = urlsplit(with_login(url, name, password))
    asked = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in asked if key.lower() not in _DROPPED]
    query = urlencode([*kept, ("authSource", database)])
    return urlunsplit(parts._replace(path=f"/{quote(database)}", query=query))


def _maker(name: str) -> str:
    """What the connection is called that a login lives as long as."""
    return f"psh:{name}/admin"
