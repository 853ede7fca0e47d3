"""What a sampler saw, as columns, and how they are kept.

    results/<run>/monitor/<name>.csv              one row for each sample, one column for each measure
    results/<run>/monitor/<name>.waits.csv        at, wait, sessions: what sessions waited for, where the server says so
    results/<run>/monitor/<name>.statements.csv   statement, calls, milliseconds, rows: the most expensive ones
    results/<run>/monitor/<name>.json             whose they are, the columns' units, what the sampling itself cost

Time is ``at``: seconds since 1970, of this machine's clock.
"""

from __future__ import annotations

import csv
import json
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


def write_series(run_folder: Path, series: Series) -> None:
    """Keep a series below a run's folder. Raises OSError."""
    folder = run_folder / FOLDER
    folder.mkdir(exist_ok=True)
    names = [measure.name for measure in series.measures]
    with (folder / f"{series.name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["at", *names])
        for place, at in enumerate(series.at):
            row = (series.columns[name][place] for name in names)
            writer.writerow([f"{at:.3f}", *("" if value is None else f"{value:.6g}" for value in row)])
    if series.waits:
        with (folder / f"{series.name}.waits.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("at", "wait", "sessions"), *series.waits])
    if series.statements:
        rows = [(one.text, one.calls, one.milliseconds, one.rows) for one in series.statements]
        with (folder / f"{series.name}.statements.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("statement", "calls", "milliseconds", "rows"), *rows])
    facts = {
        "label": series.label,
        "engine": series.engine,
        "version": series.version,
        "measures": [asdict(measure) for measure in series.measures],
        "cost": asdict(series.cost) if series.cost else None,
        "notes": series.notes,
    }
    (folder / f"{series.name}.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


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
    )
    names = [measure.name for measure in series.measures]
    series.columns = {name: [] for name in names}
    for row in _rows(file.with_suffix(".csv")):
        series.at.append(float(row["at"]))
        for name in names:
            series.columns[name].append(float(row[name]) if row[name] else None)
    series.waits = [
        (float(row["at"]), row["wait"], float(row["sessions"])) for row in _rows(file.with_suffix(".waits.csv"))
    ]
    series.statements = [
        TopStatement(
            row["statement"], int(row["calls"]), float(row["milliseconds"]), int(row["rows"]) if row["rows"] else None
        )
        for row in _rows(file.with_suffix(".statements.csv"))
    ]
    return series


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))
