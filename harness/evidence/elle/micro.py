"""What the values of operations mean, workload by workload: micro-operations, checked one by one.

Elle's ``[[:append 5 1] [:r 6 nil]]`` and ``[[:w 5 1] …]``; our own bank ``[[:r 1 [100 nil]] [:w 1 [90 "T1"]]]`` and counter
``[[:inc 1 [5 12]]]``; Jepsen's bank (``:transfer {:from 1, :to 2, :amount 5}``, ``:read {1 95, 2 105}``) and counter
(``:add 5``, ``:read 12``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.evidence.checker.model import Key, MicroOp, Status, Workload
from harness.evidence.elle.edn import Keyword, Symbol, Unreadable
from harness.evidence.elle.pairing import Pair, short

COUNTER = "counter"
"""What Jepsen's only counter is called here."""

_WRITES = {Workload.list_append: "append", Workload.rw_register: "w", Workload.bank: "w", Workload.counter: "inc"}


def infer(pairs: Sequence[Pair]) -> Workload:
    """Which workload they are of: the first operation that tells. Raises Unreadable if it is none that is known."""
    seen_list = False
    for pair in pairs:
        if pair.f == "transfer" or (pair.f == "read" and isinstance(pair.value, dict)):
            return Workload.bank
        if pair.f in ("add", "increment"):
            return Workload.counter
        if pair.f in ("read", "txn", "write") and pair.value is None:
            continue
        for op in pair.value if isinstance(pair.value, list) else ():
            f, value = (op[0], op[-1]) if isinstance(op, list) and len(op) in (2, 3) else (None, None)
            if f == "append":
                return Workload.list_append
            if f == "inc":
                return Workload.counter
            if f == "w":
                return Workload.bank if isinstance(value, list) and len(value) == 2 else Workload.rw_register
            if f != "r":
                raise _not_known(pair)
            seen_list |= isinstance(value, list)
        if not isinstance(pair.value, list):
            raise _not_known(pair)
    return Workload.list_append if seen_list else Workload.rw_register


def _not_known(pair: Pair) -> Unreadable:
    what = f":f {short(Keyword(pair.f))}, :value {short(pair.value)}"
    return _wrong(
        pair,
        f"{what} is none that is known: a transaction is [[:append KEY ELEMENT] [:r KEY LIST] [:w KEY VALUE] …]; Jepsen's"
        " bank has :transfer and :read {ACCOUNT BALANCE}, its counter :add and :read",
    )


def micro_ops(pair: Pair, workload: Workload) -> tuple[MicroOp, ...]:
    """The micro-operations of a pair. Raises Unreadable if they are not the workload's."""
    value = pair.value
    if pair.f == "txn" or (isinstance(value, list) and all(isinstance(op, list) for op in value)):
        return _transaction(pair, workload)
    if workload is Workload.bank and pair.f in ("transfer", "read"):
        return _of_bank(pair)
    if workload is Workload.counter and pair.f in ("add", "increment", "read"):
        return _of_counter(pair)
    if value is None and pair.status is not Status.ok:
        return ()
    raise _not_known(pair)


def _wrong(pair: Pair, message: str) -> Unreadable:
    return Unreadable(f"operation {pair.number}: {message}", pair.offset)


def _transaction(pair: Pair, workload: Workload) -> tuple[MicroOp, ...]:
    if pair.value is None and pair.status is not Status.ok:
        return ()
    if type(pair.value) is not list:
        raise _wrong(pair, f"its :value is {short(pair.value)}; it is a vector of micro-operations like [:r 6 nil]")
    write, of_read, of_write = _WRITES[workload], _READ[workload], _WRITTEN[workload]
    done = pair.status is Status.ok
    made = []
    for op in pair.value:
        try:
            f, key, value = op
        except (TypeError, ValueError):
            if type(op) is not list or len(op) != 2:
                raise _wrong(pair, f"{short(op)} is no micro-operation; they are like [:r 6 nil]") from None
            (f, key), value = op, None
        if type(key) is not int and (type(key) is not str or type(op) is not list):
            raise _wrong(pair, f"{short(key)} in {short(op)} is no key; a key is a whole number or a name")
        if f == "r":
            seen = of_read(value, done)
        elif f == write:
            seen = of_write(value, done)
        else:
            known = f":r and :{write}"
            raise _wrong(pair, f"{short(op)} is no micro-operation of {workload.value}, which has {known}")
        if seen is _BAD:
            raise _wrong(pair, f"{short(op)}: {_MEANT[workload, f]}")
        made.append(MicroOp(f, key, seen))
    return tuple(made)


def keep_apart(pairs: Sequence[Pair], operations: Sequence[tuple[MicroOp, ...]]) -> None:
    """Raise Unreadable if one object was given two values that are equal and yet not the same, as true, 1 and 1.0 are."""
    odd: dict[Any, dict[Any, str]] = {}  # of objects that were given anything but whole numbers and texts
    for ops in operations:
        for op in ops:
            if type(op.value) not in _PLAIN and op.f in ("append", "w"):
                odd.setdefault(op.key, {}).setdefault(op.value, repr(op.value))
    if not odd:
        return
    for pair, ops in zip(pairs, operations, strict=True):
        for op in ops:
            same = odd[op.key].get(op.value) if op.f in ("append", "w") and op.key in odd else None
            if same is not None and same != repr(op.value):
                value, other = short(op.value), same.lower()
                raise _wrong(
                    pair, f"{short(op.key)} is given {value}, and {other} elsewhere: reads cannot tell them apart"
                )


