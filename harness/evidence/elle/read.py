"""Histories are read: Elle's and Jepsen's files of EDN, the same in JSON and JSON lines, and our own ``evidence.json``."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from harness.errors import Location, ScenarioError
from harness.evidence.checker.model import Key, Observed, Status, Transaction, Workload
from harness.evidence.elle import edn, json_forms
from harness.evidence.elle.edn import Unreadable
from harness.evidence.elle.micro import frozen, infer, keep_apart, micro_ops
from harness.evidence.elle.pairing import Paired, paired

_JSON_NAMES = (".json", ".jsonl", ".ndjson")
_LOOKS_LIKE_JSON = re.compile(r'\s*+(?:\[\s*+)?\{\s*+"')
_LOOKS_LIKE_EDN = re.compile(r"\s*+[\[(]?\s*+\{\s*+:")
_NAMED = re.compile(r'\[\s*+:(?:append|r|w|inc)[\s,]++(:[^\s,()\[\]{}";]++|"[^"\\]*+")')

Now = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Read:
    """A history, and what there is to say about how it was read, a line each."""

    observed: Observed
    notes: list[str] = field(default_factory=list)


def read_history(file: Path, workload: Workload | None = None) -> Observed:
    """Read a history. Without ``workload``, its operations tell which it is.

    Raises ScenarioError, in one line with the file, the line and the operation's number, for what is no history.
    """
    return read_file(file, workload).observed


def read_file(file: Path, workload: Workload | None = None, now: Now | None = None) -> Read:
    """Read a history, and what there is to say about it. ``now`` hears how far it is. Raises as :func:`read_history`."""
    text = _text(file)
    try:
        with _no_collection():
            if _is_json(file, text):
                return _json(file, text, workload, now)
            made = _made(paired(edn.forms(text), _heard(now, file)), file, workload)
            if any(type(op.key) is str for one in made.observed.transactions for op in one.ops):
                _names_apart(text)
            return made
    except Unreadable as error:
        _refuse(file, text, error.message, error.offset)
    except RecursionError:
        raise ScenarioError(f"{file}: too many collections within each other: this is no history") from None


def _names_apart(text: str) -> None:
    """Raise Unreadable if an object is called both ``:x`` and ``"x"``: they may be two."""
    found: dict[str, str] = {}
    for match in _NAMED.finditer(text):
        said = match[1]
        name = said.strip(':"')
        if found.setdefault(name, said) != said:
            raise Unreadable(f"{said} is called {found[name]} before: one object, or two?", match.start(1))


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{file} cannot be read: {error.strerror or error}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = "this is no text in UTF-8: a history is a file of EDN or JSON"
        raise ScenarioError(message, Location(file, line, column)) from None


def _refuse(file: Path, text: str, message: str, offset: int) -> NoReturn:
    line = text.count("\n", 0, offset) + 1
    raise ScenarioError(message, Location(file, line, offset - text.rfind("\n", 0, offset))) from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of small lists are made, none of them garbage: looking for garbage would take half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _heard(now: Now | None, file: Path) -> Callable[[int], None] | None:
    return None if now is None else lambda number: now(f"reading {file.name}: {number:,} operations")


def _is_json(file: Path, text: str) -> bool:
    if file.suffix.lower() in _JSON_NAMES:
        return _LOOKS_LIKE_EDN.match(text) is None
    return file.suffix.lower() != ".edn" and _LOOKS_LIKE_JSON.match(text) is not None


def _json(file: Path, text: str, workload: Workload | None, now: Now | None) -> Read:
    operations = json_forms.forms(text)
    first = next(operations, None)
    if first is not None and isinstance(first[1], dict) and "type" not in first[1]:
        whole = first[1].get("history", first[1])
        if isinstance(whole, dict) and {"events", "case"} <= whole.keys():
            return _of_scenario(file, whole, workload)

    def again() -> Iterator[tuple[int, Any]]:
        if first is not None:
            yield first
            yield from operations

    return _made(paired(again(), _heard(now, file)), file, workload)


def _of_scenario(file: Path, whole: dict[str, Any], workload: Workload | None) -> Read:
    from harness.evidence.elle.convert import converted
    from harness.history import History

    if workload not in (None, Workload.rw_register):
        raise ScenarioError(f"{file}: a scenario's history is one of rw-register, not of {workload.value}")
    try:
        history = History.model_validate_json(json.dumps(whole))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ScenarioError(f"{file}: this is no evidence of this harness: {where}: {first['msg']}") from None
    observed, notes = converted(history, source=str(file))
    return Read(observed, notes)


def _made(all_: Paired, file: Path, workload: Workload | None) -> Read:
    about = all_.about or {}
    kind = workload or _workload_in(about, file) or infer(all_.pairs)
    if not all_.pairs and not about:
        raise ScenarioError(f"{file}: there is no operation in it: a history has one map a line, {{:type :invoke, …}}")
    operations = [micro_ops(pair, kind) for pair in all_.pairs]
    if kind in (Workload.list_append, Workload.rw_register):
        keep_apart(all_.pairs, operations)
    names = {number: name for number, name in _couples(about.get("processes"), file)}
    transactions = tuple(
        Transaction(
            index,
            names.get(pair.process, pair.process),
            pair.status,
            operations[index],
            pair.invoked,
            pair.completed,
            pair.began,
            pair.ended,
            pair.error,
        )
        for index, pair in enumerate(all_.pairs)
    )
    notes = []
    if all_.strangers:
        notes.append("operations without :process are taken to be of a session of their own each")
    if all_.pairs and not all_.invocations:
        notes.append("there are completions only: which transactions overlapped in time is not known")
    total = about.get("total")
    if kind is Workload.bank and total is None:
        total = _total(transactions, notes)
    elif total is not None and type(total) is not int:
        raise ScenarioError(f"{file}: the total of all accounts is {total!r}, which is no whole number")
    source = about.get("source")
    return Read(
        Observed(
            kind,
            transactions,
            {key: frozen(value) for key, value in _couples(about.get("initial"), file)},
            total,
            source if isinstance(source, str) else str(file),
            tuple(_keys(about.get("predicates"), file)),
        ),
        notes,
    )


def _workload_in(about: Mapping[str, Any], file: Path) -> Workload | None:
    said = about.get("workload")
    if said is None:
        return None
    try:
        return Workload(said)
    except ValueError:
        known = ", ".join(Workload)
        raise ScenarioError(
            f"{file}: its operation :f :harness says that the workload is {said!r}, and not {known}"
        ) from None


def _couples(said: Any, file: Path) -> list[tuple[Key, Any]]:
    """``[[key value] …]`` of our own operation."""
    if said is None:
        return []
    if isinstance(said, list) and all(
        isinstance(one, list) and len(one) == 2 and (type(one[0]) is int or isinstance(one[0], str)) for one in said
    ):
        return [(one[0], one[1]) for one in said]
    raise ScenarioError(
        f"{file}: its operation :f :harness says {said!r} where there should be pairs of a key and a value"
    )


def _keys(said: Any, file: Path) -> list[Key]:
    if said is None:
        return []
    if isinstance(said, list) and all(type(one) is int or isinstance(one, str) for one in said):
        return said
    raise ScenarioError(f"{file}: its operation :f :harness says {said!r} where there should be keys")


def _total(transactions: tuple[Transaction, ...], notes: list[str]) -> int | None:
    """Of Jepsen's bank, which does not say what the accounts have together: what most reads of all of them show.

    All accounts are those that any read shows; a read of fewer tells nothing of the total.
    """
    reads: list[tuple[str, dict[Key, Any]]] = []
    for one in transactions:
        balances = {op.key: op.value for op in one.ops if op.f == "r"}
        if one.status is Status.ok and balances and all(isinstance(value, int | float) for value in balances.values()):
            reads.append((one.name, balances))
    accounts = {key for _, balances in reads for key in balances}
    names: dict[int | float, list[str]] = {}  # by the sum, who read it
    for name, balances in reads:
        if len(balances) == len(accounts):
            names.setdefault(sum(balances.values()), []).append(name)
    if not names:
        return None
    total = max(names, key=lambda one: len(names[one]))
    said = f"the file does not say what all accounts have together: {total}, as {names[total][0]} reads"
    if len(names) > 1:
        same = sum(map(len, names.values()))
        said += f"; of {same} reads of all accounts {len(names[total])} show that, and the others contradict it"
    notes.append(said)
    return int(total) if total == int(total) else None
