"""The way to a SQL Server: pyodbc, Microsoft's ODBC driver, the connection string, the login.

Keywords: https://learn.microsoft.com/sql/connect/odbc/dsn-connection-string-attribute; quoting of their values:
https://learn.microsoft.com/openspecs/sql_server_protocols/ms-odbcstr.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import socket
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from harness.engines.base import plain
from harness.engines.sqlserver.faults import diagnostics
from harness.errors import DriverMissing, EngineError, LoginRefused, ServerError, did_you_mean

if TYPE_CHECKING:
    import pyodbc

LOGIN_SECONDS = 10
DRIVER_VARIABLE = "PROMPTSALES_ODBC_DRIVER"

_INSTALL = (
    "install unixODBC (Debian: apt install unixodbc; macOS: brew install unixodbc) and Microsoft's driver "
    "(msodbcsql18, or: pip install mssql-python-odbc)"
)
_REGISTERED = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server")

# What a URL may add, by the name of the keyword. Left out on purpose: DRIVER (it loads a library), MARS (a session
# runs one statement at a time), and all that the URL's other parts say.
_KEYWORDS = {
    keyword.lower(): keyword
    for keyword in (
        "ApplicationIntent",
        "Authentication",
        "ConnectRetryCount",
        "ConnectRetryInterval",
        "Encrypt",
        "HostNameInCertificate",
        "IpAddressPreference",
        "KeepAlive",
        "KeepAliveInterval",
        "Language",
        "MultiSubnetFailover",
        "PacketSize",
        "Regional",
        "ServerCertificate",
        "ServerSPN",
        "TransparentNetworkIPResolution",
        "TrustServerCertificate",
        "Trusted_Connection",
    )
}
_SIMPLE = re.compile(r"[\w.,:/\\-]+", re.ASCII)
_HOST = re.compile(r"[\w.:\\-]+", re.ASCII)

# SQL Server's numbers for a login that it refuses: wrong password, untrusted domain, no such database, disabled,
# expired, to be changed, locked out, address not allowed (Azure).
_REFUSED = frozenset({18456, 18452, 4060, 18470, 18487, 18488, 18486, 40615, 40532})

_DATETIMEOFFSET, _UDT = -155, -151  # SQL_SS_TIMESTAMPOFFSET, SQL_SS_UDT: pyodbc has no conversion of its own


@dataclass(frozen=True, slots=True)
class Address:
    """A URL of the form ``mssql://user:password@host:port/database?Encrypt=yes``, taken apart."""

    host: str
    port: int
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> str:
        """How messages name it; without a login."""
        return f"SQL Server at {self.host}:{self.port}"


def parse(url: str) -> Address:
    """Take a URL apart. Raises ServerError if it is none, or asks for an unknown keyword; never repeats the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 1433
    except ValueError as error:
        raise ServerError(f"not a SQL Server URL: {error}") from None
    if parts.scheme not in ("mssql", "sqlserver"):
        raise ServerError("not a SQL Server URL: it begins with mssql:// or sqlserver://")
    host = unquote(host)
    if not _HOST.fullmatch(host):
        raise ServerError(f"not a SQL Server URL: {host!r} is no host name")
    options = []
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        keyword = _KEYWORDS.get(key.lower())
        if keyword is None:
            raise ServerError(
                f"SQL Server URL: unknown option {key!r}{did_you_mean(key.lower(), _KEYWORDS)}; "
                f"known are {', '.join(_KEYWORDS.values())}"
            )
        options.append((keyword, value))
    return Address(
        host=host,
        port=port,
        database=unquote(parts.path.lstrip("/")),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        options=tuple(options),
    )


def database_url(url: str, name: str) -> str:
    """The URL of the database ``name`` on the server of ``url``."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))


def braced(value: str) -> str:
    """A value of a connection string such that it ends where it ends: in braces, closing ones doubled.

    >>> braced("a};PWD=x"), braced("yes")
    ('{a}};PWD=x}', 'yes')
    """
    return value if _SIMPLE.fullmatch(value) else "{" + value.replace("}", "}}") + "}"


def connection_string(address: Address, driver: str, program: str) -> str:
    """The ODBC connection string; ``program`` is what the server shows as program name (128 characters at most).

    ``ConnectRetryCount=0``: with the driver's idle connection resiliency a lost session would come back as another one,
    without its transaction; here a lost session must be seen to be lost.
    """
    host = f"[{address.host}]" if address.host.count(":") > 1 else address.host
    pairs = [("DRIVER", "{" + driver.replace("}", "}}") + "}"), ("SERVER", braced(f"{host},{address.port}"))]
    if address.database:
        pairs.append(("DATABASE", braced(address.database)))
    if address.user or address.password:
        pairs += [("UID", braced(address.user)), ("PWD", braced(address.password))]
    pairs.append(("APP", braced(program[:128])))
    options = {"ConnectRetryCount": "0"} | dict(address.options)
    pairs += [(keyword, braced(value)) for keyword, value in options.items()]
    return ";".join(f"{keyword}={value}" for keyword, value in pairs)


