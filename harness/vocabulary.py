"""The words of the house: databases, engines, isolation levels, phenomena.

Phenomena carry the field's names: Adya, *Weak Consistency* (PhD thesis, MIT 1999) for G0…G2; Berenson et al., *A Critique of
ANSI SQL Isolation Levels* (SIGMOD 1995) for P4; Bailis et al., *Highly Available Transactions* (VLDB 2013) for OTV and PMP;
Fekete, O'Neil & O'Neil, *A Read-Only Transaction Anomaly under Snapshot Isolation* (SIGMOD Record 2004).
"""

from __future__ import annotations

from enum import StrEnum

from harness.errors import did_you_mean

LOGICAL = ("promptsales", "promptads", "promptcrm", "promptcontent", "cache")
"""The logical databases of PromptSales, by the names that scenarios use."""

REAL_ENGINE = {
    "promptsales": "postgresql",
    "promptads": "sqlserver",
    "promptcrm": "sqlserver",
    "promptcontent": "mongodb",
    "cache": "redis",
}
"""The engine that each one runs on in production; any other one is a stand-in and is called so."""

LEVELS: dict[str, tuple[str, ...]] = {
    "postgresql": ("read committed", "read uncommitted", "repeatable read", "serializable"),
    "sqlserver": (
        "read committed",
        "read uncommitted",
        "read committed snapshot",
        "snapshot",
        "repeatable read",
        "serializable",
    ),
    "mongodb": ("local", "majority", "snapshot"),
    "redis": ("atomic commands",),
}
"""The isolation levels of each engine, its default first."""

DEFAULT_LEVEL = "default"
"""Instead of a level: nothing is asked of the server, each session has what the server gives, or what its steps say."""

ENGINES = tuple(LEVELS)
"""Names of all engines."""

PRODUCTS = {"postgresql": "PostgreSQL", "sqlserver": "SQL Server", "mongodb": "MongoDB", "redis": "Redis"}
"""Engines by their makers' names."""

PORTS = {"postgresql": 5432, "sqlserver": 1433, "mongodb": 27017, "redis": 6379}
"""Where their servers are, if a URL does not say it."""


def label(logical: str, engine: str, *, stand_in: bool) -> str:
    """A database and what it runs on, as ids and reports write it.

    >>> label("promptads", "postgresql", stand_in=True), label("cache", "redis", stand_in=False)
    ('promptads@postgresql-standin', 'cache@redis')
    """
    return f"{logical}@{engine}{'-standin' if stand_in else ''}"


class Phenomenon(StrEnum):
    """What a run can show, by its plain name."""

    dirty_write = "dirty write"
    dirty_read = "dirty read"
    intermediate_read = "intermediate read"
    circular_information_flow = "circular information flow"
    observed_transaction_vanishes = "observed transaction vanishes"
    lost_update = "lost update"
    non_repeatable_read = "non-repeatable read"
    read_skew = "read skew"
    phantom = "phantom"
    write_skew = "write skew"
    read_only_anomaly = "read-only anomaly"
    deadlock = "deadlock"
    hidden_deadlock = "hidden deadlock"  # a cycle over servers: no server's own detector can see it


ADYA = {
    Phenomenon.dirty_write: "G0",
    Phenomenon.dirty_read: "G1a",
    Phenomenon.intermediate_read: "G1b",
    Phenomenon.circular_information_flow: "G1c",
    Phenomenon.observed_transaction_vanishes: "OTV",
    Phenomenon.lost_update: "P4",
    Phenomenon.non_repeatable_read: "G-single",
    Phenomenon.read_skew: "G-single",
    Phenomenon.phantom: "PMP",
    Phenomenon.write_skew: "G2-item",
    Phenomenon.read_only_anomaly: "G2-item",
    Phenomenon.deadlock: "",
    Phenomenon.hidden_deadlock: "",
}
"""Each phenomenon's usual code; an :class:`Anomaly` carries the one that was really found (G2 for a write skew over
a predicate, P1 for a dirty read of what was committed later)."""

ALIASES = {
    "incorrect summary": Phenomenon.read_skew,
    "fuzzy read": Phenomenon.non_repeatable_read,
    "unrepeatable read": Phenomenon.non_repeatable_read,
    "aborted read": Phenomenon.dirty_read,
}
"""Other names that people use in scenarios."""

HERMITAGE = ("G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single", "G2-item", "G2")
"""The anomalies that an isolation level can be told by, the most basic first, as Kleppmann's Hermitage (2014) names them."""

CODES = {code: phenomenon for phenomenon, code in ADYA.items() if code and list(ADYA.values()).count(code) == 1}
"""The codes that name one phenomenon and no other."""

PHENOMENON_NAMES = (*(one.value for one in Phenomenon), *ALIASES, *CODES)
"""All names that a scenario may use."""


def phenomenon(name: str) -> Phenomenon:
    """The phenomenon of a plain name, another usual name, or an unambiguous code of Adya's.

    Raises ValueError with the nearest known name.

    >>> phenomenon("incorrect summary"), phenomenon("P4")
    (<Phenomenon.read_skew: 'read skew'>, <Phenomenon.lost_update: 'lost update'>)
    """
    word = name.strip().lower()
    known = {item.value: item for item in Phenomenon} | ALIASES | {code.lower(): item for code, item in CODES.items()}
    if word in known:
        return known[word]
    several = [item.value for item, code in ADYA.items() if code and code.lower() == word]
    if several:
        raise ValueError(f"{name!r} may be {' or '.join(several)}: say which")
    raise ValueError(
        f"unknown phenomenon {name!r}{did_you_mean(word, known)} (known: {', '.join(sorted(PHENOMENON_NAMES))})"
    )
