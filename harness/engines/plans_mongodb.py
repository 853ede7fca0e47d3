"""MongoDB's plans: ``explain``, and a database that looks as if an index were not there.

Nothing of it can be rolled back. So on a database in use an index is never dropped but hidden (``collMod``, manual
page Hidden Indexes): its writes go on, the planner does not see it, and it is shown again at once. What a run that
was killed has left hidden is noted in the collection ``psh_plan``, and shown again by the next bench; indexes that a
bench makes are called ``psh_plan_…`` and go with it, or by the next one. On a database of the run's own indexes are
dropped and made again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.engines.base import Statement
from harness.engines.mongodb_wire import connect, driver, error_record, name_of, operations, where
from harness.engines.plans_base import OWN_INDEX, Change, NotTimed, Told, creates_index
from harness.errors import EngineError, did_you_mean

NOTES = "psh_plan"
"""The collection that knows what is hidden, and by which run."""

_READS = ("find", "aggregate", "count", "distinct")
_FORMAT = re.compile(rf"^{OWN_INDEX}([0-9a-z]+)_")

Index = tuple[str, str]
"""Collection and name."""


def explained(database: Any, command: Mapping[str, Any], verbosity: str) -> str:
    """The reply of ``explain`` as relaxed extended JSON, without the cluster's times. Raises PyMongoError."""
    from bson import json_util

    reply = database.command({"explain": dict(command), "verbosity": verbosity})
    kept = {key: value for key, value in reply.items() if key not in ("$clusterTime", "operationTime", "ok")}
    return json_util.dumps(kept, json_options=json_util.RELAXED_JSON_OPTIONS, indent=1)


