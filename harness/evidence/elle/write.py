"""Histories are written in Elle's shape: what :func:`harness.evidence.elle.read.read_history` reads is what was written.

The last operation is our own, of the process ``:nemesis``, which Elle and Jepsen pass over; it says what their shape has no
place for: the workload, values that objects had before, the total of a bank, the sessions' names, for processes are numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from harness.errors import StoreError
from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload
from harness.evidence.elle import edn
from harness.evidence.elle.edn import Keyword
from harness.evidence.elle.pairing import ABOUT

SUFFIXES = (".edn", ".json", ".jsonl")
Now = Callable[[str], None]

_OFTEN = 5_000
_TYPE, _F, _VALUE, _PROCESS = Keyword("type"), Keyword("f"), Keyword("value"), Keyword("process")
_TIME, _INDEX, _ERROR = Keyword("time"), Keyword("index"), Keyword("error")
_INVOKE, _TXN = Keyword("invoke"), Keyword("txn")


def write_history(observed: Observed, file: Path, now: Now | None = None) -> None:
    """Write a history as EDN (``.edn``), one JSON array (``.json``) or JSON lines (``.jsonl``), by the file's name.

    The file is there whole, or as it was. Raises StoreError in one line if the name ends otherwise, the disk says no, or a
    value cannot be written.
    """
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise StoreError(f"{file} cannot be written: a history's file ends with {', '.join(SUFFIXES)}")
    fresh = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8", newline="\n") as out:
            _write(observed, out, suffix, now)
        fresh.replace(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror or error}") from None
    except (TypeError, ValueError) as error:
        raise StoreError(f"{file} cannot be written: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _write(observed: Observed, out: TextIO, suffix: str, now: Now | None) -> None:
    encode = edn.dumps if suffix == ".edn" else _json
    before, between, after = ("[", ",\n", "]\n") if suffix == ".json" else ("", "\n", "\n")
    out.write(before)
    for number, one in enumerate(operations(observed)):
        out.write((between if number else "") + encode(one))
        if now is not None and number % _OFTEN == 0:
            now(f"writing {number:,} operations")
    out.write(after)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def operations(observed: Observed) -> Iterator[dict[Keyword, Any]]:
    """All operations in Elle's shape, keywords as :class:`Keyword`, their ``:index`` counted from 0 in their order.

    Raises ValueError if two transactions of a session overlap, but for a history of which only the completions are known.
    """
    processes = _processes(observed)
    steps = _steps(observed)
    for index, (one, completes) in enumerate(steps):
        made: dict[Keyword, Any] = {
            _INDEX: index,
            _TYPE: Keyword(one.status.value) if completes else _INVOKE,
            _PROCESS: processes[one.process],
            _F: _TXN,
            _VALUE: _value(observed.workload, one, completes),
        }
        time = one.ended if completes else one.began
        if time is not None:
            made[_TIME] = time
        if one.error and (completes or one.completed is None):
            made[_ERROR] = one.error
        yield made
    yield _about(observed, processes, len(steps))


def _processes(observed: Observed) -> dict[Key, int]:
    """A number for each session: its own, if it is one."""
    names = list(dict.fromkeys(one.process for one in observed.transactions))
    taken = {name for name in names if isinstance(name, int)}
    made: dict[Key, int] = {}
    free = 0
    for name in names:
        if isinstance(name, int):
            made[name] = name
            continue
        while free in taken:
            free += 1
        made[name] = free
        taken.add(free)
    return made


def _about(observed: Observed, processes: Mapping[Key, int], index: int) -> dict[Keyword, Any]:
    said: dict[Keyword, Any] = {Keyword("workload"): observed.workload.value, Keyword("source"): observed.source}
    if observed.initial:
        said[Keyword("initial")] = [[_key(key), value] for key, value in observed.initial.items()]
    if observed.total is not None:
        said[Keyword("total")] = observed.total
    if observed.predicates:
        said[Keyword("predicates")] = [_key(key) for key in observed.predicates]
    if named := [[number, name] for name, number in processes.items() if isinstance(name, str)]:
        said[Keyword("processes")] = named
    return {
        _INDEX: index, _TYPE: Keyword("info"), _PROCESS: Keyword("nemesis"), _F: Keyword(ABOUT), _VALUE: said
    }  # fmt: skip


def _steps(observed: Observed) -> list[tuple[Transaction, bool]]:
    """Invocations and completions in their order; each with whether it is a completion."""
    only_completions = bool(observed.transactions) and all(
        one.invoked == 0 and one.completed is not None for one in observed.transactions
    )
    if only_completions and (len(observed.transactions) > 1 or observed.transactions[0].completed == 0):
        return [(one, True) for one in sorted(observed.transactions, key=lambda one: one.completed or 0)]
    steps = [(one.invoked, one, False) for one in observed.transactions]
    steps += [(one.completed, one, True) for one in observed.transactions if one.completed is not None]
    steps.sort(key=lambda step: (step[0], step[2]))
    busy: dict[Key, Transaction] = {}
    for _, one, completes in steps:
        if completes:
            busy.pop(one.process, None)
        elif (other := busy.setdefault(one.process, one)) is not one:
            raise ValueError(f"{one.name} of session {one.process!r} begins before {other.name} of it has ended")
    return [(one, completes) for _, one, completes in steps]


def _value(workload: Workload, one: Transaction, completes: bool) -> list[list[Any]]:
    """The micro-operations: of an invocation, what was asked for."""
    told = completes or one.completed is None
    known = [op for op in one.ops if not _means_otherwise(workload, one, op)]
    return [[Keyword(op.f), _key(op.key), op.value if told else _asked(op)] for op in known]


def _means_otherwise(workload: Workload, one: Transaction, op: MicroOp) -> bool:
    """A read of a list that is not known, in a transaction that committed: to Elle, nil there is the empty list."""
    return workload is Workload.list_append and one.status is Status.ok and op.f == "r" and op.value is None


def _asked(op: MicroOp) -> Any:
    if op.f == "r":
        return None
    return [op.value[0], None] if op.f == "inc" else op.value


def _key(key: Key) -> Key:
    return Keyword(key) if isinstance(key, str) else key
