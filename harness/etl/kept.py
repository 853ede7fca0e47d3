"""Rounds in ``results/``: results/<run>/etl/<name>/etl.json holds one EtlRecord.

What PromptSales's log says is copied, so that a report can be drawn when that PromptSales is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from harness.errors import StoreError
from harness.etl.model import Round, SourceRun
from harness.history import Record

if TYPE_CHECKING:
    from harness.etl.log import Quarantined

FOLDER = "etl"
FILE = "etl.json"


class RunRecord(Record):
    """What became of one source in one round."""

    source: str
    status: str = Field(description="running, succeeded or failed")
    started_at: datetime
    finished_at: datetime | None = None
    window_from: str | None = Field(default=None, description="the watermark that it began with; None: the beginning")
    window_to: str | None = None
    read: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    quarantined: int = 0
    message: str | None = None

    @property
    def moved(self) -> int:
        """Rows that changed something in PromptSales."""
        return self.inserted + self.updated + self.deleted

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


class RoundRecord(Record):
    """One go over the sources."""

    number: int
    runs: list[RunRecord]
    earlier: bool = Field(default=False, description="it was run before, by somebody else: shown for comparison")

    @property
    def status(self) -> str:
        """Failed if one source did; else succeeded, or running."""
        statuses = {run.status for run in self.runs}
        return "failed" if "failed" in statuses else "running" if "running" in statuses else "succeeded"


class QuarantineRecord(Record):
    """Open rows that one reason keeps out."""

    source: str
    reason: str
    count: int
    keys: list[str] = Field(default_factory=list, description="the first few")


class EtlRecord(Record):
    """Rounds of one PromptSales, the oldest first, and what was open in quarantine after the last one."""

    name: str
    title: str = ""
    database: str = Field(default="", description="promptsales@postgresql")
    sources: list[str] = Field(default_factory=list, description="promptads@postgresql-standin, …")
    status: str = Field(default="", description="passed or failed; empty: nothing was expected of these rounds")
    rounds: list[RoundRecord] = Field(default_factory=list)
    quarantine: list[QuarantineRecord] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


def record(
    name: str,
    rounds: Iterable[Round],
    quarantine: Iterable[Quarantined] = (),
    *,
    title: str = "",
    database: str = "",
    sources: Iterable[str] = (),
    status: str = "",
    own: Sequence[int] | None = None,
    notes: Iterable[str] = (),
) -> EtlRecord:
    """Rounds as they are kept. ``own``: the numbers of those that are meant, all others are told as earlier ones."""
    return EtlRecord(
        name=name,
        title=title,
        database=database,
        sources=list(sources),
        status=status,
        rounds=[
            RoundRecord(
                number=one.number,
                runs=[_run(run) for run in one.runs],
                earlier=own is not None and one.number not in own,
            )
            for one in sorted(rounds, key=lambda one: one.number)
        ],
        quarantine=[
            QuarantineRecord(source=one.source, reason=one.reason, count=one.count, keys=list(one.keys))
            for one in quarantine
        ],
        notes=list(notes),
    )


def _run(one: SourceRun) -> RunRecord:
    return RunRecord(**{name: getattr(one, name) for name in RunRecord.model_fields})


def read_records(run_folder: Path) -> list[EtlRecord]:
    """All that a run kept, in the order in which it was begun. Raises StoreError."""
    made = []
    for file in sorted((run_folder / FOLDER).glob(f"*/{FILE}")):
        try:
            made.append(EtlRecord.model_validate_json(file.read_text(encoding="utf-8")))
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    return sorted(made, key=_began)


def _began(one: EtlRecord) -> float:
    return min((run.started_at.timestamp() for round_ in one.rounds for run in round_.runs), default=0.0)
