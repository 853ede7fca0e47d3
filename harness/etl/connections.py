"""Hop's variables from the URLs of the five servers: what ``etl/metadata`` names and does not know.

Values hold passwords: they go to :meth:`harness.etl.hop.Hop.start` and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from harness.errors import EtlError
from harness.servers.base import Target
from harness.vocabulary import LOGICAL

POSTGRESQL_CHANGES = "SELECT * FROM changes_since(?, ?)"
SQLSERVER_CHANGES = "EXEC dbo.changes_since @origin = ?, @watermark = ?"
"""The two parameters are bound: the remembered identity of the source, and its watermark."""

_CHANGES = {"postgresql": POSTGRESQL_CHANGES, "sqlserver": SQLSERVER_CHANGES}
_CONNECT_SECONDS = 10

# libpq's names of what a PostgreSQL URL may say, and the JDBC driver's
_POSTGRESQL_SAYS = {"sslmode": "sslmode", "sslrootcert": "sslrootcert", "sslcert": "sslcert", "sslkey": "sslkey"}
_SQLSERVER_SAYS = {"encrypt": "encrypt", "trustservercertificate": "trustServerCertificate"}
_SWITCH = {"yes": "true", "true": "true", "mandatory": "true", "strict": "strict"}


def variables(targets: Mapping[str, Target]) -> dict[str, str]:
    """All of Hop's variables. Raises EtlError: a database is missing, or its URL is not one that Hop can be told."""
    missing = [name for name in LOGICAL if name not in targets]
    if missing:
        raise EtlError(f"the ETL needs all five databases: no URL of {', '.join(missing)}")
    made = _promptsales(targets["promptsales"])
    made |= _relational(targets["promptads"])
    made |= _relational(targets["promptcrm"])
    made |= _content(targets["promptcontent"])
    made |= _cache(targets["cache"])
    return made


class _Url:
    """A URL taken apart. Raises EtlError, without its login."""

    def __init__(self, target: Target, port: int) -> None:
        try:
            parts = urlsplit(target.url)
            self.port = parts.port or port
        except ValueError as problem:
            raise EtlError(f"{target.logical}: Hop cannot be told its URL: {problem}") from None
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.host = unquote(parts.hostname or "")
        self.database = unquote(parts.path.lstrip("/"))
        self.says = dict(parse_qsl(parts.query))
        self.scheme = parts.scheme.lower()
        self.host = self.says.get("host", self.host)
        if not self.host or self.host.startswith("/") or "," in parts.netloc.rpartition("@")[2]:
            kind = "a socket in a folder" if self.host.startswith("/") else "none, or more than one"
            raise EtlError(f"{target.logical}: Hop needs one host and port in the URL; it names {kind}")

    @property
    def place(self) -> str:
        """Host and port, as URLs write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _promptsales(target: Target) -> dict[str, str]:
    url = _Url(target, 5432)
    return {
        "PROMPTSALES_JDBC_URL": _postgresql(url),
        "PROMPTSALES_USER": url.user,
        "PROMPTSALES_PASSWORD": url.password,
    }


def _relational(target: Target) -> dict[str, str]:
    name = target.logical.upper()
    url = _Url(target, 5432 if target.engine == "postgresql" else 1433)
    named = f"{_postgresql(url)}&ApplicationName=promptsales-etl"
    jdbc = named if target.engine == "postgresql" else _sqlserver(url)
    return {
        f"{name}_CONNECTION": f"{target.logical}-{target.engine}",
        f"{name}_JDBC_URL": jdbc,
        f"{name}_USER": url.user,
        f"{name}_PASSWORD": url.password,
        f"{name}_CHANGES": _CHANGES[target.engine],
    }


def _postgresql(url: _Url) -> str:
    says = {"connectTimeout": str(_CONNECT_SECONDS), "tcpKeepAlive": "true"}
    says |= {ours: url.says[theirs] for theirs, ours in _POSTGRESQL_SAYS.items() if theirs in url.says}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in says.items())
    return f"jdbc:postgresql://{url.place}/{quote(url.database, safe='')}?{query}"


def _sqlserver(url: _Url) -> str:
    """As Microsoft's manual "Building the connection URL" has it: braces around a value. Run on a Babelfish only."""
    says = {"databaseName": url.database, "loginTimeout": str(_CONNECT_SECONDS), "applicationName": "promptsales-etl"}
    told = {name.lower(): value for name, value in url.says.items()}
    for theirs, ours in _SQLSERVER_SAYS.items():
        if theirs in told:
            says[ours] = _SWITCH.get(told[theirs].lower(), "false")
    written = "".join(f";{name}={{{value.replace('}', '}}')}}}" for name, value in says.items() if value)
    return f"jdbc:sqlserver://{url.place}{written}"


def _content(target: Target) -> dict[str, str]:
    """A replica set's hosts go to Hop as they are written: ``a:27017,b:27017`` (read in its source, never run here)."""
    head, _, tail = target.url.partition("://")
    place = re.split(r"[/?]", tail.rpartition("@")[2], maxsplit=1)[0]
    one = place.partition(",")[0]
    url = _Url(replace(target, url=f"{head}://{tail.replace(place, one, 1)}"), 27017)
    if url.scheme == "mongodb+srv":
        raise EtlError(f"{target.logical}: Hop's MongoDB Input needs mongodb:// with a host, not mongodb+srv://")
    if any(url.says.get(name, "").lower() == "true" for name in ("tls", "ssl")):
        raise EtlError(
            f"{target.logical}: etl/metadata/mongodb-connection is drawn without TLS, which no variable can change"
        )
    return {
        "PROMPTCONTENT_HOST": place if "," in place else url.host,
        "PROMPTCONTENT_PORT": str(url.port),
        "PROMPTCONTENT_DATABASE": url.database or target.logical,
        "PROMPTCONTENT_USER": url.user,
        "PROMPTCONTENT_PASSWORD": url.password,
        "PROMPTCONTENT_AUTHENTICATION_DATABASE": url.says.get("authSource", "admin") if url.user else "",
    }


def _cache(target: Target) -> dict[str, str]:
    url = _Url(target, 6379)
    return {
        "CACHE_HOST": url.host,
        "CACHE_PORT": str(url.port),
        "CACHE_DATABASE": url.database or "0",
        "CACHE_USER": url.user,
        "CACHE_PASSWORD": url.password,
        "CACHE_TLS": "Y" if url.scheme == "rediss" else "N",
    }