def odbc() -> Any:
    """The module pyodbc, imported when first needed. Raises DriverMissing if it, or the driver manager, is not there."""
    try:
        import pyodbc
    except ImportError as error:
        missing = "pip install pyodbc" if isinstance(error, ModuleNotFoundError) else _INSTALL
        raise DriverMissing(f"SQL Server needs pyodbc and an ODBC driver manager ({error}): {missing}") from None
    # A pooled connection keeps the isolation level of whoever had it before (sp_reset_connection does not reset it).
    pyodbc.pooling = False
    return pyodbc


def find_driver() -> str:
    """Name or file of Microsoft's ODBC driver: the environment's word, a registered one, the one of a Python package.

    Raises DriverMissing.
    """
    if chosen := os.environ.get(DRIVER_VARIABLE):
        return chosen
    registered = set(odbc().drivers())
    for name in _REGISTERED:
        if name in registered:
            return name
    if packaged := _packaged_driver():
        return str(packaged)
    raise DriverMissing(f"no ODBC driver for SQL Server: {_INSTALL}, or say where it is in {DRIVER_VARIABLE}")


def _packaged_driver() -> Path | None:
    """The driver's file in the package mssql-python-odbc, found without importing it."""
    spec = importlib.util.find_spec("mssql_python_odbc")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0]) / "libs"
    machine = platform.machine().lower()
    names = {machine} | ({"arm64", "aarch64"} if machine in ("arm64", "aarch64") else {"x86_64", "x64", "amd64"})
    files = [
        file
        for pattern in ("libmsodbcsql*.so*", "libmsodbcsql*.dylib")
        for file in sorted(root.rglob(pattern))
        if names & set(file.parts)
    ]
    family = _family()
    files.sort(key=lambda file: family not in file.parts)
    return files[0] if files else None


def _family() -> str:
    """How the package calls this kind of system: ``debian_ubuntu``, ``rhel``, ``suse``, ``alpine``, ``macos``."""
    if sys.platform == "darwin":
        return "macos"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian_ubuntu"
    kinds = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    for kind, folder in (
        ("alpine", "alpine"),
        ("suse", "suse"),
        ("opensuse", "suse"),
        ("rhel", "rhel"),
        ("fedora", "rhel"),
    ):
        if kind in kinds:
            return folder
    return "debian_ubuntu"


def connect(url: str, program: str) -> pyodbc.Connection:
    """Log in, in autocommit: transactions are begun by the steps themselves, with BEGIN TRANSACTION.

    Raises LoginRefused, DriverMissing, or ServerError if the server cannot be reached; one line each, never with the
    password.
    """
    address = parse(url)
    module = odbc()
    text = connection_string(address, find_driver(), program)
    try:
        connection: pyodbc.Connection = module.connect(text, autocommit=True, timeout=LOGIN_SECONDS)
    except module.Error as error:
        raise _login_error(address, error) from None
    connection.add_output_converter(_DATETIMEOFFSET, _datetimeoffset)
    connection.add_output_converter(_UDT, plain)
    return connection


def _login_error(address: Address, error: Exception) -> Exception:
    first, *others = diagnostics(error)
    text = first.text.replace(address.password, "***") if address.password else first.text
    numbers = {record.number for record in (first, *others)}
    if first.state in ("IM002", "IM003", "IM004") or "Can't open lib" in text:
        return DriverMissing(f"the ODBC driver for SQL Server cannot be loaded ({text}): {_INSTALL}")
    # A message that the server wrote (the driver says so in its prefix) shows that it is there.
    if first.state == "28000" or numbers & _REFUSED or "[SQL Server]" in str(error):
        return LoginRefused(
            f"{address.where} refuses the login of {address.user or 'this account'!r}: {text} "
            "(check user, password and database in the URL)"
        )
    hint = (
        "; for a test server with its own certificate add ?TrustServerCertificate=yes" if "ertificate" in text else ""
    )
    return ServerError(f"{address.where} cannot be reached: {text}{hint or _network(address)}")


def _network(address: Address) -> str:
    """Why, in the words of the network: on Linux pyodbc passes on only the driver's "Login timeout expired"."""
    try:
        socket.create_connection((address.host.partition("\\")[0], address.port), timeout=2).close()
    except OSError as error:
        return f" ({error.strerror or error})"
    return " (something listens there, but does not answer as SQL Server does)"


def _datetimeoffset(value: bytes | None) -> str | None:
    """SQL_SS_TIMESTAMPOFFSET_STRUCT as ISO 8601 with seven decimals.

    https://learn.microsoft.com/sql/relational-databases/native-client-odbc-date-time/data-type-support-for-odbc-date-and-time-improvements
    """
    if value is None:
        return None
    year, month, day, hour, minute, second, nanos, zone_hour, zone_minute = struct.unpack("<hHHHHHIhh", value)
    sign = "-" if zone_hour < 0 or zone_minute < 0 else "+"
    return (
        f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanos // 100:07} "
        f"{sign}{abs(zone_hour):02}:{abs(zone_minute):02}"
    )


class Refused(EngineError):
    """SQL Server's answer to a question of the harness itself; ``number`` is its error number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


def ask(connection: pyodbc.Connection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run one of the harness's own statements and give its rows (none if it has no result). Raises Refused."""
    try:
        cursor = connection.cursor()
        try:
            cursor.execute(sql, *parameters)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            cursor.close()
    except odbc().Error as error:
        first = diagnostics(error)[0]
        raise Refused(f"{first.text} ({first.number or first.state})", first.number) from None