class MongoBench:
    """A client of its own, called ``psh:RUN/plans``. Raises LoginRefused, ServerError, EngineError."""

    def __init__(self, url: str, run: str, *, disposable: bool) -> None:
        self._mongo = driver()
        self._where = where(url)
        self._run = re.sub("[^0-9a-z]", "", run) or "0"
        self._client = connect(url, f"psh:{run}/plans", patient=True)
        self._database = self._client.get_default_database("test")
        self._disposable = disposable
        self.notes: list[str] = []
        self._changes = (Change(), Change())
        self._own: tuple[list[tuple[str, dict[str, Any]]], list[tuple[str, dict[str, Any]]]] = ([], [])
        self._unheeded: set[int] = set()  # states whose hidden indexes the server goes on using
        self._natural = False  # so there no index at all is asked for
        self._state = 0
        try:
            build = self._client.admin.command("buildInfo")
            self.product = "SecantusDB" if "secantusVersion" in build else "MongoDB"
            self.version = str(build.get("secantusVersion") or build["version"])
            self._sweep()
        except self._mongo.errors.PyMongoError as error:
            self.close()
            raise self._said(error) from None

    def _sweep(self) -> None:
        """Take back what runs left here that are no longer connected."""
        living: set[str] | None = None
        for collection, index in self._every_index():
            owner = _FORMAT.match(str(index["name"]))
            if owner:
                living = self._living() if living is None else living
                if owner[1] not in living:
                    self._database.command({"dropIndexes": collection, "index": index["name"]})
                    self.notes.append(f"dropped {collection}.{index['name']}, which a run that died had left")
        for note in list(self._database[NOTES].find({})):
            living = self._living() if living is None else living
            if note["run"] not in living:
                self._hide(note["collection"], note["index"], hidden=False)
                self.notes.append(f"{note['collection']}.{note['index']} is shown again: a run that died had hidden it")

    def _living(self) -> set[str]:
        names = (name_of(operation) for operation in operations(self._client))
        return {self._run, *(found[1] for name in names if (found := re.match(r"psh:([0-9a-z]+)", name)))}

    def _every_index(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in self._database.list_collection_names():
            if name.startswith("system.") or name == NOTES:
                continue
            try:
                for index in self._database[name].list_indexes():
                    yield name, dict(index)
            except self._mongo.errors.OperationFailure:  # a view has none, or it has just been dropped
                continue

    def indexes(self) -> dict[str, str]:
        """By name, their collections; one of ``_id`` alone cannot be hidden or dropped."""
        with self._told():
            return {str(index["name"]): name for name, index in self._every_index() if index["name"] != "_id_"}

    def prepare(self, setup: Sequence[str | Mapping[str, Any]], before: Change, after: Change) -> None:
        """Make what both states need: indexes of our own names."""
        self._changes = (before, after)
        with self._told():
            if setup and not self._disposable:
                raise EngineError("on MongoDB 'setup' needs a database of the run's own: it cannot be rolled back")
            for body in setup:
                self._database.command(dict(_document(body)))
            for number, change in enumerate(self._changes):
                for body in change.statements:
                    command = _document(body)
                    if not creates_index(command):
                        raise EngineError(
                            "a state of MongoDB is made by createIndexes, or without an index ('drop NAME'), not by "
                            f"{next(iter(command), 'nothing')!r}: nothing else could be taken back"
                        )
                    for index in command["indexes"]:
                        own = {**index, "name": f"{OWN_INDEX}{self._run}_{index['name']}"}
                        self._own[number].append((str(command["createIndexes"]), own))
            for collection, index in (*self._own[0], *self._own[1]):
                self._create(collection, index)

    @contextlib.contextmanager
    def state(self, number: int) -> Iterator[None]:
        """Without the other state's indexes, and without those that this one drops."""
        with self._told(), contextlib.ExitStack() as undoing:
            for collection, index in self._own[1 - number]:
                self._drop(collection, index["name"])
                undoing.callback(self._create, collection, index)
            self._state, self._natural = number, number in self._unheeded
            undoing.callback(setattr, self, "_natural", False)
            for name in self._changes[number].drops:
                collection, index = self._find(name)
                if self._disposable:
                    self._drop(collection, name)
                    undoing.callback(self._create, collection, index)
                else:
                    self._hide(collection, name, hidden=True)
                    undoing.callback(self._hide, collection, name, hidden=False)
            yield

    def _find(self, name: str) -> tuple[str, dict[str, Any]]:
        found = {str(index["name"]): (collection, index) for collection, index in self._every_index()}
        if name not in found:
            raise EngineError(
                f"there is no index {name!r} here{did_you_mean(name, found)}; there are: {', '.join(found)}"
            )
        return found[name]

    def _create(self, collection: str, index: Mapping[str, Any]) -> None:
        kept = {key: value for key, value in index.items() if key not in ("v", "ns", "hidden")}
        kept["key"] = dict(kept["key"])
        self._database.command({"createIndexes": collection, "indexes": [kept]})

    def _drop(self, collection: str, name: str) -> None:
        self._database.command({"dropIndexes": collection, "index": name})

    def _hide(self, collection: str, name: str, *, hidden: bool) -> None:
        note = {"_id": f"{collection}.{name}"}
        if hidden:  # written down first: whoever is killed in between leaves a note too many, never one too few
            told = {**note, "run": self._run, "collection": collection, "index": name}
            self._database[NOTES].replace_one(note, told, upsert=True)
        with contextlib.suppress(self._mongo.errors.OperationFailure) if not hidden else contextlib.nullcontext():
            self._database.command({"collMod": collection, "index": {"name": name, "hidden": hidden}})
        if not hidden:
            self._database[NOTES].delete_one(note)
            if self._database[NOTES].estimated_document_count() == 0:
                self._database[NOTES].drop()

    def explain(self, statement: Statement) -> str:
        """``explain`` with ``executionStats``: the server executes it, and does not apply what it would write."""
        command = dict(_document(statement.body))
        with self._told():
            text = explained(self._database, command, "executionStats")
            hidden = self._hidden()
            if hidden and not self._disposable and any(f'"indexName": "{name}"' in text for name in hidden):
                # What the stand-in does: it takes the word and goes on using the index.
                self._natural = True
                self._unheeded.add(self._state)
                self._note(f"{self.product} does not heed hidden indexes: asked with hint {{$natural: 1}} instead")
                text = explained(self._database, self._asked(command), "executionStats")
            return text

    def _hidden(self) -> list[str]:
        return [str(note["index"]) for note in self._database[NOTES].find({"run": self._run})]

    def _asked(self, command: dict[str, Any]) -> dict[str, Any]:
        return {**command, "hint": {"$natural": 1}} if self._natural else command

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def warm(self, statement: Statement) -> None:
        """Run it once, if it only reads: a change of indexes has emptied the plan cache."""
        with contextlib.suppress(NotTimed):
            self.run(statement)

    def run(self, statement: Statement) -> int:
        """Execute it. Raises NotTimed for a write: it could not be undone."""
        command = dict(_document(statement.body))
        if next(iter(command)) not in _READS or any(word in str(command) for word in ("$out", "$merge")):
            raise NotTimed("what is no plain read on MongoDB is explained, not timed: it could not be undone")
        with self._told():
            reply = self._database.command(self._asked(command))
            cursor = reply.get("cursor")
            if not isinstance(cursor, Mapping):
                return int(reply.get("n", len(reply.get("values", ()))))
            count, collection = len(cursor["firstBatch"]), str(cursor["ns"]).partition(".")[2]
            while cursor["id"]:
                cursor = self._database.command({"getMore": cursor["id"], "collection": collection})["cursor"]
                count += len(cursor["nextBatch"])
            return count

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._mongo.errors.PyMongoError as error:
            raise self._said(error) from None

    def _said(self, error: Exception) -> EngineError:
        record = error_record(error)
        return EngineError(f"MongoDB at {self._where} says {record.code} {' '.join(record.message.split())[:200]}")

    def close(self) -> None:
        """Drop our own indexes, disconnect."""
        with contextlib.suppress(Exception):
            for collection, index in (*self._own[0], *self._own[1]):
                with contextlib.suppress(self._mongo.errors.OperationFailure):
                    self._drop(collection, index["name"])
        with contextlib.suppress(Exception):
            self._client.close()


class MongoExplainer:
    """``explain`` with ``queryPlanner`` in a session of its own: what the server would do now; it executes nothing."""

    WAY = "explain in a second session, not executed"

    def __init__(self, url: str, run: str) -> None:
        self._mongo = driver()
        self._client = connect(url, f"psh:{run}/plans")
        self._database = self._client.get_default_database("test")

    def plan_of(self, pid: str, statement: Statement) -> Told:
        """The plan of the command, whoever ran it."""
        if not isinstance(statement.body, Mapping):
            return Told(self.WAY, note="no plan: not a command document")
        try:
            return Told(self.WAY, "json", explained(self._database, statement.body, "queryPlanner"))
        except (self._mongo.errors.PyMongoError, ValueError, TypeError) as error:
            return Told(self.WAY, note=f"no plan: {' '.join(str(error).split())[:200]}")

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):
            self._client.close()


def _document(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping) or not body:
        raise EngineError("a MongoDB statement is a command document: {find: content, filter: {_id: 1}}")
    return body
