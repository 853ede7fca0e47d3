"""What goes over the wire to MongoDB: a client, replies as rows, error codes, the operations that a server shows.

Manual pages followed: Error Codes, Transactions, ``$currentOp``, ``currentOp`` (deprecated since 6.2, and all that a
stand-in may have), Read Concern.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from harness.answers import ErrorKind, ErrorRecord, ResultSet
from harness.engines.base import plain
from harness.errors import DriverMissing, LoginRefused, ServerError

MARKER = "_psh"  # the collection that makes a database exist, and keeps the ids of the sessions opened on it

_CONNECT_MS = 5000
_ANSWER_MS = 15000  # for the harness's own questions; a step may take any time

_UNAUTHORIZED = 13
_LOGIN_CODES = (_UNAUTHORIZED, 18, 8000)  # Unauthorized, AuthenticationFailed, AtlasError

_KINDS = {
    112: ErrorKind.conflict,  # WriteConflict
    239: ErrorKind.serialization,  # SnapshotTooOld
    246: ErrorKind.serialization,  # SnapshotUnavailable
    24: ErrorKind.lock_timeout,  # LockTimeout
    121: ErrorKind.constraint,  # DocumentValidationFailure
    11000: ErrorKind.constraint,  # DuplicateKey
    11001: ErrorKind.constraint,  # DuplicateKeyOnUpdate
    225: ErrorKind.in_failed_transaction,  # TransactionTooOld
    251: ErrorKind.in_failed_transaction,  # NoSuchTransaction
    50: ErrorKind.cancelled,  # MaxTimeMSExpired
    262: ErrorKind.cancelled,  # ExceededTimeLimit
    290: ErrorKind.cancelled,  # TransactionExceededLifetimeLimitSeconds
    11601: ErrorKind.cancelled,  # Interrupted: killOp
    237: ErrorKind.cancelled,  # CursorKilled
    6: ErrorKind.connection,  # HostUnreachable
    7: ErrorKind.connection,  # HostNotFound
    89: ErrorKind.connection,  # NetworkTimeout
    91: ErrorKind.connection,  # ShutdownInProgress
    11600: ErrorKind.connection,  # InterruptedAtShutdown
    11602: ErrorKind.connection,  # InterruptedDueToReplStateChange
}

TRANSIENT = "TransientTransactionError"

_FIELDS = ("n", "nModified", "upserted", "value", "values", "count")


def driver() -> Any:
    """PyMongo, imported when first used. Raises DriverMissing."""
    try:
        importlib.import_module("pymongo.errors")
        return importlib.import_module("pymongo")
    except ImportError as error:
        raise DriverMissing("MongoDB needs the package pymongo: pip install pymongo") from error


def step_errors() -> tuple[type[Exception], ...]:
    """What a command may raise: the driver's errors, and those of a document that BSON cannot hold."""
    bson_error = importlib.import_module("bson.errors").BSONError
    return (driver().errors.PyMongoError, bson_error, ValueError, TypeError, OverflowError)


def where(url: str) -> str:
    """The hosts of a URL, without the login.

    >>> where("mongodb://user:secret@a:1,b:2/db?replicaSet=rs")
    'a:1,b:2'
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def connect(url: str, name: str, *, patient: bool = False) -> Any:
    """A client that has logged in, shown as ``name``; ``patient`` lets an answer take any time.

    Raises LoginRefused or ServerError with one line. Nothing is ever sent twice: a repeated step would not be the
    step that was scheduled. Polling spares each session a second monitoring connection.
    """
    mongo = driver()
    try:
        client = mongo.MongoClient(
            url,
            appname=name.encode()[:128].decode(errors="ignore"),  # the handshake allows 128 bytes
            connectTimeoutMS=_CONNECT_MS,
            serverSelectionTimeoutMS=_CONNECT_MS,
            socketTimeoutMS=None if patient else _ANSWER_MS,
            retryWrites=False,
            retryReads=False,
            serverMonitoringMode="poll",
            connect=False,
        )
    except (mongo.errors.PyMongoError, ValueError):  # their text may quote the URL, password and all
        raise ServerError("not a MongoDB URL: mongodb://[user:password@]host:port/[?options] is needed") from None
    try:
        # A read, not a ping: a server answers a ping before any login.
        client.get_default_database("test").command({"find": MARKER, "limit": 1})
    except mongo.errors.OperationFailure as error:
        client.close()
        if error.code in _LOGIN_CODES:
            raise LoginRefused(f"MongoDB at {where(url)} refuses the login: {_errmsg(error)}") from None
        raise ServerError(f"MongoDB at {where(url)} refuses to read: {error.code} {_errmsg(error)}") from None
    except mongo.errors.PyMongoError as error:
        client.close()
        reason = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
        raise ServerError(f"MongoDB at {where(url)} cannot be reached: {reason}") from None
    return client


def _errmsg(error: Any) -> str:
    details = getattr(error, "details", None) or {}
    return str(details.get("errmsg") or error)


def kind_of(code: int | None, labels: Sequence[str] = ()) -> ErrorKind:
    """What an error code means; a transient transaction error that no code explains is a serialization failure.

    >>> kind_of(112), kind_of(1, ["TransientTransactionError"])
    (<ErrorKind.conflict: 'write conflict'>, <ErrorKind.serialization: 'serialization failure'>)
    """
    fallback = ErrorKind.serialization if TRANSIENT in labels else ErrorKind.other
    return _KINDS.get(code, fallback) if code is not None else fallback


def record_of(error: Mapping[str, Any]) -> ErrorRecord:
    """An error document (a reply, a ``writeErrors`` entry, a ``writeConcernError``) in the harness's words."""
    labels = [str(label) for label in error.get("errorLabels", ())]
    detail = ", ".join(filter(None, [str(error.get("codeName", "")), *labels]))
    code = error.get("code")
    return ErrorRecord(kind=kind_of(code, labels), code=str(code), message=str(error.get("errmsg", "")), detail=detail)


