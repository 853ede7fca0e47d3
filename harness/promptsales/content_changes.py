"""Changes of contents as the outbox wants them: the content and an entry that says so, in one transaction.

An entry's ``position`` is the next one of a counter, taken in the same transaction. Two transactions that take it at once
are a write conflict, so positions follow each other in the order of the commits, and leave out none. The counter is taken
first: who loses has done nothing else yet, and is tried again (``TransientTransactionError``).

Written into MongoDB by the commands themselves, so that a user of a load can do the same over its own connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import DataError

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession
    from pymongo.database import Database

T = TypeVar("T")
Document = dict[str, Any]
Run = Callable[[Document], Mapping[str, Any]]
"""Runs a command document in the transaction, and gives its answer."""

COUNTER, OUTBOX, CONTENT = "counter", "outbox", "content"


def transact(database: Database[Document], work: Callable[[Run], T]) -> T:
    """What ``work`` does by the commands it runs, all of it or nothing; done again where others were in its way.

    Raises DataError: what ``work`` raises, and what the server says in a line.
    """
    from pymongo.errors import PyMongoError
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern

    def once(session: ClientSession) -> T:
        return work(lambda command: database.command(command, session=session))

    try:
        with database.client.start_session() as session:
            return session.with_transaction(once, ReadConcern("snapshot"), WriteConcern("majority"))
    except PyMongoError as error:
        said = " ".join(str(error).split(", full error")[0].split())
        raise DataError(f"PromptContent cannot be written: {said}") from error


def change_content(run: Run, content_id: int, update: Mapping[str, Any]) -> Document:
    """Change a content by MongoDB's update operators, and note it down; the content after it.

    To be run in a transaction. Raises DataError if there is no such content; what the transaction did is then to be undone.
    """
    position = _next(run)
    found = run({"findAndModify": CONTENT, "query": {"_id": content_id}, "update": dict(update), "new": True})["value"]
    if not found:
        raise missing(content_id)
    content: Document = dict(found)
    _note(run, position, content_id, "update", content)
    return content


def put_content(run: Run, content: Mapping[str, Any]) -> bool:
    """Have a content there as it is given, and note it down; whether it is a new one. To be run in a transaction."""
    position = _next(run)
    content_id = content["_id"]
    answer = run({"findAndModify": CONTENT, "query": {"_id": content_id}, "update": dict(content), "upsert": True})
    new = not answer["lastErrorObject"]["updatedExisting"]
    _note(run, position, content_id, "insert" if new else "update", content)
    return new


def delete_content(run: Run, content_id: int) -> Document:
    """Remove a content, and note it down; the content as it was. To be run in a transaction.

    Raises DataError as :func:`change_content`.
    """
    position = _next(run)
    found = run({"findAndModify": CONTENT, "query": {"_id": content_id}, "remove": True})["value"]
    if not found:
        raise missing(content_id)
    _note(run, position, content_id, "delete", None)
    return dict(found)


def renew_origin(run: Run) -> None:
    """Say that contents were written past the outbox: who reads it begins anew. No transaction is needed."""
    from bson import Int64, ObjectId

    change = {"$set": {"origin": str(ObjectId())}, "$setOnInsert": {"position": Int64(0)}}
    run({"update": COUNTER, "updates": [{"q": {"_id": OUTBOX}, "u": change, "upsert": True}]})


def purge_outbox(run: Run, upto: int) -> int:
    """Remove the entries up to a position, itself too; how many they were. No transaction is needed.

    Only what the ETL has merged may go: ``upto`` is at most its watermark. Should more go, the first entry that comes
    after it does not follow the watermark: then the ETL sees that it has missed some, and all contents are to be read.
    """
    return int(run({"delete": OUTBOX, "deletes": [{"q": {"position": {"$lte": upto}}, "limit": 0}]})["n"])


def missing(content_id: int) -> DataError:
    """What to say of a content that is not there."""
    return DataError(f"there is no content {content_id}")


def _next(run: Run) -> int:
    from bson import Int64, ObjectId

    # The schema has made it; where somebody removed it, this is another history.
    change = {"$inc": {"position": Int64(1)}, "$setOnInsert": {"origin": str(ObjectId())}}
    command = {"findAndModify": COUNTER, "query": {"_id": OUTBOX}, "update": change, "new": True, "upsert": True}
    return int(run(command)["value"]["position"])


def _note(run: Run, position: int, content_id: int, operation: str, content: Mapping[str, Any] | None) -> None:
    from bson import Int64, ObjectId

    entry: Document = {
        "_id": ObjectId(),
        "position": Int64(position),
        "content_id": content_id,
        "operation": operation,
        "at": datetime.now(UTC),
    }
    if content is not None:
        entry["content"] = dict(content)
    answer = run({"insert": OUTBOX, "documents": [entry]})
    if answer.get("writeErrors"):
        raise DataError(
            f"the outbox refuses a change of content {content_id}: {answer['writeErrors'][0].get('errmsg')}"
        )
