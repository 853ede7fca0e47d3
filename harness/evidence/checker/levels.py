"""Isolation levels, which of them is stronger than which, and what each one forbids.

``excluded`` says which levels a history cannot have had, given what was found in it; ``possible`` the strongest of the
others. The lattice and the anomalies are those of Elle (its ``consistency_model.clj``), which names these sources:

- Adya, *Weak Consistency* (PhD thesis, MIT 1999): PL-1, PL-2, PL-CS, PL-2L, PL-MSR, PL-2+, PL-FCV, PL-2.99, PL-SI, PL-3U,
  PL-3, PL-SS.
- Bailis et al., *Highly Available Transactions* (VLDB 2013): monotonic atomic view, and that cursor stability and repeatable
  read have no lost updates. Bailis et al., *Scalable Atomic Visibility with RAMP Transactions* (SIGMOD 2014): read atomic.
- Cerone, Bernardi, Gotsman, *A Framework for Transactional Consistency Models with Atomic Visibility* (CONCUR 2015): causal,
  prefix, parallel snapshot isolation. Cerone, Gotsman, *Analysing Snapshot Isolation* (JACM 2018): what cycles those forbid.
- Daudjee, Salem, *Lazy Database Replication with Snapshot Isolation* (VLDB 2006): strong, and strong session.

It differs where Elle is incomplete or guesses: parallel snapshot isolation forbids cycles with one rw (Cerone and Gotsman),
causal those whose other edges are wr; monotonic view forbids that what was observed vanishes (Adya's G-monotonic);
versions that are cyclic only because writes follow reads are circular information flow, so read uncommitted stays possible;
a read that contradicts its own transaction is at least a read skew. Names are SQL's as this house uses them: "repeatable
read" is Adya's PL-2.99, not what a product calls so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from harness.errors import did_you_mean

LATTICE: Final[Mapping[str, tuple[str, ...]]] = {
    "read uncommitted": (),
    "read committed": ("read uncommitted",),
    "monotonic view": ("read committed",),
    "monotonic snapshot read": ("read committed",),
    "monotonic atomic view": ("read committed",),
    "cursor stability": ("read committed",),
    "read atomic": ("monotonic atomic view",),
    "causal": ("read atomic",),
    "update atomic": ("read atomic",),
    "prefix": ("causal",),
    "consistent view": ("cursor stability", "monotonic view"),
    "forward consistent view": ("consistent view",),
    "parallel snapshot isolation": ("causal", "update atomic"),
    "repeatable read": ("cursor stability", "monotonic atomic view"),
    "update serializable": ("forward consistent view",),
    "snapshot isolation": (
        "forward consistent view",
        "monotonic atomic view",
        "monotonic snapshot read",
        "parallel snapshot isolation",
        "prefix",
    ),
    "serializable": ("repeatable read", "snapshot isolation", "update serializable"),
    "strong session read uncommitted": ("read uncommitted",),
    "strong session read committed": ("read committed", "strong session read uncommitted"),
    "strong session snapshot isolation": ("snapshot isolation", "strong session read committed"),
    "strong session serializable": ("serializable", "strong session snapshot isolation"),
    "strong read uncommitted": ("strong session read uncommitted",),
    "strong read committed": ("strong session read committed", "strong read uncommitted"),
    "strong snapshot isolation": ("strong session snapshot isolation", "strong read committed"),
    "strict serializable": ("strong session serializable", "strong snapshot isolation"),
}
"""Each level with those that are directly weaker: what has the former has the latter. Weaker ones come first."""

ADYA: Final[Mapping[str, str]] = {
    "read uncommitted": "PL-1",
    "read committed": "PL-2",
    "cursor stability": "PL-CS",
    "monotonic view": "PL-2L",
    "monotonic snapshot read": "PL-MSR",
    "consistent view": "PL-2+",
    "forward consistent view": "PL-FCV",
    "repeatable read": "PL-2.99",
    "snapshot isolation": "PL-SI",
    "update serializable": "PL-3U",
    "serializable": "PL-3",
    "strict serializable": "PL-SS",
}
"""Adya's own names."""

