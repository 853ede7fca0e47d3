"""Operations become pairs: an invocation and its completion, by process, as Jepsen writes them down.

A history may have completions only, as Elle's own examples: then nobody knows which operations overlapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.errors import did_you_mean
from harness.evidence.checker.model import Key, Status
from harness.evidence.elle import edn
from harness.evidence.elle.edn import Keyword, Unreadable

ABOUT = "harness"
"""What the ``:f`` of our own operation is, of the process ``:nemesis``, which Elle passes over: see write.py."""

TYPES = ("invoke", "ok", "fail", "info")
_STATUS = {"ok": Status.ok, "fail": Status.fail, "info": Status.info}
_OFTEN = 5_000


@dataclass(slots=True)
class Pair:
    """An operation: asked for, and what became of it. ``value`` is the completion's, or the invocation's if that tells none.

    ``offset`` and ``number`` say where it stands in the file: that of its completion, if there is one.
    """

    process: Key
    f: str
    value: Any
    invoked: int
    began: int | None
    offset: int
    number: int
    status: Status = Status.info
    completed: int | None = None
    ended: int | None = None
    error: str = ""


@dataclass(slots=True)
class Paired:
    """All pairs, in the order of their invocations, and what our own operation says."""

    pairs: list[Pair] = field(default_factory=list)
    about: dict[str, Any] | None = None
    invocations: bool = False
    strangers: bool = False  # some have no process


def paired(operations: Iterable[tuple[int, Any]], now: Callable[[int], None] | None = None) -> Paired:
    """Pair them. ``now`` hears how many were read. Raises Unreadable in words that begin with the operation's number."""
    made = Paired()
    pending: dict[Key | None, Pair] = {}
    orphan: tuple[str, int] | None = None
    place = 0
    for number, (offset, op) in enumerate(operations, 1):
        if now is not None and number % _OFTEN == 0:
            now(number)
        if type(op) is not dict:
            raise _wrong(number, offset, f"{short(op)} is no map with a :type, a :process and a :value")
        kind = op.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            raise _wrong(number, offset, _type_said(kind))
        process = _process(op, number, offset)
        if process == "nemesis":
            if op.get("f") == ABOUT and isinstance(op.get("value"), dict):
                made.about = op["value"]
            continue
        if kind == "invoke":
            if process in pending:
                other = pending[process]
                raise _wrong(
                    number, offset,
                    f"{_who(process)} invokes again, and what became of its operation {other.number} is not told:"
                    " it needs an :ok, :fail or :info line before",
                )  # fmt: skip
            made.invocations = True
            pair = Pair(
                _named(process, made), _f(op), op.get("value"), place, _time(op, number, offset), offset, number,
                error=_error(op),
            )  # fmt: skip
            made.pairs.append(pair)
            pending[process] = pair
        else:
            found = pending.pop(process, None)
            if found is None:
                what = f":{kind} of {_who(process)}, which has invoked nothing: its :invoke line is missing"
                orphan = orphan or (f"operation {number}: {what}", offset)
                pair = Pair(_named(process, made), _f(op), op.get("value"), 0, None, offset, number)
                made.pairs.append(pair)
            else:
                pair = found
                pair.offset, pair.number = offset, number
                value = op.get("value")
                if _tells(kind, pair.f, value):
                    pair.value = value
            pair.status = _STATUS[kind]
            pair.completed = place
            pair.ended = _time(op, number, offset)
            pair.error = _error(op)
        place += 1
        if orphan is not None and made.invocations:
            raise Unreadable(*orphan)
    return made


def _tells(kind: str, f: str, value: Any) -> bool:
    """Whether a completion's value says what was done. If it failed that may be a reason, as ``[:negative 6 -1]``."""
    if kind == "ok":
        return value is not None or f in ("txn", "read")
    return type(value) is list and all(type(op) is list for op in value)


def _wrong(number: int, offset: int, message: str) -> Unreadable:
    return Unreadable(f"operation {number}: {message}", offset)


def short(value: Any) -> str:
    """A value as a message shows it: as EDN, and not all of it."""
    if isinstance(value, list) and value and isinstance(value[0], str):  # a micro-operation begins with its keyword
        value = [Keyword(value[0]), *value[1:]]
    try:
        said = edn.dumps(value)
    except (TypeError, RecursionError):
        said = repr(type(value).__name__)
    return said if len(said) <= 60 else f"{said[:59]}…"


def _type_said(kind: Any) -> str:
    wanted = "it is one of :invoke, :ok, :fail, :info"
    if kind is None:
        return f"there is no :type; {wanted}"
    hint = did_you_mean(kind, TYPES) if isinstance(kind, str) else ""
    return f"its :type is {short(Keyword(kind) if isinstance(kind, str) else kind)}{hint}; {wanted}"


def _process(op: dict[str, Any], number: int, offset: int) -> Key | None:
    process = op.get("process")
    if process is None or type(process) is int or isinstance(process, str):
        return process
    raise _wrong(number, offset, f"its :process is {short(process)}; it is a number, a name or :nemesis")


def _who(process: Key | None) -> str:
    return "an operation without :process" if process is None else f"process {process}"


def _named(process: Key | None, made: Paired) -> Key:
    """A name for who has none: nobody knows what else that process did, so it did nothing else."""
    if process is not None:
        return process
    made.strangers = True
    return f"?{len(made.pairs)}"


def _f(op: dict[str, Any]) -> str:
    f = op.get("f")
    return f if isinstance(f, str) else "txn" if f is None else short(f)


def _time(op: dict[str, Any], number: int, offset: int) -> int | None:
    time = op.get("time")
    if time is None or time == -1:  # -1: Jepsen's own word for not known
        return None
    if type(time) is not int:
        raise _wrong(number, offset, f"its :time is {short(time)}; it is a whole number of nanoseconds")
    return time


def _error(op: dict[str, Any]) -> str:
    error = op.get("error")
    if error is None:
        return ""
    return str(error) if isinstance(error, str) else short(error)
