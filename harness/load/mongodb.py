"""A user's session on MongoDB under gevent: PyMongo, whose sockets and locks Locust has made cooperative.

The users of a process share one client, as the threads of an application do (PyMongo, FAQ: "create this client once for each
process"); its pool grows as they need it. Each user has a session of its own. Nothing is sent twice behind our back.

Manual pages followed: Transactions, Error Labels (TransientTransactionError).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from harness.answers import ErrorKind
from harness.engines.mongodb_wire import TRANSIENT, driver, error_record, refusal_in, step_errors
from harness.load.policy import Refused

T = TypeVar("T")
Document = dict[str, Any]

_CONNECT_MS = 10_000
_UNKNOWN = (ErrorKind.in_failed_transaction, ErrorKind.cancelled, ErrorKind.other)


@dataclass(slots=True)
class _Shared:
    client: Any
    users: int = 0


_clients: dict[str, _Shared] = {}  # by URL


class MongoDBClient:
    """A session, for one greenlet at a time. Every method raises :class:`Refused` for what the server or the driver says."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._mongo = driver()
        self._errors = step_errors()
        shared = _clients.get(url)
        if shared is None:
            shared = _clients[url] = _Shared(self._connect(name))
        shared.users += 1
        self._shared: _Shared | None = shared
        self._client = shared.client
        self.database = self._client.get_default_database("promptcontent")
        self._session: Any = None
        try:
            self._session = self._told(self._client.start_session)
            self.command({"find": "content", "limit": 1, "projection": {"_id": 1}})
        except BaseException:
            self.close()
            raise

    def _connect(self, name: str) -> Any:
        return self._told(
            lambda: self._mongo.MongoClient(
                self._url,
                appname=name.encode()[:128].decode(errors="ignore"),
                maxPoolSize=None,
                connectTimeoutMS=_CONNECT_MS,
                serverSelectionTimeoutMS=_CONNECT_MS,
                retryWrites=False,
                retryReads=False,
                serverMonitoringMode="poll",
            )
        )

    def find(
        self,
        collection: str,
        where: Mapping[str, Any],
        *,
        fields: Mapping[str, int] | None = None,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> list[Document]:
        """The documents of a collection, read to the end."""

        def ask() -> list[Document]:
            cursor = self.database[collection].find(where, fields, limit=limit, session=self._session)
            return list(cursor.sort(list(sort)) if sort else cursor)

        return self._told(ask)

    def command(self, command: Mapping[str, Any]) -> Document:
        """Run one command document; gives the reply. A write error in a reply is a refusal as well."""
        reply: Document = self._told(lambda: self.database.command(dict(command), session=self._session))
        if (record := refusal_in(reply)) is not None:
            raise Refused(record)
        return reply

    def transaction(self, work: Callable[[MongoDBClient], T], level: str = "") -> T:
        """Run ``work`` in one transaction, at a read concern or the server's default; a refusal undoes all of it."""
        concern = self._mongo.read_concern.ReadConcern(level or None)
        self._told(
            lambda: self._session.start_transaction(
                read_concern=concern, write_concern=self._mongo.WriteConcern("majority")
            )
        )
        try:
            made = work(self)
            self._told(self._session.commit_transaction)
        except BaseException:
            self._undo()
            raise
        return made

    def reset(self) -> None:
        """No transaction is open any more; the driver makes lost connections anew by itself."""
        self._undo()

    def close(self) -> None:
        """End the session; the last one disconnects. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception), self._mongo.timeout(2):
                session.end_session()
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.users -= 1
            if shared.users == 0:
                _clients.pop(self._url, None)
                with contextlib.suppress(Exception), self._mongo.timeout(2):
                    shared.client.close()

    def _undo(self) -> None:
        if self._session is not None and self._session.in_transaction:
            with contextlib.suppress(*self._errors):
                self._session.abort_transaction()

    def _told(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except self._errors as error:
            record = error_record(error)
            refused = isinstance(error, self._mongo.errors.OperationFailure)
            if refused and cast(Any, error).has_error_label(TRANSIENT) and record.kind in _UNKNOWN:
                # the manual: the whole transaction may be tried again
                record = replace(record, kind=ErrorKind.serialization)
            raise Refused(record) from None
