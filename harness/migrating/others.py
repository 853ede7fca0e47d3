"""Logins that stay on Redis (ACL SETUSER) and MongoDB (createUser).

https://redis.io/docs/latest/commands/acl-setuser/, https://www.mongodb.com/docs/manual/reference/built-in-roles/
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from harness.errors import LoginRefused, ServerError
from harness.migrating.files import Login
from harness.servers.urls import scrub

_STREAM = "activity"
_REDIS: Mapping[str, tuple[str, ...]] = {
    "etl": (
        "-@all",
        "+auth",
        "+hello",
        "+select",
        "+ping",
        "+xinfo|stream",
        "+xrange",
        "+client|setinfo",
        f"%R~{_STREAM}",
    ),
    # Who may make users may make one that may do anything: Redis knows nothing less.
    "mcp": ("~*", "&*", "+@all"),
    "load": ("~*", "&*", "+@all", "-@admin", "-@dangerous", "+info", "+function|list"),
    # Empties the numbered databases that it leases, and puts out its own sessions.
    "harness": ("~*", "&*", "+@all", "-acl", "-shutdown", "-debug", "-module", "-replicaof", "-config|rewrite"),
}


def set_redis_login(url: str, login: Login) -> None:
    """Make the ACL user anew, with these rights. Raises ServerError, LoginRefused."""
    import redis

    client: Any = redis.Redis.from_url(url, socket_connect_timeout=10, socket_timeout=10)
    try:
        client.execute_command(
            *("ACL", "SETUSER", login.user, "reset", "on", f">{login.password}"), *_REDIS[login.component]
        )
        with contextlib.suppress(redis.ResponseError):  # no aclfile: users last as long as the server
            client.execute_command("ACL", "SAVE")
    except redis.ResponseError as problem:
        raise LoginRefused(
            f"cache: {login.user} cannot be made: {scrub(scrub(str(problem), url), login.url)}"
        ) from None
    except (redis.RedisError, OSError) as problem:
        raise ServerError(f"cache: {scrub(' '.join(str(problem).split()), url)}") from None
    finally:
        client.close()


def mongodb_roles(component: str, database: str) -> list[dict[str, str]]:
    """What a component may do; ``database`` is PromptContent's."""
    match component:
        case "etl":
            return [{"role": "read", "db": database}]
        case "mcp":  # users and roles of this database: so it could make itself one that reads
            return [{"role": "userAdmin", "db": database}]
        case "load":
            return [{"role": "readWrite", "db": database}]
        case "harness":  # databases of its own (psh_…): MongoDB has no role for some of them only
            return [
                {"role": "readWriteAnyDatabase", "db": "admin"},
                {"role": "dbAdminAnyDatabase", "db": "admin"},
                {"role": "clusterMonitor", "db": "admin"},
            ]
    return []


def set_mongodb_login(url: str, login: Login) -> None:
    """Make the user, or renew its password and roles. Raises ServerError, LoginRefused."""
    import pymongo
    import pymongo.errors

    parts = urlsplit(login.url)
    database = parts.path.lstrip("/") or login.logical
    source = parse_qs(parts.query).get("authSource", [database])[0]
    what: dict[str, Any] = {"pwd": login.password, "roles": mongodb_roles(login.component, database)}
    with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=10_000) as client:
        try:
            try:
                client[source].command("createUser", login.user, **what)
            except pymongo.errors.OperationFailure as problem:
                if problem.code != 51003:  # there is one of that name
                    raise
                client[source].command("updateUser", login.user, **what)
        except pymongo.errors.OperationFailure as problem:
            said = problem.details.get("errmsg", "") if problem.details else ""
            raise LoginRefused(
                f"promptcontent: {login.user} cannot be made: {scrub(scrub(said, url), login.url)}"
            ) from None
        except pymongo.errors.PyMongoError as problem:
            raise ServerError(f"promptcontent: {scrub(' '.join(str(problem).split()), url)}") from None
