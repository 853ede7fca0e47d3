"""What was measured on one machine: ``measured.json``, which ``benchmarks/scale.py`` writes and the model reads.

Seconds of processors, not of the clock, wherever the name ends in ``_cpu``: others may work on the machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from harness.errors import DataError
from harness.history import Record

FILE = Path(__file__).with_name("measured.json")


class Machine(Record):
    """Where and when."""

    day: str
    processors: int
    memory: int = Field(description="bytes")
    system: str
    python: str
    versions: dict[str, str]
    load_average: float = Field(description="over the last minute, before the first measurement: what others did")


class Seeding(Record):
    """One seeding of PromptCrm and PromptSales, by two workers."""

    clients: int
    rows: int
    wall: float
    workers_cpu: float = Field(description="of the seeder, all processes")
    worker_peak: int = Field(description="bytes resident, at most in one process")
    server_cpu: dict[str, float] = Field(description="by database; PromptAds was filled before and is not in it")
    bytes: dict[str, dict[str, int]] = Field(description="on disk with indexes, by database and table")
    wal: dict[str, int] = Field(description="bytes of write-ahead log, by database")


class Agreeing(Record):
    """One ``harness check coherence`` of these three."""

    clients: int
    wall: float
    own_cpu: float
    peak: int
    server_cpu: dict[str, float] = Field(description="by the databases of a server: promptads+promptsales")


class Moving(Record):
    """The databases' part of the ETL of PromptCrm: ``changes_since``, COPY into staging, ``etl_merge``. No Hop."""

    clients: int
    rows: int
    wall: float
    merge_wall: float
    source_cpu: float
    target_cpu: float
    carrier_cpu: float = Field(description="of the Python that carries rows here, in Hop's place")
    temporary: int = Field(description="bytes of temporary files of the source")
    wal: int = Field(description="bytes of the target's log")
    staged: int = Field(description="bytes of staging on disk")
    facts: int = Field(description="bytes of fact on disk, afterwards")


class HopRound(Record):
    """A round of the real Hop, whole: of docs/etl.md's table, or measured with it."""

    clients: int
    rows: int
    seconds: float
    first: bool
    source: str


class Loading(Record):
    """Users of scenarios/load/day.yaml, or of one kind, over a window without start and end."""

    users: int
    kind: str = Field(default="", description="of one kind only; empty: the day's mix")
    seconds: float
    requests: dict[str, int] = Field(description="ended well in the window, by database")
    retried: int
    failed: int
    locust_cpu: float
    locust_memory: int = Field(description="bytes resident at most")
    server_cpu: dict[str, float] = Field(description="by the databases of a server: promptads+promptsales")
    sessions: dict[str, int] = Field(description="connections, by server")
    session_memory: dict[str, int] = Field(description="bytes that only one of them has, the mean")
    p95: dict[str, float] = Field(description="milliseconds, by kind of request; the whole run")


class Caching(Record):
    """Bytes of the cache's memory for each key of a kind."""

    kind: str
    keys: int
    memory: int


class Contents(Record):
    """What PromptContent's contents come to, as BSON: the stand-in's own files say nothing of MongoDB's."""

    contents: int
    documents: int
    pictures: int


class Running(Record):
    """All cases of ``scenarios/``, one after the other."""

    cases: int
    wall: float
    own_cpu: float
    server_cpu: float
    evidence: int = Field(description="bytes of all that is kept of the cases")
    report: int = Field(description="bytes of report.html")
    peak: int = Field(description="bytes resident of the harness")


class Asking(Record):
    """What one query costs the server, by how many clients there are."""

    query: str
    clients: int
    queries: int
    server_cpu: float = Field(description="of all of them")


class Ids(Record):
    """What a Locust process takes to learn the ids of a table, of which it keeps 100,000."""

    rows: int
    peak: int


class Day(Record):
    """What the users of a measurement were, and how long they thought."""

    think: float = Field(default=1.0, description="seconds between two tasks, the mean")
    mix: dict[str, int] = Field(
        default={"seller": 4, "planner": 2, "analyst": 2, "visitor": 4, "editor": 2, "searcher": 1},
        description="of scenarios/load/day.yaml",
    )


class Measured(Record):
    """All of it."""

    machine: Machine
    day: Day = Day()
    seeding: list[Seeding] = []
    agreeing: list[Agreeing] = []
    first: list[Moving] = []
    delta: list[Moving] = []
    hop: list[HopRound] = []
    loading: list[Loading] = []
    caching: list[Caching] = []
    contents: list[Contents] = []
    running: list[Running] = []
    ids: list[Ids] = []
    asking: list[Asking] = []


T = TypeVar("T")


def read(file: Path = FILE) -> Measured:
    """What is kept. Raises DataError: there is none, or it is not what it should be."""
    try:
        return Measured.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: nothing was measured yet: run benchmarks/scale.py") from None
    except (OSError, ValidationError) as error:
        raise DataError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None


def write(measured: Measured, file: Path = FILE) -> None:
    """Keep it."""
    file.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")


def known(series: list[T], what: str) -> list[T]:
    """A series that the model needs. Raises DataError if it was not measured."""
    if not series:
        raise DataError(f"{what}: nothing was measured: run benchmarks/scale.py --only … for it")
    return series
