"""What Hermitage found: Martin Kleppmann, *Hermitage: Testing the "I" in ACID* (2014), github.com/ept/hermitage.

``hermitage.tsv`` has its rows of PostgreSQL and SQL Server, under the Creative Commons Attribution 4.0 licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

VERSIONS = {"postgresql": "PostgreSQL 9.3.5", "sqlserver": "SQL Server 11.0 (2012)"}
"""What it was run on."""

CREDIT = "Hermitage by Martin Kleppmann, CC BY 4.0, github.com/ept/hermitage"


@dataclass(frozen=True, slots=True)
class Told:
    """A row of Hermitage's: the level that it really gives, and for each anomaly ``yes``, ``no`` or ``some``."""

    engine: str
    level: str
    given: str
    prevented: Mapping[str, str]


@cache
def hermitage() -> Mapping[tuple[str, str], Told]:
    """Its rows, by engine and level, under this harness's names of both."""
    text = (resources.files("harness.matrix") / "hermitage.tsv").read_text("utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    made: dict[tuple[str, str], Told] = {}
    for engine, level, given, anomaly, prevented in lines[1:]:
        before = made.get((engine, level))
        so_far = dict(before.prevented) if before else {}
        made[engine, level] = Told(engine, level, given, {**so_far, anomaly: prevented})
    return made
