"""Rounds, states and quarantine as text: tables for a terminal and for a pipe, lines, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from harness.etl.log import Quarantined
from harness.etl.model import SOURCES, Round, SourceRun, SourceState

SIGN = {"succeeded": "✓", "failed": "✗", "running": "…"}
_STYLE = {"succeeded": "green", "failed": "bold red", "running": "yellow"}


def round_table(round_: Round) -> Table:
    """What one round moved: a line for each source."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "source", "window"):
        table.add_column(name, no_wrap=True)
    for name in ("read", "inserted", "updated", "deleted", "quarantined", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    said = any(one.message and one.status != "failed" for one in round_.runs)  # why one failed: round_line
    if said:
        table.add_column("what is to be said", overflow="fold")
    for one in round_.runs:
        counts = (one.read, one.inserted, one.updated, one.deleted, one.quarantined)
        table.add_row(
            Text(SIGN.get(one.status, "?"), _STYLE.get(one.status, "")),
            one.source,
            window(one),
            *(f"{count:,}" for count in counts),
            "" if one.seconds is None else f"{one.seconds:.1f}",
            *([Text(one.message or "")] if said else []),
        )
    return table


def window(one: SourceRun) -> str:
    """What a run looked at: all that there is, or what changed since the one before."""
    if one.window_from is None:
        return "all" if one.status == "succeeded" else ""
    return "changes"


def round_line(round_: Round) -> str:
    """A round in a line: ``✓ round 7, 10:11:00: read 1,200, inserted 10, … 2.1 s``; what failed, and why, behind it."""
    failed = [one for one in round_.runs if one.status == "failed"]
    running = any(one.status == "running" for one in round_.runs)
    sign = SIGN["failed" if failed else "running" if running else "succeeded"]
    began = f", {min(one.started_at for one in round_.runs):%H:%M:%S}" if round_.runs else ""
    counts = {
        name: sum(getattr(one, name) for one in round_.runs)
        for name in ("read", "inserted", "updated", "deleted", "quarantined")
    }
    told = [f"{name} {count:,}" for name, count in counts.items() if count] or ["nothing to do"]
    if failed and len(failed) == len(round_.runs):
        told = []
    if (seconds := lasts(round_)) is not None:
        told.append(f"{seconds:.1f} s")
    told_all = ", ".join(told)
    return f"{sign} round {round_.number}{began}: " + "; ".join(text for text in (told_all, failures(round_)) if text)


def lasts(round_: Round) -> float | None:
    """Seconds from the beginning of a round's first run to the end of its last one; None while one is under way."""
    ends = [one.finished_at for one in round_.runs if one.finished_at is not None]
    if not ends or len(ends) < len(round_.runs):
        return None
    return (max(ends) - min(one.started_at for one in round_.runs)).total_seconds()


def rounds_table(rounds: Sequence[Round]) -> Table:
    """Several rounds, a line for each: what moved in each source, what failed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("round", justify="right", no_wrap=True)
    table.add_column("began", no_wrap=True)
    for source in SOURCES:
        table.add_column(source, justify="right", no_wrap=True)
    table.add_column("quarantined", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for one in rounds:
        by_source = {run.source: run for run in one.runs}
        seconds = lasts(one)
        table.add_row(
            str(one.number),
            f"{min(run.started_at for run in one.runs):%Y-%m-%d %H:%M:%S}",
            *(_moved(by_source.get(source)) for source in SOURCES),
            f"{sum(run.quarantined for run in one.runs):,}",
            "" if seconds is None else f"{seconds:.1f}",
        )
    return table


def failures(round_: Round) -> str:
    """What failed in a round, and why: sources that say the same are told together."""
    why: dict[str, list[str]] = {}
    for one in round_.runs:
        if one.status == "failed":
            why.setdefault(one.message or "", []).append(one.source)
    return "; ".join(
        f"{'all' if len(sources) == len(round_.runs) > 1 else ', '.join(sources)} failed: {message}"
        for message, sources in why.items()
    )


def _moved(one: SourceRun | None) -> Text:
    if one is None:
        return Text("")
    if one.status == "succeeded":
        return Text(f"{one.moved:,}")
    return Text(f"{SIGN[one.status]} {one.status}", _STYLE[one.status])


def states_table(states: Sequence[SourceState]) -> Table:
    """How far each source has come."""
    table = Table("source", box=None, pad_edge=False)
    table.add_column("last run", no_wrap=True)
    table.add_column("behind by at most", justify="right", no_wrap=True)
    table.add_column("in quarantine", justify="right", no_wrap=True)
    table.add_column("up to", overflow="ellipsis", no_wrap=True, max_width=30)
    said = any(one.last_message for one in states)
    if said:
        table.add_column("what is to be said", overflow="fold")
    for one in states:
        status = one.last_status or ""
        table.add_row(
            one.source,
            Text(f"{SIGN.get(status, '')} {status or 'never ran'}".strip(), _STYLE.get(status, "")),
            "never loaded" if one.lag is None else ago(one.lag),
            f"{one.quarantined:,}",
            one.upper_bound or "",
            *([Text(one.last_message or "")] if said else []),
        )
    return table


def quarantine_table(found: Sequence[Quarantined]) -> Table:
    """What is open in quarantine, by source and reason."""
    table = Table("source", box=None, pad_edge=False)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("the first of them", overflow="fold")
    for one in found:
        more = ", …" if one.count > len(one.keys) else ""
        table.add_row(one.source, f"{one.count:,}", Text(one.reason), Text(", ".join(one.keys) + more))
    return table


def ago(seconds: float) -> str:
    """``42 s``, ``0:11:03``, ``2 days, 3:00:00``."""
    return f"{seconds:.0f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def as_json(rounds: Sequence[Round], states: Sequence[SourceState], found: Sequence[Quarantined]) -> dict[str, Any]:
    """All of it, of plain values; times as ISO 8601."""
    return {
        "rounds": [round_json(one) for one in rounds],
        "sources": [asdict(one) for one in states],
        "quarantine": [asdict(one) | {"keys": list(one.keys)} for one in found],
    }


def round_json(round_: Round) -> dict[str, Any]:
    """A round, of plain values."""
    runs = []
    for one in round_.runs:
        fields = asdict(one)
        fields["started_at"] = one.started_at.isoformat()
        fields["finished_at"] = one.finished_at.isoformat() if one.finished_at else None
        fields["seconds"] = one.seconds
        del fields["round"]
        runs.append(fields)
    return {"round": round_.number, "succeeded": round_.succeeded, "moved": round_.moved, "runs": runs}