FORBIDS: Final[Mapping[str, tuple[str, ...]]] = {
    "read uncommitted": ("G0", "duplicate-elements", "garbage-read"),
    "read committed": ("G1",),
    "monotonic view": ("observed-transaction-vanishes",),
    "monotonic atomic view": ("observed-transaction-vanishes",),
    "cursor stability": ("lost-update",),
    "read atomic": ("internal", "fractured-read"),
    "causal": ("causality-violation",),
    "update atomic": ("lost-update",),
    "prefix": ("long-fork",),
    "consistent view": ("G-single",),
    "parallel snapshot isolation": ("G-single",),
    "repeatable read": ("G2-item",),
    "update serializable": ("G-update",),
    "snapshot isolation": ("G-nonadjacent",),
    "serializable": ("G2",),
    "strong session read uncommitted": ("G0-process",),
    "strong session read committed": ("G1-process",),
    "strong session snapshot isolation": ("G-nonadjacent-process",),
    "strong session serializable": ("G2-process",),
    "strong read uncommitted": ("G0-realtime",),
    "strong read committed": ("G1-realtime",),
    "strong snapshot isolation": ("G-nonadjacent-realtime",),
    "strict serializable": ("G2-realtime",),
}
"""What each level forbids besides what weaker ones do."""

_DATA: Final[Mapping[str, tuple[str, ...]]] = {
    "G0": ("G1c",),
    "G1c": ("G1",),
    "G-single": ("G-nonadjacent", "G2-item"),
    "G-nonadjacent": ("G2-item",),
    "G2-item": ("G2",),
}

IMPLIES: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: (*more, f"{name}-process") for name, more in _DATA.items()},
    **{
        f"{name}{suffix}": (
            *(f"{other}{suffix}" for other in more),
            *((f"{name}-realtime",) if suffix == "-process" else ()),
        )
        for name, more in _DATA.items()
        for suffix in ("-process", "-realtime")
    },
    "G1a": ("G1",),
    "G1b": ("G1",),
    "G1": ("G1-process",),
    "G1-process": ("G1-realtime",),
    "G2": ("G2-process",),
    "G2-process": ("G2-realtime",),
    "long-fork": ("G-nonadjacent",),
    "G-update": ("G2",),
    "lost-update": ("G-single",),
    "internal": ("G-single",),
    "wrong-total": ("G-single",),
    "causality-violation": ("G-single",),
    "fractured-read": ("G-single",),
    "observed-transaction-vanishes": ("fractured-read",),
    "dirty-update": ("G1a",),
    "incompatible-order": ("G1a",),
    "future-read": ("G1c",),
    "cyclic-versions": ("G1c",),
}
"""What an anomaly is an instance of: another one, which is then there, too."""

TITLES: Final[Mapping[str, str]] = {
    "duplicate-elements": "duplicate elements",
    "garbage-read": "garbage read",
    "incompatible-order": "incompatible orders",
    "cyclic-versions": "cyclic versions",
    "internal": "internal inconsistency",
    "future-read": "future read",
    "G0": "dirty write",
    "dirty-update": "dirty update",
    "G1a": "aborted read",
    "G1b": "intermediate read",
    "G1c": "circular information flow",
    "lost-update": "lost update",
    "wrong-total": "wrong total",
    "G-single": "read skew",
    "long-fork": "long fork",
    "G-nonadjacent": "non-adjacent anti-dependencies",
    "G2-item": "write skew",
    "G2": "write skew over a predicate",
}
"""Plain names, the most basic anomaly first. Of ``-process`` and ``-realtime`` see :func:`title`."""


