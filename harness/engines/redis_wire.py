"""What goes over the wire to Redis: one connection, replies as rows, error replies, the lease of a database.

Manual pages followed: RESP3 (HELLO 3, so that maps arrive as maps), EVAL, CLIENT LIST, SELECT.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import re
import socket
from collections.abc import Mapping
from typing import Any

from harness.answers import ErrorKind, ErrorRecord, ResultSet
from harness.errors import DriverMissing, EngineError, LoginRefused, ServerError

LEASE = "psh:lease"

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0  # longer than the 5 s after which a server held by a script answers BUSY

# One walk over the numbered databases. SELECT inside a script does not change the caller's database; pcall turns
# "out of range" into the end of the walk. ARGV: what to do, the name, the lease key.
_WALK = """
local found, free = {}, nil
for number = 1, 100000 do
  local selected = redis.pcall('SELECT', number)
  if type(selected) == 'table' and selected.err then
    if number == 1 and not string.find(selected.err, 'out of range') then return redis.error_reply(selected.err) end
    break
  end
  if redis.call('DBSIZE') == 0 then
    free = free or number
  else
    local name = redis.pcall('GET', ARGV[3])
    if type(name) == 'string' then
      if ARGV[1] == 'list' then found[#found + 1] = name end
      if name == ARGV[2] then
        if ARGV[1] == 'drop' then redis.call('FLUSHDB') end
        if ARGV[1] == 'lease' then return -number end
        return number
      end
    end
  end
end
if ARGV[1] == 'list' then return found end
if ARGV[1] == 'lease' and free then
  redis.call('SELECT', free)
  redis.call('SET', ARGV[3], ARGV[2])
  return free
end
return 0
"""

_KINDS = {
    "UNBLOCKED": ErrorKind.cancelled,
    "EXECABORT": ErrorKind.in_failed_transaction,
    "BUSY": ErrorKind.lock_timeout,  # refused after busy-reply-threshold: a script holds the whole server
}

# redis-py before 7 cuts the code off the text and leaves only the class to tell it by.
_CODE_OF_CLASS = {
    "ExecAbortError": "EXECABORT",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "NOAUTH",
    "BusyLoadingError": "LOADING",
}


def _driver() -> Any:
    """redis-py, imported when first used. Raises DriverMissing."""
    try:
        return importlib.import_module("redis")
    except ImportError as error:
        raise DriverMissing("Redis needs the package redis: pip install redis") from error


def _client_name(name: str) -> str:
    """A name that CLIENT SETNAME takes: printable, without spaces.

    >>> _client_name("psh:k3x9 buyer one")
    'psh:k3x9_buyer_one'
    """
    return re.sub(r"[^!-~]", "_", name)


def error_record(error: Exception) -> ErrorRecord:
    """An error reply of the server in the harness's words; the code is the reply's first word (``WRONGTYPE``)."""
    text = str(error)
    code = getattr(error, "status_code", None)
    if not code:
        first, _, rest = text.partition(" ")
        if re.fullmatch(r"[A-Z][A-Z_]+", first):
            code, text = first, rest
        else:
            code = _CODE_OF_CLASS.get(type(error).__name__, "ERR")
    kind = _KINDS.get(code, ErrorKind.other)
    if re.search(r"killed by user with (SCRIPT|FUNCTION) KILL", text):
        kind = ErrorKind.cancelled
    return ErrorRecord(kind=kind, code=code, message=text)


def _plain(value: Any) -> Any:
    """A reply as a JSON value; an error inside a reply (EXEC's) becomes its text."""
    if isinstance(value, Exception):
        record = error_record(value)
        return f"{record.code} {record.message}"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def result_of(command: str, reply: Any) -> ResultSet:
    """A reply as rows: a map is field and value, an array a row per element, anything else one row.

    >>> result_of("GET", "1").rows, result_of("HGETALL", {"a": "1"}).columns
    ([['1']], ['field', 'value'])
    """
    status = reply if reply in ("OK", "QUEUED") else ""
    if isinstance(reply, Mapping):
        pairs = [[_plain(field), _plain(value)] for field, value in reply.items()]
        return ResultSet(columns=["field", "value"], rows=pairs)
    rows = [[_plain(item)] for item in reply] if isinstance(reply, list) else [[_plain(reply)]]
    return ResultSet(columns=[command.lower()], rows=rows, status=status)


class Link:
    """A connection that never comes back by itself: redis-py's would, in another session of the server.

    Raises LoginRefused, ServerError or EngineError when it cannot be opened. ``select`` False stays in database 0
    and sends no name: all that a server held by a script would answer with BUSY.
    """

    def __init__(self, url: str, name: str, *, select: bool = True) -> None:
        self.driver = _driver()
        try:
            options = importlib.import_module("redis.connection").parse_url(url)
        except ValueError:  # its text may quote the URL, password and all
            raise ServerError("not a Redis URL: redis://[user:password@]host:port[/number] is needed") from None
        make = options.pop("connection_class", self.driver.Connection)
        self.where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        if not select:
            options.pop("db", None)
        self._connection = make(
            **options
            | {
                "protocol": 3,
                "client_name": _client_name(name) if select else None,
                "decode_responses": True,
                "encoding_errors": "backslashreplace",
                "socket_timeout": _ANSWER_SECONDS,
                "socket_connect_timeout": _CONNECT_SECONDS,
            }
        )
        try:
            self._connection.connect()
        except (self.driver.AuthenticationError, self.driver.exceptions.NoPermissionError) as error:
            raise LoginRefused(f"Redis at {self.where} refuses the login: {error}") from None
        except self.driver.ResponseError as error:
            raise EngineError(f"Redis at {self.where} refuses to open the session: {error}") from None
        except (self.driver.RedisError, OSError) as error:
            raise ServerError(f"Redis at {self.where} cannot be reached: {error}") from None
        self._socket = self._connection._sock

    def call(self, *words: Any) -> Any:
        """Send one command, give its reply. Raises the driver's errors."""
        if self._connection._sock is None:
            raise self.driver.ConnectionError("the connection was lost before")
        self._connection.send_command(*words)
        return self._connection.read_response()

    def ask(self, *words: Any) -> Any:
        """As :meth:`call`, for the harness's own questions: raises EngineError with one line."""
        try:
            return self.call(*words)
        except (self.driver.RedisError, OSError) as error:
            record = error_record(error)
            raise EngineError(f"Redis at {self.where}: {words[0]}: {record.code} {record.message}") from error

    def wait_for_ever(self) -> None:
        """From now on an answer may take any time: a blocked step is ended by its deadline, not by the socket."""
        self._socket.settimeout(None)

    def abort(self) -> None:
        """Wake the thread that waits for an answer: for it the connection is lost."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            self._connection.disconnect()


def clients(link: Link) -> list[dict[str, str]]:
    """CLIENT LIST, one mapping per connection."""
    lines = str(link.ask("CLIENT", "LIST")).splitlines()
    return [dict(pair.split("=", 1) for pair in line.split(" ") if "=" in pair) for line in lines]


def walk(link: Link, action: str, name: str) -> Any:
    """Run the lease script: ``lease`` and ``drop`` and ``find`` give a number (0: none), ``list`` gives names."""
    return link.ask("EVAL", _WALK, 0, action, name, LEASE)
