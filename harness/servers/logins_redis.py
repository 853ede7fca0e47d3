"""A login for a while on Redis or Valkey: an ACL user with the rights of one group of ``schemas/cache/redis/acl.yaml``.

The server gets the password's SHA-256 only. Users live in the server's memory: one that was started anew has forgotten
them, and :meth:`RedisLogin.keep` makes ours again. Where the server can (Valkey 9.1), a user is bound to the URL's numbered
database, too. Manual pages followed: ACL SETUSER, ACL DELUSER (which ends the user's connections), CLIENT LIST.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.errors import DataError, LoginRefused, ServerError
from harness.schemas import PROMPTSALES
from harness.servers.logins_kept import KeptLogin
from harness.servers.roles import with_login
from harness.servers.urls import scrub

FILE = PROMPTSALES / "cache" / "redis" / "acl.yaml"

_SECONDS = 5.0
_OURS = re.compile(r"(.*?)[0-9a-f]{12}")
"""A login's name: a prefix, and twelve digits."""
_FIELDS = {"commands", "read", "write", "look"}
_LOOKING = ("+exists", "+type", "+pttl")


def redis_login(url: str, name: str, group: str) -> RedisLogin:
    """See :class:`RedisLogin`."""
    return RedisLogin(url, name, group)


class RedisLogin(KeptLogin):
    """The URL of the new ACL user ``name``, with the rights of ``group`` and no others.

    Entering raises LoginRefused if it cannot be made, ServerError if the server does not answer; one line, without secrets.
    Users of the same prefix whose maker is not connected any more are dropped first.
    """

    def __init__(self, url: str, name: str, group: str) -> None:
        self._admin = url
        self._password = secrets.token_urlsafe(24)
        super().__init__(_with_login(url, name, self._password), name, group)
        self._link: Any = None

    def _drop(self) -> None:
        self._there().execute_command("ACL", "DELUSER", self._name)

    def _keep(self) -> None:
        with self._said():
            link = self._there()
            if self._name not in map(_text, link.execute_command("ACL", "USERS")):
                self._sweep(link)
                self._make(link)

    def _there(self) -> Any:
        """The one connection under the maker's name; redis-py makes it when it is first used, and anew when it was lost."""
        if self._link is None:
            try:
                self._link = redis.Redis.from_url(
                    self._admin,
                    client_name=_maker(self._name),
                    single_connection_client=True,
                    decode_responses=True,
                    socket_connect_timeout=_SECONDS,
                    socket_timeout=_SECONDS,
                    retry=Retry(NoBackoff(), 0),
                )
            except ValueError:  # its text may quote the URL
                raise LoginRefused("this is not a URL of Redis") from None
        return self._link

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """The server's errors as ours."""
        try:
            yield
        except redis.AuthenticationError:
            raise LoginRefused("the server refuses the URL's login") from None
        except redis.exceptions.NoPermissionError:
            raise LoginRefused("the URL's login may not make users: it needs +acl and +client") from None
        except redis.ResponseError as error:
            line = " ".join(str(error).split())[:200]
            raise LoginRefused(scrub(scrub(line, self._admin), self.url)) from None
        except (redis.RedisError, OSError):
            raise ServerError("the server does not answer") from None

    def _make(self, link: Any) -> None:
        hashed = f"#{hashlib.sha256(self._password.encode()).hexdigest()}"
        number = int(link.get_connection_kwargs().get("db") or 0)
        begin = ("ACL", "SETUSER", self._name, "reset", "on", hashed)
        try:
            link.execute_command(*begin, *rules(self._group, number))
        except redis.ResponseError as error:
            if "db=" not in str(error):
                raise
            link.execute_command(*begin, *rules(self._group))  # this server binds nobody to a database

    def _sweep(self, link: Any) -> None:
        """Drop the users whose maker is not connected any more."""
        found = _OURS.fullmatch(self._name)
        if found is None:
            return
        same = re.compile(re.escape(found[1]) + "[0-9a-f]{12}")
        living = {one.get("name", "") for one in link.client_list()}
        for user in map(_text, link.execute_command("ACL", "USERS")):
            if same.fullmatch(user) and _maker(user) not in living:
                link.execute_command("ACL", "DELUSER", user)

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                link.close()


def rules(group: str, number: int | None = None, file: Path = FILE) -> list[str]:
    """The words of ACL SETUSER for a group, after its password; ``number``: the one database that it may be in.

    Raises DataError if the file is not right, LoginRefused if there is no such group.
    """
    written = _groups(file).get(group)
    if written is None:
        raise LoginRefused(f"{file.name} knows no group {group!r}")
    bound = [] if number is None else [f"db={number}"]
    found = ["resetkeys", "resetchannels", "-@all", *bound]
    found += [f"+{command}" for command in written.get("commands", ())]
    found += [f"%R~{pattern}" for pattern in written.get("read", ())]
    found += [f"~{pattern}" for pattern in written.get("write", ())]
    if looked := written.get("look"):
        found.append(f"({' '.join(['-@all', *bound, *_LOOKING, *(f'%R~{pattern}' for pattern in looked)])})")
    return found


@functools.cache
def _groups(file: Path) -> dict[str, dict[str, list[str]]]:
    try:
        written: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if not isinstance(written, dict):
        raise DataError(f"{file}: must be a map of groups")
    for name, group in written.items():
        if not isinstance(group, dict) or not set(group) <= _FIELDS or "commands" not in group:
            raise DataError(f"{file}: {name} must have commands, and may have read, write and look")
        for words in group.values():
            if not isinstance(words, list) or not all(isinstance(word, str) and " " not in word for word in words):
                raise DataError(f"{file}: {name}: each field is a list of words without spaces")
    return written


def _with_login(url: str, name: str, password: str) -> str:
    """The URL with another login; a login in its query is left out."""
    parts = urlsplit(with_login(url, name, password))
    asked = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in asked if key not in ("username", "password", "client_name")]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _maker(name: str) -> str:
    """What the connection is called that a login lives as long as."""
    return f"psh:{name}/admin"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
