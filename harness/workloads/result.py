"""What a run of a workload gave, and where it is kept.

results/<run>/<case>/workload.json   a WorkloadResult: what was run, where, what it showed
results/<run>/<case>/check.json      the checker's Report
results/<run>/<case>/check.html      the same for people, with the cycles' pictures, which cycle-N.svg are
results/<run>/<case>/history.jsonl   every transaction, in Elle's shape
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from harness.errors import StoreError
from harness.history import Record

FILE, CHECK, PAGE, HISTORY = "workload.json", "check.json", "check.html", "history.jsonl"
SCENARIO = "scenario.yaml"


class WorkloadResult(Record):
    """A workload that was run at one level of one database."""

    id: str = Field(description="list_append[promptsales@postgresql-read_committed]")
    name: str
    title: str = ""
    about: str = ""
    file: str = ""
    kind: str = Field(description="list-append, rw-register, bank, counter")
    units: str = Field(description="transactions, or commands: each operation by itself")
    logical: str
    engine: str
    version: str = ""
    stand_in: str = Field(default="", description="the engine that this one stands in for")
    level: str
    observed_level: str = Field(default="", description="as the sessions read it back")
    sessions: int
    keys: int
    seed: int
    began: float = Field(description="seconds since 1970")
    seconds: float = Field(description="of the transactions alone")
    transactions: int
    ok: int
    failed: int
    info: int = Field(description="nobody knows whether they were committed")
    counts: dict[str, int] = Field(default_factory=dict, description="anomalies that were found")
    excluded: list[str] = Field(default_factory=list, description="levels that this history cannot have had")
    possible: list[str] = Field(default_factory=list)
    expected: str = Field(default="", description="in words; nothing if nothing was")
    status: str = Field(default="passed", description="passed or failed")
    mismatches: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    folder: str = Field(default="", description="below the run's")
    pictures: list[str] = Field(default_factory=list, description="cycle-1.svg, …")
    scenario: str = Field(default="", description="scenario.yaml, if one was made of the first cycle")

    @property
    def per_second(self) -> float:
        """Transactions in a second, the refused ones too."""
        return self.transactions / self.seconds if self.seconds else 0.0

    @property
    def shown(self) -> str:
        """What was found, in one line."""
        return ", ".join(f"{name} {count}×" for name, count in self.counts.items()) or "nothing found"


def read_results(run_folder: Path) -> list[WorkloadResult]:
    """All workloads of a run, in the order of their beginning. Raises StoreError."""
    made = []
    for file in sorted(run_folder.glob(f"*/{FILE}")):
        try:
            made.append(WorkloadResult.model_validate_json(file.read_text(encoding="utf-8")))
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    return sorted(made, key=lambda result: result.began)


def names(run_folder: Path) -> list[str]:
    """The folders of a run's workloads."""
    return sorted(file.parent.name for file in run_folder.glob(f"*/{FILE}"))