# -- values. Each function gives what the model wants, or _BAD

_BAD: Any = object()
_PLAIN = frozenset({int, str})
_NUMBERS = frozenset({int, float})


def frozen(value: Any) -> Any:
    """A value that never changes: lists are tuples; _BAD for what cannot be compared."""
    if isinstance(value, list | tuple):
        made = tuple(map(frozen, value))
        return _BAD if any(one is _BAD for one in made) else made
    if value is None or (isinstance(value, int | float | str) and not isinstance(value, Symbol) and value == value):
        return value
    return _BAD


def _element(value: Any, done: bool) -> Any:
    return value if type(value) in _PLAIN else _BAD if value is None else frozen(value)


def _list(value: Any, done: bool) -> Any:
    if value is None:
        return () if done else None  # a list that nobody has appended to is nil, too
    if type(value) is not list:
        return _BAD
    return tuple(value) if _PLAIN.issuperset(map(type, value)) else frozen(value)


def _register(value: Any, done: bool) -> Any:
    return value if type(value) in _PLAIN else frozen(value)


def _balance(value: Any, done: bool) -> Any:
    if type(value) in _NUMBERS:
        return value  # as Jepsen has it: nobody says who wrote it
    return frozen(value) if type(value) is list and len(value) == 2 and type(value[0]) in _NUMBERS else _BAD


def _balance_seen(value: Any, done: bool) -> Any:
    return None if value is None else _balance(value, done)


def _increment(value: Any, done: bool) -> Any:
    if type(value) in _NUMBERS:
        return (value, None)
    if type(value) is not list or len(value) != 2 or type(value[0]) not in _NUMBERS:
        return _BAD
    return tuple(value) if value[1] is None or type(value[1]) in _NUMBERS else _BAD


def _number(value: Any, done: bool) -> Any:
    return value if value is None or type(value) in _NUMBERS else _BAD


_Value = Callable[[Any, bool], Any]
_READ: dict[Workload, _Value] = {
    Workload.list_append: _list,
    Workload.rw_register: _register,
    Workload.bank: _balance_seen,
    Workload.counter: _number,
}
_WRITTEN: dict[Workload, _Value] = {
    Workload.list_append: _element,
    Workload.rw_register: _element,
    Workload.bank: _balance,
    Workload.counter: _increment,
}
_MEANT = {
    (Workload.list_append, "append"): "an element is a number or a text",
    (Workload.list_append, "r"): "a list reads as a vector of its elements, or nil",
    (Workload.rw_register, "w"): "a number or a text is written; nil is what nobody has written",
    (Workload.rw_register, "r"): "a register reads as a number or a text, or nil",
    (Workload.bank, "w"): "an account is written as [BALANCE TAG]",
    (Workload.bank, "r"): "an account reads as [BALANCE TAG], or nil if it is not known",
    (Workload.counter, "inc"): "an increment is [BY NEW], and NEW is nil if nothing came back",
    (Workload.counter, "r"): "a counter reads as a number, or nil if it is not known",
}


# -- Jepsen's own


def _of_bank(pair: Pair) -> tuple[MicroOp, ...]:
    value = pair.value
    if pair.f == "transfer":
        # The balances that a transfer left are told by nobody, so it has no micro-operations.
        if not isinstance(value, dict) or not {"from", "to", "amount"} <= value.keys():
            raise _wrong(pair, f"a transfer is {{:from 1, :to 2, :amount 5}}, not {short(value)}")
        return ()
    if pair.status is not Status.ok:
        return ()
    if not isinstance(value, dict):
        raise _wrong(pair, f"a read of all accounts is {{ACCOUNT BALANCE, …}}, not {short(value)}")
    made = []
    for name, balance in value.items():
        key = _account(name)
        if key is None:
            raise _wrong(pair, f"{short(name)} is no account; it is a whole number or a name")
        if balance is None:
            continue
        if type(balance) not in _NUMBERS:
            raise _wrong(pair, f"account {key} has {short(balance)}; a balance is a number")
        made.append(MicroOp("r", key, balance))
    return tuple(made)


def _account(name: Any) -> Key | None:
    if type(name) is int:
        return name
    if type(name) is not str:
        return None
    return int(name) if name.isdecimal() and name.isascii() and len(name) < 19 else name  # JSON's keys are texts


def _of_counter(pair: Pair) -> tuple[MicroOp, ...]:
    value = pair.value
    if pair.f == "read":
        if value is None and pair.status is not Status.ok:
            return ()
        if type(value) not in _NUMBERS:
            raise _wrong(
                pair, f"a counter reads as a number, not {short(value)}; a history of a set is none of a counter"
            )
        return (MicroOp("r", COUNTER, value),)
    if type(value) not in _NUMBERS:
        raise _wrong(pair, f"{short(value)} cannot be added; it is a number")
    return (MicroOp("inc", COUNTER, (value, None)),)
