"""What the ETL is made of and what a run of it came to: plain values, no database and no Hop.

A *round* is one go over all sources. In it each source has a *run*: a window of changes that is read, staged and merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SOURCES = ("promptcontent", "promptads", "promptcrm", "cache")
"""In the order in which they are merged: what others refer to comes first."""

PERIOD = 11 * 60
"""Seconds between two rounds, as the brief has it."""


@dataclass(frozen=True, slots=True)
class SourceRun:
    """One row of ``etl_run``: what became of one source in one round."""

    round: int
    source: str
    status: str
    """``running``, ``succeeded`` or ``failed``."""
    started_at: datetime
    finished_at: datetime | None
    window_from: str | None
    """The watermark that the window begins with, as text; None: from the beginning."""
    window_to: str | None
    read: int
    inserted: int
    updated: int
    deleted: int
    quarantined: int
    """Of the rows read."""
    message: str | None
    """Why it failed, or what a person should know of a success."""

    @property
    def moved(self) -> int:
        """Rows that changed something in PromptSales."""
        return self.inserted + self.updated + self.deleted

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end; None while it is under way."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


@dataclass(frozen=True, slots=True)
class Round:
    """One go over the sources: its runs in the order of SOURCES."""

    number: int
    runs: tuple[SourceRun, ...]

    @property
    def succeeded(self) -> bool:
        """Whether every source was merged."""
        return all(run.status == "succeeded" for run in self.runs)

    @property
    def moved(self) -> int:
        """Rows that changed something in PromptSales."""
        return sum(run.moved for run in self.runs)


@dataclass(frozen=True, slots=True)
class SourceState:
    """One row of ``etl_state``: how far a source has come."""

    source: str
    upper_bound: str | None
    last_status: str | None
    last_message: str | None
    lag: float | None
    """Seconds since the beginning of the last run that succeeded: what was committed before it has arrived."""
    quarantined: int
