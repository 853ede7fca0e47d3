"""What a sampler saw, as columns, and how they are kept.

    results/<run>/monitor/<name>.csv              one row for each sample, one column for each measure
    results/<run>/monitor/<name>.waits.csv        at, wait, sessions: what sessions waited for, where the server says so
    results/<run>/monitor/<name>.statements.csv   statement, calls, milliseconds, rows: the most expensive ones
    results/<run>/monitor/<name>.json             whose they are, the columns' units, what the sampling itself cost

Time is ``at``: seconds since 1970, of this machine's clock.
"""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = "monitor"


@dataclass(frozen=True, slots=True)
class Measure:
    """A column. ``group``: those that belong on one chart have the same."""

    name: str  # active, waiting, transactions, deadlocks, cache_hit, …
    unit: str  # sessions, 1/s, %, MB, …
    group: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class TopStatement:
    """What the server says of a statement, over the time that was watched. The text has no values in it."""

    text: str
    calls: int
    milliseconds: float
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What sampling cost: ``milliseconds`` is one sample's median, ``share`` the part of the time it took (0 to 1)."""

    samples: int
    failed: int
    milliseconds: float
    most: float
    share: float
    cpu: float | None = None  # seconds of a processor, in the sampler's process


@dataclass(slots=True)
class Series:
    """A server's samples, or the host's. Every column is as long as ``at``; None: not known at that moment."""

    name: str  # a file's name: promptads, host
    label: str  # as reports write it: promptads@postgresql-standin
    engine: str  # "host" for the machine
    version: str
    measures: list[Measure]
    at: list[float] = field(default_factory=list)
    columns: dict[str, list[float | None]] = field(default_factory=dict)
    waits: list[tuple[float, str, float]] = field(default_factory=list)  # at, what for, how many sessions
    statements: list[TopStatement] = field(default_factory=list)
    cost: Cost | None = None
    notes: list[str] = field(default_factory=list)  # what could not be seen, and why: one line each
    databases: list[str] = field(default_factory=list)  # the logical ones that are on this server
    interval: float | None = None  # seconds between two samples


def write_series(run_folder: Path, series: Series) -> None:
    """Keep a series below a run's folder. Raises OSError."""
    folder = run_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    names = [measure.name for measure in series.measures]
    rows = [cells(at, [series.columns[name][place] for name in names]) for place, at in enumerate(series.at)]
    write_whole(folder / f"{series.name}.csv", as_csv([("at", *names), *rows]))
    if series.waits:
        write_whole(folder / f"{series.name}.waits.csv", as_csv([WAITS, *series.waits]))
    write_statements(folder, series)
    write_facts(folder, series)


WAITS = ("at", "wait", "sessions")


def cells(at: float, values: Iterable[float | None]) -> list[str]:
    """A row of a series as it is written."""
    return [f"{at:.3f}", *("" if value is None else f"{value:.6g}" for value in values)]


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows as text; every one ends with a line feed, by which a reader knows that it is whole."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_statements(folder: Path, series: Series) -> None:
    """The most expensive statements, if there are any. Raises OSError."""
    if series.statements:
        rows = [(one.text, one.calls, one.milliseconds, one.rows) for one in series.statements]
        write_whole(
            folder / f"{series.name}.statements.csv", as_csv([("statement", "calls", "milliseconds", "rows"), *rows])
        )


def write_facts(folder: Path, series: Series) -> None:
    """Whose samples they are, and what they cost. Raises OSError."""
    facts = {
        "label": series.label,
        "engine": series.engine,
        "version": series.version,
        "databases": series.databases,
        "interval": series.interval,
        "measures": [asdict(measure) for measure in series.measures],
        "cost": asdict(series.cost) if series.cost else None,
        "notes": series.notes,
    }
    write_whole(folder / f"{series.name}.json", json.dumps(facts, indent=1))


def write_whole(file: Path, text: str) -> None:
    """All of a file, or what was there before. Raises OSError."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}")
    fresh.write_text(text, encoding="utf-8", newline="")
    fresh.replace(file)


def read_series(run_folder: Path) -> list[Series]:
    """All series of a run, the host's last. Raises OSError, ValueError if a file is not what was written."""
    made = [_read(file) for file in sorted((run_folder / FOLDER).glob("*.json"))]
    return sorted(made, key=lambda series: (series.engine == "host", series.name))


def _read(file: Path) -> Series:
    facts = json.loads(file.read_text(encoding="utf-8"))
    series = Series(
        name=file.stem,
        label=facts["label"],
        engine=facts["engine"],
        version=facts["version"],
        measures=[Measure(**one) for one in facts["measures"]],
        cost=Cost(**facts["cost"]) if facts["cost"] else None,
        notes=facts["notes"],
        databases=facts.get("databases", []),
        interval=facts.get("interval"),
    )
    names = [measure.name for measure in series.measures]
    series.columns = {name: [] for name in names}
    for row in _rows(file.with_suffix(".csv")):
        series.at.append(float(row["at"]))
        for name in names:
            value = row.get(name)
            series.columns[name].append(float(value) if value else None)
    if series.at:  # what a server never told is no column
        known = [one for one in series.measures if any(value is not None for value in series.columns[one.name])]
        series.measures, series.columns = known, {one.name: series.columns[one.name] for one in known}
    series.waits = [
        (float(row["at"]), row["wait"], float(row["sessions"])) for row in _rows(file.with_suffix(".waits.csv"))
    ]
    series.statements = read_statements(file)
    return series


def read_statements(file: Path) -> list[TopStatement]:
    """The statements beside a series' file. Raises OSError, ValueError."""
    return [
        TopStatement(
            row["statement"], int(row["calls"]), float(row["milliseconds"]), int(row["rows"]) if row["rows"] else None
        )
        for row in _rows(file.with_suffix(".statements.csv"))
    ]


def _rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV; a last one that is not whole is none: whoever wrote it was killed, or the disk was full."""
    if not file.is_file():
        return []
    text = file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1].decode("utf-8")
    return list(csv.DictReader(io.StringIO(whole, newline="")))