def title(name: str) -> str:
    """An anomaly's plain name.

    >>> title("G-single-realtime")
    'read skew in real time'
    """
    for suffix, words in (("-process", " within sessions"), ("-realtime", " in real time")):
        if name.endswith(suffix):
            return TITLES.get(name.removesuffix(suffix), name) + words
    return TITLES.get(name, name)


def severity(name: str) -> tuple[int, int, str]:
    """A key to sort anomalies by: of data alone, then within sessions, then in real time; the most basic first."""
    plain = name.removesuffix("-process").removesuffix("-realtime")
    order = list(TITLES)
    variant = 2 if name.endswith("-realtime") else 1 if name.endswith("-process") else 0
    return variant, order.index(plain) if plain in order else len(order), name


def level(name: str) -> str:
    """The level of a name, or of one of Adya's.

    Raises ValueError with the nearest known name.

    >>> level("PL-2.99"), level("Read Committed"), level("snapshot")
    ('repeatable read', 'read committed', 'snapshot isolation')
    """
    word = " ".join(name.strip().lower().replace("_", " ").split())
    other = {adya.lower(): ours for ours, adya in ADYA.items()} | {
        "snapshot": "snapshot isolation",
        "strong serializable": "strict serializable",
    }
    spaced = {known.replace("-", " "): known for known in LATTICE}
    found = word if word in LATTICE else other.get(word) or spaced.get(word.replace("-", " "))
    if found is None:
        raise ValueError(f"unknown isolation level {name!r}{did_you_mean(word, LATTICE)} (known: {', '.join(LATTICE)})")
    return found


def _reach(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges.get(name, ()))
    return found


def implied(names: Iterable[str]) -> set[str]:
    """These anomalies and all that they are instances of."""
    return _reach(names, IMPLIES)


def forbidden(name: str) -> set[str]:
    """All anomalies that a level forbids, by their names: those that a report may have.

    >>> sorted(forbidden("read uncommitted"))
    ['G0', 'duplicate-elements', 'garbage-read']
    """
    weaker = _reach([level(name)], LATTICE)
    direct = {anomaly for one in weaker for anomaly in FORBIDS.get(one, ())}
    known = {*IMPLIES, *TITLES, *direct}
    return {anomaly for anomaly in known if implied([anomaly]) & direct}


def excluded(names: Iterable[str], conditions: Collection[str] = ()) -> list[str]:
    """The levels that a history with these anomalies cannot have had, the weakest first.

    ``conditions``: those of them that lie on conditions only, and so are phantoms, which Adya's repeatable read has.

    >>> excluded(["G2-item"])
    ['repeatable read', 'serializable', 'strong session serializable', 'strict serializable']
    """
    names = list(names)
    there, rows = implied(names), implied(name for name in names if name not in conditions)
    broken = {
        one
        for one, anomalies in FORBIDS.items()
        if (rows if one == "repeatable read" else there).intersection(anomalies)
    }
    found: list[str] = []
    for one, weaker in LATTICE.items():
        if one in broken or any(other in found for other in weaker):
            found.append(one)
    return found


def possible(
    names: Iterable[str], conditions: Collection[str] = (), *, process: bool = True, realtime: bool = True
) -> list[str]:
    """The strongest levels that these anomalies do not exclude, the weakest first. None at all, if there is none.

    Levels of sessions' order (``process``) and of real time count only if that was looked at.

    >>> possible(["G2-item"]), possible([]), possible([], realtime=False)
    (['update serializable', 'strong snapshot isolation'], ['strict serializable'], ['strong session serializable'])
    """
    out = excluded(names, conditions)
    left = [one for one in LATTICE if one not in out and _looked_at(one, process, realtime)]
    covered = _reach((other for one in left for other in LATTICE[one]), LATTICE)
    return [one for one in left if one not in covered]


def _looked_at(level: str, process: bool, realtime: bool) -> bool:
    if level.startswith("strong session"):
        return process
    return realtime or not level.startswith(("strong ", "strict "))
