"""A server's URL: which engine it names, and how it is shown without its password."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from harness.errors import ServerError, did_you_mean
from harness.servers.base import REAL_ENGINE, Target, is_loopback

VARIABLE = {
    "promptsales": "PROMPTSALES_URL",
    "promptads": "PROMPTADS_URL",
    "promptcrm": "PROMPTCRM_URL",
    "promptcontent": "PROMPTCONTENT_URL",
    "cache": "CACHE_URL",
}
"""The environment variable that says where a logical database is."""

SCHEMES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mssql": "sqlserver",
    "sqlserver": "sqlserver",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "redis": "redis",
    "rediss": "redis",
    "valkey": "redis",
}
"""The engine that a URL's scheme names."""

_RELATIONAL = frozenset({"postgresql", "sqlserver"})  # a scenario written for one can be told to the other

_HIDDEN = "***"
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;][\w.-]*(?:password|passwd|pwd|passphrase|secret|token|authMechanismProperties)=)([^&;#]*)"
)
_HOSTS = re.compile(r"(?:[\w.%-]*|\[[0-9a-fA-F:.%]+\])(?::\d+)?(?:,(?:[\w.%-]*|\[[0-9a-fA-F:.%]+\])(?::\d+)?)*")


def _userinfo_end(rest: str) -> int:
    """Where the login ends in what follows ``://``: the index of its ``@``, or -1.

    Passwords are often pasted unescaped, with ``/``, ``?``, ``#`` or ``@`` in them. In doubt the login is taken as
    longer: that hides too much of a URL, never too little.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority and _HOSTS.fullmatch(authority.rpartition("@")[2]):
        return authority.rindex("@")
    path, _, query = rest.partition("?")
    a_query = "@" not in query or re.match(r"[\w.-]+=", query)  # else it is what follows a "?" in a password
    if "@" not in path and _HOSTS.fullmatch(authority) and a_query:
        return -1
    return rest.rfind("@")


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme, user, password, and the rest behind the ``@``."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    end = _userinfo_end(rest)
    user, _, password = rest[: max(end, 0)].partition(":")
    return scheme, user, password, rest[end + 1 :]


def redact(url: str) -> str:
    """``url`` with every password in it replaced by ``***``, also those in the query string.

    >>> redact("postgresql://ana:se/cr@t@db.example:5432/promptads?sslpassword=x&a=1")
    'postgresql://ana:***@db.example:5432/promptads?sslpassword=***&a=1'
    """
    scheme, user, password, rest = _split(url)
    login = f"{user}:{_HIDDEN}@" if password else f"{user}@" if user else ""
    return (f"{scheme}://" if scheme else "") + login + _SECRET_PARAMETER.sub(rf"\1{_HIDDEN}", rest)


def secrets_of(url: str) -> list[str]:
    """Every spelling of every password in ``url`` (as written, decoded, encoded), the longest first."""
    _, _, password, rest = _split(url)
    written = {password, *(match[2] for match in _SECRET_PARAMETER.finditer(rest))}
    spelled = written | {unquote(word) for word in written}
    spelled |= {quote(word, safe="") for word in spelled}
    return sorted(spelled - {""}, key=len, reverse=True)


def scrub(text: str, url: str) -> str:
    """``text`` (a driver's error, a log) without any of the passwords in ``url``.

    >>> scrub("cannot log in with 's3cret'", "redis://:s3cret@127.0.0.1/0")
    "cannot log in with '***'"
    """
    text = text.replace(url, redact(url))
    for secret in secrets_of(url):
        text = text.replace(secret, _HIDDEN)
    return text


def engine_of(url: str, variable: str) -> str:
    """The engine that ``url``'s scheme names. Raises ServerError naming ``variable``, never the URL's login."""
    scheme, separator, rest = url.strip().partition("://")
    scheme = scheme.lower()
    known = ", ".join(f"{name}://" for name in SCHEMES)
    if not separator:
        raise ServerError(f"{variable}: this is not a URL; it has to begin with one of {known}")
    if scheme not in SCHEMES:
        hint = did_you_mean(scheme, SCHEMES)
        raise ServerError(f"{variable}: unknown scheme {scheme + '://'!r}{hint}; use one of {known}")
    if not re.split(r"[/?#]", rest[_userinfo_end(rest) + 1 :], maxsplit=1)[0]:
        raise ServerError(f"{variable}: the URL names no host")
    return SCHEMES[scheme]


def reach_of(url: str) -> str:
    """Who gets to a server by this URL: ``loopback`` if all its hosts are names of whatever machine one is on.

    >>> reach_of("mongodb://u:p@127.0.0.1:1,localhost/?replicaSet=r"), reach_of("redis://db.example")
    ('loopback', 'network')
    """
    authority = re.split(r"[/?#]", _split(url.strip())[3], maxsplit=1)[0]
    hosts = [unquote(re.sub(r":\d*$", "", host)).strip("[]").lower() for host in authority.split(",")]
    return "loopback" if all(map(is_loopback, hosts)) else "network"


def seen_from(url: str, address: str) -> str:
    """``url`` as a machine writes it that sees this one at ``address``: what is loopback here has that address there.

    >>> seen_from("postgresql://u:p@127.0.0.1:5432/", "10.0.0.1"), seen_from("redis://db.example", "10.0.0.1")
    ('postgresql://u:p@10.0.0.1:5432/', 'redis://db.example')
    """
    parts = urlsplit(url)
    if not address or is_loopback(address) or not is_loopback(parts.hostname or "localhost"):
        return url
    login, at, _ = parts.netloc.rpartition("@")
    where = f"[{address}]" if ":" in address else address
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{login}{at}{where}{port}"))


def make_target(
    logical: str, url: str, origin: str, *, stand_in: bool = False, reach: str = "", addresses: Iterable[str] = ()
) -> Target:
    """The :class:`Target` of ``logical`` at ``url``, named a stand-in if the engine is not the real one.

    ``stand_in`` says that it is one although the engine has the right name: SecantusDB speaks MongoDB's protocol.
    ``reach`` is known of servers that are ours; of others it is what the URL says.
    Raises ServerError, naming the variable, if the scheme is unknown or this engine cannot hold that database.
    """
    variable = VARIABLE[logical]
    engine, real = engine_of(url, variable), REAL_ENGINE[logical]
    if engine != real and not {engine, real} <= _RELATIONAL:
        raise ServerError(f"{variable}: {logical} runs on {real}; a {engine} server cannot stand in for it")
    return Target(
        logical=logical,
        engine=engine,
        url=url.strip(),
        stand_in=real if stand_in or engine != real else "",
        origin=origin,
        public=redact(url.strip()),
        reach=reach or reach_of(url),
        addresses=tuple(addresses),
    )
