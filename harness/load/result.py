"""What a load run gave: throughput, percentiles and errors by kind, whole and over time.

results/<run>/load/<name>/load.json holds one LoadResult.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from harness.errors import StoreError
from harness.history import Record

FOLDER = "load"
FILE = "load.json"


class Second(Record):
    """One second (or ``step`` of them) of one kind of request."""

    at: float = Field(description="its beginning: seconds since 1970, the clock of the monitor's series too")
    done: int = Field(description="requests that ended well in it")
    failed: int = 0
    retried: int = Field(default=0, description="tries that were refused and made again")
    p50: float | None = Field(default=None, description="milliseconds; None if none ended")
    p95: float | None = None
    p99: float | None = None
    most: float | None = None


class Requests(Record):
    """One kind of request: a user's task, or one statement of it. Milliseconds throughout."""

    name: str = Field(description="register sale")
    database: str = Field(description="promptcrm@postgresql-standin")
    done: int
    failed: dict[str, int] = Field(default_factory=dict, description="given up, by kind: deadlock, serialization, …")
    retried: dict[str, int] = Field(default_factory=dict, description="refused and tried again, by kind; never hidden")
    mean: float = 0
    least: float = 0
    most: float = 0
    percentiles: dict[str, float] = Field(default_factory=dict, description='"50", "90", "95", "99", "99.9"')
    service: dict[str, float] = Field(
        default_factory=dict,
        description="open loop: the same percentiles counted from the real start, which hides the wait for a free user",
    )
    seconds: list[Second] = Field(default_factory=list)


class Users(Record):
    """How many users there were, from a moment on."""

    at: float
    users: int


class LoadResult(Record):
    """A load run, whole."""

    name: str
    title: str = ""
    file: str = ""
    arrivals: str = Field(description="closed: a user asks again when it has its answer; open: by the clock")
    shape: str = Field(description="steady, ramp, december peak, … in words")
    processes: int = 1
    began: float = Field(description="seconds since 1970")
    seconds: float
    step: float = Field(default=1.0, description="how long one entry of 'seconds' lasts")
    requests: list[Requests] = Field(default_factory=list)
    users: list[Users] = Field(default_factory=list)
    intended: int | None = Field(default=None, description="open loop: how many were to begin")
    late: int = Field(default=0, description="open loop: how many began later than they were to")
    notes: list[str] = Field(default_factory=list)
    status: str = Field(default="passed", description="passed or failed")
    mismatches: list[str] = Field(default_factory=list, description="what was expected and is not so")


def write_result(run_folder: Path, result: LoadResult) -> Path:
    """Keep it below a run's folder; gives the file's path. Raises OSError."""
    folder = run_folder / FOLDER / result.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(result.model_dump_json(indent=1, exclude_defaults=True), encoding="utf-8")
    return path


def read_results(run_folder: Path) -> list[LoadResult]:
    """All load runs of a run, in the order of their beginning. Raises StoreError."""
    made = []
    for file in sorted((run_folder / FOLDER).glob(f"*/{FILE}")):
        try:
            made.append(LoadResult.model_validate_json(file.read_text(encoding="utf-8")))
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    return sorted(made, key=lambda result: result.began)