def error_record(error: Exception) -> ErrorRecord:
    """An exception of the driver in the harness's words; its class is the code where the server gave none."""
    mongo = driver()
    details = getattr(error, "details", None)
    if isinstance(error, mongo.errors.WriteConcernError) and isinstance(details, Mapping):
        details = details.get("writeConcernError", details)
    if isinstance(error, mongo.errors.OperationFailure) and isinstance(details, Mapping) and "code" in details:
        return record_of(details)
    lost = isinstance(error, mongo.errors.ConnectionFailure)
    kind = ErrorKind.connection if lost else ErrorKind.other
    return ErrorRecord(kind=kind, code=type(error).__name__, message=str(error))


def refusal_in(reply: Mapping[str, Any]) -> ErrorRecord | None:
    """The error that a reply with ``ok: 1`` hides: its first write error, else its write concern error."""
    for error in reply.get("writeErrors", ()):
        return record_of(error)
    concern = reply.get("writeConcernError")
    return record_of(concern) if concern else None


def documents_of(documents: Sequence[Mapping[str, Any]], command: str) -> ResultSet:
    """Documents as rows; the columns are all their keys in order of appearance, None where a document lacks one."""
    columns = list(dict.fromkeys(key for document in documents for key in document))
    rows = [[plain(document.get(column)) for column in columns] for document in documents]
    return ResultSet(columns=columns, rows=rows, status=command)


def summary_of(reply: Mapping[str, Any], command: str) -> ResultSet:
    """A reply without a cursor as one row: how many were meant, how many changed, the value."""
    columns = [field for field in _FIELDS if field in reply]
    affected = None
    if command in ("insert", "update", "delete"):
        # Not nModified: who sets what is there already has written too, as in SQL.
        # https://www.mongodb.com/docs/manual/reference/command/update/#output
        affected = reply.get("n")
    elif command.lower() == "findandmodify":
        affected = reply.get("lastErrorObject", {}).get("n")
    rows = [[plain(reply[column]) for column in columns]] if columns else []
    return ResultSet(columns=columns, rows=rows, status=command, affected=affected)


def operations(client: Any) -> list[dict[str, Any]]:
    """What the server does now, with idle connections and idle open transactions. Raises the driver's errors.

    Without the privilege ``inprog`` it shows only what the same user does, which is what all sessions of a run are.
    A server whose ``$currentOp`` gives no operation ids (SecantusDB's is a stub) is asked by the older command.
    """
    options = {"allUsers": True, "idleConnections": True, "idleSessions": True}
    try:
        found = list(client.admin.aggregate([{"$currentOp": options}]))
    except driver().errors.OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        found = list(client.admin.aggregate([{"$currentOp": options | {"allUsers": False}}]))
    if not any("opid" in operation for operation in found):
        found = list(client.admin.command({"currentOp": 1, "$all": True})["inprog"])
    return found


def name_of(operation: Mapping[str, Any]) -> str:
    """The application name of an operation's connection."""
    metadata = operation.get("clientMetadata") or {}
    return str(operation.get("appName") or metadata.get("application", {}).get("name", ""))
