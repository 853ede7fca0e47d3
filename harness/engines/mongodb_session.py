"""A session on MongoDB: steps, transactions, read concerns, cancelling.

Manual pages followed: Transactions, Read Concern, ``killOp``, ``killSessions``.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from typing import Any

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import OWNED, Notice, Outcome, SessionOptions, Statement, Verb
from harness.engines.mongodb_wire import (
    MARKER,
    connect,
    documents_of,
    driver,
    error_record,
    name_of,
    operations,
    refusal_in,
    step_errors,
    summary_of,
    where,
)
from harness.errors import EngineError, LoginRefused

_READS = ("find", "aggregate", "count", "distinct")
_WRITES = ("insert", "update", "delete", "findAndModify", "findandmodify")
_NO_TRANSACTIONS = 20  # IllegalOperation: a standalone server


def read_back(client: Any, session: Any, database: Any, level: str) -> tuple[str, str]:
    """The level really in force, and a note if the server does not tell; raises OperationFailure if it is refused.

    A read concern goes with each command, so the one place to read it back from is an open transaction's parameters
    in ``$currentOp``. A server that does not show them at least has to refuse a level that does not exist.
    """
    mongo = driver()
    probe = {"find": MARKER, "limit": 1}
    try:
        _begin(session, level)
        database.command(dict(probe), session=session)
        for operation in operations(client):
            lsid = (operation.get("lsid") or {}).get("id")
            parameters = operation.get("transaction", {}).get("parameters", {})
            if lsid == session.session_id["id"] and "readConcern" in parameters:
                return str(parameters["readConcern"].get("level", "local")), ""
        note = "the server does not show a transaction's read concern: the level is what it accepted"
    except mongo.errors.OperationFailure as error:
        if error.code != _NO_TRANSACTIONS:
            raise
        note = "not a replica set: no transactions; the level is what the server accepted on a read"
    finally:
        if session.in_transaction:
            session.abort_transaction()
    database.command(probe | {"readConcern": {"level": level}})
    try:
        database.command(probe | {"readConcern": {"level": "no such level"}})
    except mongo.errors.OperationFailure:
        return level, note
    return level, note + " (and it accepts any word)"


def _begin(session: Any, level: str) -> None:
    mongo = driver()
    session.start_transaction(
        read_concern=mongo.read_concern.ReadConcern(level), write_concern=mongo.WriteConcern("majority")
    )


class MongoSession:
    """One client with one client session."""

    def __init__(self, url: str, options: SessionOptions) -> None:
        self._mongo = driver()
        self._url = url
        self._level = options.level
        self.pid = f"{options.name[:100]}#{uuid.uuid4().hex[:8]}"
        self.notes: list[str] = []
        if options.deadlock_priority != "normal":
            self.notes.append("MongoDB has no deadlocks between documents: the deadlock priority does nothing")
        self._client = connect(url, self.pid, patient=True)
        self._database = self._client.get_default_database("test")
        self._session = self._client.start_session(causal_consistency=False)
        self._open = False  # a transaction is open on the server; the driver's own state only knows what was sent
        self._running = self._cancelled = False
        try:
            self.observed_level, note = read_back(self._client, self._session, self._database, options.level)
            if self._database.name.startswith(OWNED):  # so that Admin.drop can end what a killed client left open
                self._database[MARKER].insert_one({"_id": self._session.session_id["id"], "name": self.pid})
        except self._mongo.errors.PyMongoError as error:
            self.close()
            record = error_record(error)
            line = (
                f"MongoDB at {where(url)} does not open a session at {options.level!r}: {record.code} {record.message}"
            )
            raise (LoginRefused if record.code == "13" else EngineError)(line) from None
        if note:
            self.notes.append(note)

    def run(self, statement: Statement) -> Outcome:
        """Run a command or a verb. Raises EngineError for what is no step: text, a word list, parameters."""
        body = statement.body
        if statement.parameters:
            raise EngineError("a MongoDB step takes no parameters: its values stand in the command document")
        if not isinstance(body, Verb | Mapping) or not body:
            raise EngineError("a MongoDB step is a command document: {find: budgets, filter: {_id: 1}}")
        if isinstance(body, Mapping) and next(iter(body)) in ("commitTransaction", "abortTransaction"):
            raise EngineError("a step ends a transaction by saying commit or rollback, not by a command document")
        self._cancelled = False
        self._running = True
        try:
            if isinstance(body, Verb):
                outcome = {Verb.begin: self._start, Verb.commit: self._commit, Verb.rollback: self._rollback}[body]()
            else:
                outcome = self._command(dict(body))
        finally:
            self._running = False
        outcome.in_transaction = self._open
        return outcome

    def _start(self) -> Outcome:
        if self._session.in_transaction and not self._open:
            self._session.abort_transaction()
        try:
            _begin(self._session, self._level)
        except self._mongo.errors.PyMongoError as error:  # one is in progress
            return Outcome(error=error_record(error))
        self._open = True
        return Outcome(may_release=False)

    def _commit(self) -> Outcome:
        if not self._session.in_transaction:
            return Outcome(may_release=False)
        was_open, self._open = self._open, False
        try:
            self._session.commit_transaction()
        except self._mongo.errors.PyMongoError as error:
            outcome = Outcome(error=error_record(error))
            if isinstance(error, self._mongo.errors.WriteConcernError):
                outcome.ended = TransactionEnd.committed
                outcome.notices.append(Notice("committed on the primary, but the write concern was not met"))
            elif error.has_error_label("UnknownTransactionCommitResult"):
                outcome.notices.append(Notice("nobody knows whether the transaction was committed"))
            elif was_open:
                outcome.ended = TransactionEnd.aborted
            return outcome
        return Outcome(ended=TransactionEnd.committed)

    def _rollback(self) -> Outcome:
        if not self._session.in_transaction:
            return Outcome(may_release=False)
        was_open, self._open = self._open, False
        self._session.abort_transaction()  # the driver swallows errors: the server forgets it in any case
        return Outcome(ended=TransactionEnd.aborted if was_open else None)

    def _command(self, command: dict[str, Any]) -> Outcome:
        outcome = Outcome()
        name = next(iter(command))
        if not self._session.in_transaction:
            self._add_read_concern(name, command, outcome)
        changes = "writeConcern" in command or "$out" in str(command) or "$merge" in str(command)
        quiet = (name in _READS and not changes) or (name in _WRITES and self._open)
        try:
            reply = self._database.command(command, session=self._session)
            outcome.results = [self._result(name, command, reply)]
        except step_errors() as error:
            self._failed(outcome, error)
            return outcome
        outcome.error = refusal_in(reply)
        if outcome.error and "writeErrors" not in reply:
            outcome.notices.append(Notice("the write has taken effect, but its write concern was not met"))
        elif outcome.error and self._open:
            self._open, outcome.ended = False, TransactionEnd.aborted
        outcome.may_release = not quiet or outcome.error is not None
        return outcome

    def _add_read_concern(self, name: str, command: dict[str, Any], outcome: Outcome) -> None:
        """Put the session's level on a read that names none; a database's own aggregate ($currentOp) takes none."""
        if name not in _READS or "readConcern" in command or not isinstance(command[name], str):
            return
        level = self._level
        if level == "snapshot" and name == "count":
            level = "majority"
            outcome.notices.append(
                Notice("count takes no read concern snapshot outside a transaction: it read at majority")
            )
        command["readConcern"] = {"level": level}

    def _result(self, name: str, command: Mapping[str, Any], reply: Mapping[str, Any]) -> ResultSet:
        """A reply as rows; a cursor is read to its end, except one that has none (tailable, a change stream)."""
        cursor = reply.get("cursor")
        if not isinstance(cursor, Mapping) or "firstBatch" not in cursor:
            return summary_of(reply, name)
        documents, collection = list(cursor["firstBatch"]), cursor["ns"].partition(".")[2]
        endless = command.get("tailable") or "$changeStream" in str(command.get("pipeline", "")[:1])
        while cursor["id"] and not endless:
            more = {"getMore": cursor["id"], "collection": collection}
            cursor = self._database.command(more, session=self._session)["cursor"]
            documents += cursor["nextBatch"]
        if cursor["id"]:
            self._database.command({"killCursors": collection, "cursors": [cursor["id"]]}, session=self._session)
        return documents_of(documents, name)

    def _failed(self, outcome: Outcome, error: Exception) -> None:
        """An error that was raised: inside a transaction it is over on the server, or is made to be."""
        outcome.error = error_record(error)
        lost = isinstance(error, self._mongo.errors.ConnectionFailure)
        if lost and self._cancelled:
            text = f"cancelled; the server did so by closing the connection ({error})"
            outcome.error = ErrorRecord(kind=ErrorKind.cancelled, code=outcome.error.code, message=text)
        if not self._open or not (lost or isinstance(error, self._mongo.errors.OperationFailure)):
            return
        self._open, outcome.ended = False, TransactionEnd.aborted
        if lost:  # a transaction outlives its connection, by a minute; its documents shall not stay held
            with contextlib.suppress(self._mongo.errors.PyMongoError), self._mongo.timeout(5):
                self._client.admin.command({"killSessions": [self._session.session_id]})

    def cancel(self) -> None:
        """Kill what the session runs now, from a client of its own: by its operation id, else by its session."""
        if not self._running:
            return
        self._cancelled = True
        with contextlib.suppress(Exception):
            client = connect(self._url, "psh-cancel")
            try:
                self._kill(client)
            finally:
                client.close()

    def _kill(self, client: Any) -> None:
        try:
            found = [
                operation["opid"]
                for operation in operations(client)
                if name_of(operation) == self.pid and operation.get("active") and not _is_monitor(operation)
            ]
            for opid in found:
                client.admin.command({"killOp": 1, "op": opid})
        except self._mongo.errors.OperationFailure:  # no privilege to look
            if self._running:
                client.admin.command({"killSessions": [self._session.session_id]})

    def close(self) -> None:
        """Abort and disconnect; never raises, and does not wait long for a server that has gone."""
        self._open = False
        with contextlib.suppress(Exception), self._mongo.timeout(2):
            self._session.end_session()
        with contextlib.suppress(Exception), self._mongo.timeout(2):
            self._client.close()


def _is_monitor(operation: Mapping[str, Any]) -> bool:
    """The driver's own look at the server; killing that would make it believe the server gone."""
    command = operation.get("command") or {}
    return any(word in command or operation.get("op") == word for word in ("hello", "isMaster", "ismaster"))
